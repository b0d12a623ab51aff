/**
 * What is asked about: one flow, as somebody writes it.
 *
 *     SOURCE -> [tcp | udp | icmp | arp | frame] DESTINATION
 *
 * Words are separated by blanks. A source is `host`, or the id of a VM, which may say an address (`from 10.0.0.9`) or a MAC
 * (`mac 06:…`) that is not its own. A destination is an address, `gateway`, `host` or the id of a VM, each with a port for
 * TCP and UDP (`10.0.0.5:443`, `[2001:db8::1]:443`, `vm2:22`); for `frame` a MAC will do, too. Where no protocol stands, a
 * port means TCP, a MAC `frame`, and anything else ICMP. `host` and `gateway` are never ids here.
 */
import { type IpWords, isIpv4, parseIp } from '../config/ip.ts';
import { TapswitchError } from '../errors.ts';
import { parseMac } from '../wire/mac.ts';

export const EXPLAINED_PROTOCOLS = ['tcp', 'udp', 'icmp', 'arp', 'frame'] as const;
export type ExplainedProtocol = (typeof EXPLAINED_PROTOCOLS)[number];

/** Longest question, characters */
export const MAX_QUESTION_LENGTH = 400;

export interface VmSource {
  readonly kind: 'vm';
  readonly id: string;
  /** Address it says it has; its own where undefined */
  readonly address: IpWords | undefined;
  /** MAC it says it has, 48 bits; its own where undefined */
  readonly mac: number | undefined;
}

export type Source = VmSource | { readonly kind: 'host' };

export type Destination =
  | { readonly kind: 'address'; readonly address: IpWords }
  | { readonly kind: 'vm'; readonly id: string }
  | { readonly kind: 'mac'; readonly mac: number }
  | { readonly kind: 'gateway' }
  | { readonly kind: 'host' };

export interface Question {
  readonly source: Source;
  readonly protocol: ExplainedProtocol;
  readonly destination: Destination;
  /** Of TCP and UDP only */
  readonly port: number | undefined;
  /** Where the destination stands, from 1: for errors about it */
  readonly column: number;
}

interface Word {
  readonly text: string;
  /** From 1 */
  readonly column: number;
}

interface End {
  readonly destination: Destination;
  readonly port: number | undefined;
}

const ID = /^[A-Za-z0-9._-]+$/;
const BRACKETED = /^\[(.*)\](?::(.*))?$/;
const WITH_PORT = /^([^:]+):([^:]*)$/;
const MOST_PORTS = 65_535;

/** The error of a question that cannot be read, or cannot be put. */
export function questionError(column: number, problem: string): TapswitchError {
  return new TapswitchError(
    'EXPLAIN_INVALID',
    `flow, column ${column}: ${problem}`,
    'Write SOURCE -> [PROTOCOL] DESTINATION: docs/diagnosis.md has the language.',
  );
}

class Words {
  readonly #words: readonly Word[];
  readonly #end: Word;
  #at = 0;

  constructor(text: string) {
    this.#words = [...text.matchAll(/\S+/g)].map(({ 0: word, index }) => ({ text: word, column: index + 1 }));
    this.#end = { text: '', column: text.trimEnd().length + 1 };
  }

  peek(): Word {
    return this.#words[this.#at] ?? this.#end;
  }

  next(): Word {
    const word = this.peek();
    this.#at++;
    return word;
  }

  take(text: string): boolean {
    const isNext = this.peek().text === text;
    if (isNext) this.#at++;
    return isNext;
  }
}

function expected(wanted: string, { text, column }: Word): TapswitchError {
  return questionError(column, `expected ${wanted}, not ${text === '' ? 'the end' : `'${text}'`}`);
}

function readSource(words: Words): Source {
  const name = words.next();
  if (name.text === 'host') return { kind: 'host' };
  if (!ID.test(name.text) || name.text === '->') throw expected("the id of a VM, or 'host'", name);
  let address: IpWords | undefined;
  let mac: number | undefined;
  for (;;) {
    const word = words.peek();
    if (address === undefined && words.take('from')) {
      const said = words.next();
      address = parseIp(said.text);
      if (address === undefined) throw expected('an IP address', said);
    } else if (mac === undefined && words.take('mac')) {
      const said = words.next();
      mac = parseMac(said.text);
      if (mac === undefined) throw expected('a MAC', said);
    } else if (word.text === '->') return { kind: 'vm', id: name.text, address, mac };
    else throw expected("'->', 'from ADDRESS' or 'mac MAC'", word);
  }
}

function portOf(text: string, column: number): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > MOST_PORTS) throw expected('a port from 1 to 65535', { text, column });
  return port;
}

/** Reads `HOST`, `HOST:PORT`, `[V6]:PORT` or a MAC. */
function readEnd({ text, column }: Word): End {
  const mac = parseMac(text);
  if (mac !== undefined) return { destination: { kind: 'mac', mac }, port: undefined };
  const bracketed = BRACKETED.exec(text);
  const split = bracketed ?? WITH_PORT.exec(text);
  const name = split?.[1] ?? text;
  const portText = split?.[2];
  const port = portText === undefined ? undefined : portOf(portText, column + text.length - portText.length);
  const address = parseIp(name);
  if (bracketed !== null && (address === undefined || isIpv4(address))) {
    throw expected('an IPv6 address in the brackets', { text: name, column: column + 1 });
  }
  if (address !== undefined) return { destination: { kind: 'address', address }, port };
  if (name === 'gateway' || name === 'host') return { destination: { kind: name }, port };
  if (!ID.test(name)) throw expected('an address, a VM, gateway or host, with its port', { text, column });
  return { destination: { kind: 'vm', id: name }, port };
}

function usualProtocol({ destination, port }: End): ExplainedProtocol {
  if (port !== undefined) return 'tcp';
  return destination.kind === 'mac' ? 'frame' : 'icmp';
}

/** What the protocol cannot be asked with. */
function checkFits(protocol: ExplainedProtocol, { destination, port }: End, { text, column }: Word): void {
  const hasPorts = protocol === 'tcp' || protocol === 'udp';
  if (hasPorts && port === undefined) throw questionError(column + text.length, `${protocol} needs a port`);
  if (!hasPorts && port !== undefined) throw questionError(column, `${protocol} has no ports`);
  if (destination.kind === 'mac' && protocol !== 'frame') {
    throw questionError(column, `${protocol} goes to an address, only 'frame' to a MAC`);
  }
  if (destination.kind !== 'address') return;
  if (protocol === 'frame') throw questionError(column, "'frame' goes to a MAC, a VM, gateway or host");
  if (protocol === 'arp' && !isIpv4(destination.address))
    throw questionError(column, 'arp asks for IPv4 addresses');
}

/** Reads a question. Throws EXPLAIN_INVALID, which names the column. */
export function parseQuestion(text: string): Question {
  if (text.length > MAX_QUESTION_LENGTH)
    throw questionError(MAX_QUESTION_LENGTH + 1, `longer than ${MAX_QUESTION_LENGTH} characters`);
  const words = new Words(text);
  const source = readSource(words);
  if (!words.take('->')) throw expected("'->'", words.peek());
  const named = EXPLAINED_PROTOCOLS.find((protocol) => words.take(protocol));
  const word = words.next();
  const end = readEnd(word);
  const protocol = named ?? usualProtocol(end);
  checkFits(protocol, end, word);
  const rest = words.peek();
  if (rest.text !== '') throw expected('the end', rest);
  return { source, protocol, ...end, column: word.column };
}
