/**
 * Port forwards: `[host-ip:]host-port:guest-port[/tcp|udp]`, with ranges, or `unix:/path:guest-port`; and which of
 * them cannot be listened on at the same time.
 */
import { normalize } from 'node:path/posix';
import { configError, type Fail, failAt, type Locate, type Path, quote } from './fault.ts';
import { formatEndpoint, formatIp, type IpWords, ipv4Words, isIpv4, isLoopback, parseIp } from './ip.ts';
import { MAX_FORWARD_PORTS } from './limits.ts';
import { isProtocol, PORT_RULE, type PortRange, type Protocol, parsePort, parsePortRange } from './ports.ts';
import type { ForwardInput } from './schema.ts';

/** Where the host listens. Port 0: the kernel chooses one. */
export type ForwardHost = { kind: 'ip'; address: IpWords; port: number } | { kind: 'unix'; path: string };

/** A port or socket of the host that leads to a port of a VM. */
export interface PortForward {
  /** TCP where the host's side is a socket path */
  protocol: Protocol;
  host: ForwardHost;
  /** 1 to 65535 */
  guestPort: number;
  /** How long a connection to a VM that does not answer yet is held, `ms`; 0: not at all */
  waitMs: number;
}

/** A forward as its text says it. */
type Listen = Omit<PortForward, 'waitMs'>;

const DEFAULT_ADDRESS: IpWords = ipv4Words(0x7f000001);
const DEFAULT_WAIT_SECONDS = 30;
const LONGEST_SOCKET_PATH = 107; // sun_path of sys/un.h, less the terminating zero
const FORWARD = /^(?:(\[[^\]]*\]|[^:[\]]*):)?([\d-]+):([\d-]+)(?:\/([^/]*))?$/;
const UNIX_FORWARD = /^unix:(.*):([^:/]*)(?:\/([^/:]*))?$/s;

const FORWARD_RULE =
  'Write "[host-ip:]host-port:guest-port[/tcp|udp]" or "unix:/path:guest-port", for instance "127.0.0.1:16080:6080".';

function protocolOf(text: string, protocol: string, fail: Fail): Protocol {
  if (isProtocol(protocol)) return protocol;
  throw fail(`${quote(text)} is not a port forward`, FORWARD_RULE);
}

/** Checks the path of a unix socket of ours; throws what `fail` makes for one that cannot be it. */
export function socketPath(path: string, fail: Fail): string {
  const rule = `Give an absolute path of at most ${LONGEST_SOCKET_PATH} bytes, without "//", "." and "..".`;
  // Two spellings of a path would be two forwards at one socket
  const plain = path.startsWith('/') && normalize(path) === path && !path.endsWith('/');
  if (!plain || path.includes('\0') || Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
    throw fail(`${quote(path)} cannot be the path of a socket`, rule);
  }
  return path;
}

function unixForward(text: string, fail: Fail): Listen[] {
  const [, path, portText, protocol = 'tcp'] = UNIX_FORWARD.exec(text) ?? [];
  if (path === undefined) throw fail(`${quote(text)} is not a port forward`, FORWARD_RULE);
  if (protocolOf(text, protocol, fail) === 'udp') {
    throw fail('a socket path has no UDP', 'Forward UDP from an address of the host.');
  }
  const guestPort = parsePort(portText);
  if (guestPort === undefined) throw fail(`${quote(portText)} is not a port`, PORT_RULE);
  return [{ protocol: 'tcp', host: { kind: 'unix', path: socketPath(path, fail) }, guestPort }];
}

function hostAddressOf(text: string | undefined, fail: Fail): IpWords {
  if (text === undefined) return DEFAULT_ADDRESS;
  const bracketed = text.startsWith('[');
  const address = parseIp(bracketed ? text.slice(1, -1) : text);
  if (address !== undefined && bracketed === text.includes(':')) return address;
  const rule = 'Write an IPv4 address, or an IPv6 address in brackets without zone, for instance [::1].';
  throw fail(`${quote(text)} is not an IP address`, rule);
}

function rangeOf(text: string, fail: Fail): PortRange {
  const range = parsePortRange(text);
  if (range === undefined) throw fail(`${quote(text)} is not a port or range of ports`, PORT_RULE);
  return range;
}

const count = ({ first, last }: PortRange): number => last - first + 1;

function ipForwards(text: string, fail: Fail): Listen[] {
  const [, addressText, hostText, guestText, protocolText = 'tcp'] = FORWARD.exec(text) ?? [];
  if (hostText === undefined) throw fail(`${quote(text)} is not a port forward`, FORWARD_RULE);
  const protocol = protocolOf(text, protocolText, fail);
  const address = hostAddressOf(addressText, fail);
  const chosen = hostText === '0';
  const host = chosen ? { first: 0, last: 0 } : rangeOf(hostText, fail);
  const guest = rangeOf(guestText, fail);
  if (chosen && count(guest) > 1) {
    throw fail('host port 0 leads to one port, not to a range', 'Write one forward for each guest port.');
  }
  if (count(host) !== count(guest)) {
    const message = `${hostText} has ${count(host)} ports and ${guestText} has ${count(guest)}`;
    throw fail(message, 'Give both sides ranges of the same length.');
  }
  return Array.from({ length: count(host) }, (_, i) => ({
    protocol,
    host: { kind: 'ip', address, port: host.first + i },
    guestPort: guest.first + i,
  }));
}

/**
 * Turns one entry of `forwards` into single forwards, a range into one for each port.
 * @param path of the entry in the configuration
 * @throws TapswitchError CONFIG_INVALID
 */
export function resolveForward(input: ForwardInput, locate: Locate, path: Path): PortForward[] {
  const plain = typeof input === 'string';
  const { listen, wait = DEFAULT_WAIT_SECONDS } = plain ? { listen: input } : input;
  const fail = failAt(locate, plain ? path : [...path, 'listen']);
  const forwards = listen.startsWith('unix:') ? unixForward(listen, fail) : ipForwards(listen, fail);
  return forwards.map((forward) => ({ ...forward, waitMs: wait * 1000 }));
}

/** All of a VM's forwards, each with the path of its entry. Throws like {@link resolveForward}. */
export function resolveForwards(
  inputs: readonly ForwardInput[],
  locate: Locate,
  base: Path,
): { forward: PortForward; path: Path }[] {
  const resolved = inputs.flatMap((input, index) => {
    const path = [...base, index];
    return resolveForward(input, locate, path).map((forward) => ({ forward, path }));
  });
  if (resolved.length > MAX_FORWARD_PORTS) {
    const message = `there are ${resolved.length} ports, more than ${MAX_FORWARD_PORTS}`;
    throw failAt(locate, base)(message, 'Forward only the ports that are used.');
  }
  return resolved;
}

/** Where a forward listens: `127.0.0.1:16080/tcp`, `[::1]:53/udp` or `unix:/run/vm1.sock`. */
export function formatListener({ protocol, host }: PortForward): string {
  if (host.kind === 'unix') return `unix:${host.path}`;
  return `${formatEndpoint(host.address, host.port)}/${protocol}`;
}

/** A single forward as it is asked for: `127.0.0.1:16080:6080/tcp`, `unix:/run/vm1.sock:6080`. */
export function formatForward({ protocol, host, guestPort }: PortForward): string {
  if (host.kind === 'unix') return `unix:${host.path}:${guestPort}`;
  return `${formatEndpoint(host.address, host.port)}:${guestPort}/${protocol}`;
}

/** True when others than this host can reach the forward. */
export function isExposed({ host }: PortForward): boolean {
  return host.kind === 'ip' && !isLoopback(host.address);
}

interface Claim {
  readonly forward: PortForward;
  readonly vm: string;
}

/** What a forward claims, and what of others' claims it cannot be beside. */
function keysOf({ host, protocol }: PortForward): { claimed: readonly string[]; refused: readonly string[] } {
  if (host.kind === 'unix') {
    const key = `unix:${host.path}`;
    return { claimed: [key], refused: [key] };
  }
  if (host.port === 0) return { claimed: [], refused: [] };
  const everyAddress = formatIp(isIpv4(host.address) ? ipv4Words(0) : [0, 0, 0, 0]);
  const address = formatIp(host.address);
  const own = `${protocol} ${address} ${host.port}`;
  const every = `${protocol} ${everyAddress} ${host.port}`;
  const some = `${protocol} any of ${everyAddress} ${host.port}`;
  return { claimed: [own, some], refused: [own, address === everyAddress ? some : every] };
}

/**
 * Who listens where, so that no two forwards want the same. 0.0.0.0 is every IPv4 address and :: every IPv6 one: they
 * take a port from all others of their family.
 */
export class Listeners {
  readonly #claims = new Map<string, Claim[]>();

  /**
   * Notes that `forward` of the VM `vm` listens.
   * @param path of the entry in the configuration
   * @throws TapswitchError FORWARD_IN_USE when another forward listens there
   */
  claim(forward: PortForward, vm: string, locate: Locate, path: Path): void {
    const { claimed, refused } = keysOf(forward);
    for (const key of refused) this.#check(key, forward, locate, path);
    for (const key of claimed) {
      const there = this.#claims.get(key);
      if (there === undefined) this.#claims.set(key, [{ forward, vm }]);
      else there.push({ forward, vm });
    }
  }

  /** Ends a claim; `forward` is the very object that was claimed. */
  release(forward: PortForward): void {
    for (const key of keysOf(forward).claimed) {
      const left = this.#claims.get(key)?.filter((claim) => claim.forward !== forward) ?? [];
      if (left.length > 0) this.#claims.set(key, left);
      else this.#claims.delete(key);
    }
  }

  #check(key: string, forward: PortForward, locate: Locate, path: Path): void {
    const held = this.#claims.get(key)?.[0];
    if (held === undefined) return;
    const [mine, theirs] = [formatListener(forward), formatListener(held.forward)];
    const message =
      mine === theirs
        ? `${mine} already leads to ${held.vm}`
        : `${mine} overlaps ${theirs}, which leads to ${held.vm}`;
    const nextStep = 'Give each forward a host port or path of its own; port 0 takes a free one.';
    throw configError('FORWARD_IN_USE', locate, path, message, nextStep);
  }
}
