/** IP addresses between text and the bytes that the kernel's interfaces carry. */
import { isIPv4, isIPv6 } from 'node:net';

const IPV4_BYTES = 4;
const IPV6_BYTES = 16;

/** Shortest text of an IPv6 address (RFC 5952), by the URL standard's serialiser; it also expands an IPv4 tail. */
function canonicalIpv6(text: string): string {
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}

function ipv6Groups(half: string): number[] {
  return half === '' ? [] : half.split(':').map((group) => Number.parseInt(group, 16));
}

/** Bytes of an address, 4 or 16. Throws RangeError for what is no address; a zone (`%eth0`) is none. */
export function addressBytes(text: string): Uint8Array {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  if (!isIPv6(text) || text.includes('%')) throw new RangeError(`'${text}' is not an IP address`);
  const [head = '', tail = ''] = canonicalIpv6(text).split('::');
  const first = ipv6Groups(head);
  const last = ipv6Groups(tail);
  const zeros = new Array<number>(IPV6_BYTES / 2 - first.length - last.length).fill(0);
  return Uint8Array.from([...first, ...zeros, ...last].flatMap((group) => [group >> 8, group & 0xff]));
}

/** Text of an address of 4 or 16 bytes; '' for any other length. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === IPV4_BYTES) return bytes.join('.');
  if (bytes.length !== IPV6_BYTES) return '';
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16));
  return canonicalIpv6(groups.join(':'));
}

export interface Prefix {
  readonly address: Uint8Array;
  /** Length, `bits` */
  readonly prefix: number;
}

/** Reads `address/prefix`. Throws RangeError for anything else. */
export function parsePrefix(text: string): Prefix {
  const [, addressPart, prefixPart] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  if (addressPart === undefined) throw new RangeError(`'${text}' is not of the form address/prefix`);
  const address = addressBytes(addressPart);
  const prefix = Number(prefixPart);
  if (prefix > address.length * 8) throw new RangeError(`the prefix of '${text}' is too long`);
  return { address, prefix };
}
