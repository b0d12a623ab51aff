/** What the gateway's DNS answers from the configuration, and whom it asks for the rest. */
import { type Fail, failAt, type Locate, type Path, quote } from './fault.ts';
import { type IpWords, parseIp } from './ip.ts';
import { parsePort } from './ports.ts';
import type { DnsInput } from './schema.ts';

export interface DnsUpstream {
  address: IpWords;
  port: number;
}

export interface DnsConfig {
  /** Addresses of both families by name, in lower case without the dot at the end */
  records: Map<string, IpWords[]>;
  /** Name servers; those of the host's resolver configuration where absent */
  upstreams?: DnsUpstream[];
}

/** The domain whose names the switch gives itself. */
export const INTERNAL_DOMAIN = 'tapswitch.internal';

const DNS_PORT = 53; // RFC 1035 section 4.2
const LONGEST_NAME = 253; // RFC 1035 section 2.3.4: 255 bytes in a message, so 253 characters
const UPSTREAM = /^(?:\[([^\]]*:[^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/;
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

function resolveName(text: string, fail: Fail): string {
  const name = text.toLowerCase().replace(/\.$/, '');
  if (name.length > LONGEST_NAME || !name.split('.').every((label) => LABEL.test(label))) {
    const rule =
      'Labels have 1 to 63 letters, digits, "-" and "_", with dots between, 253 characters in all.';
    throw fail(`${quote(text)} is not a name`, rule);
  }
  if (name === INTERNAL_DOMAIN || name.endsWith(`.${INTERNAL_DOMAIN}`)) {
    const message = `names in ${INTERNAL_DOMAIN} are the switch's own`;
    throw fail(message, 'Choose a name in another domain.');
  }
  return name;
}

function resolveRecords(
  inputs: NonNullable<DnsInput['records']>,
  locate: Locate,
  base: Path,
): DnsConfig['records'] {
  const records: DnsConfig['records'] = new Map();
  for (const [key, value] of Object.entries(inputs)) {
    const path = [...base, key];
    const name = resolveName(key, failAt(locate, path));
    if (records.has(name)) {
      throw failAt(locate, path)(
        `${name} is given twice`,
        'Upper and lower case are one name: keep one of the two.',
      );
    }
    const read = (text: string, at: Path) => {
      const address = parseIp(text);
      if (address !== undefined) return address;
      throw failAt(locate, at)(`${quote(text)} is not an IP address`, 'Write an IPv4 or IPv6 address.');
    };
    const addresses =
      typeof value === 'string' ? [read(value, path)] : value.map((text, i) => read(text, [...path, i]));
    records.set(name, addresses);
  }
  return records;
}

function resolveUpstream(text: string, fail: Fail): DnsUpstream {
  const [, inBrackets, plain, portText] = UPSTREAM.exec(text) ?? [];
  const address = parseIp(inBrackets ?? plain ?? text); // the whole text: IPv6 without brackets has no port
  const port = portText === undefined ? DNS_PORT : parsePort(portText);
  if (address !== undefined && port !== undefined) return { address, port };
  const rule = 'Write "ADDRESS" or "ADDRESS:PORT", IPv6 with a port in brackets, for instance "[::1]:5353".';
  throw fail(`${quote(text)} is not the address of a name server`, rule);
}

/** Checks the `dns` section of a network. Throws CONFIG_INVALID. */
export function resolveDns(input: DnsInput, locate: Locate, base: Path): DnsConfig {
  const { records = {}, upstreams } = input;
  const dns: DnsConfig = { records: resolveRecords(records, locate, [...base, 'records']) };
  if (upstreams === undefined) return dns;
  dns.upstreams = upstreams.map((text, i) =>
    resolveUpstream(text, failAt(locate, [...base, 'upstreams', i])),
  );
  return dns;
}
