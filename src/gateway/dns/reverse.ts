/**
 * Names of addresses: in-addr.arpa (RFC 1035 section 3.5) and ip6.arpa (RFC 3596 section 2.5). Such a name has an
 * address's bytes or half-bytes as labels, the last first; a shorter one stands for the block of what it names.
 */
import { type IpPrefix, type IpWords, ipv4Words, MAPPED_BITS } from '../../config/ip.ts';

export interface ReverseName {
  /** The block the name stands for, a single address in the case of all 128 bits */
  readonly block: IpPrefix;
  /** Whether there is nothing before the labels that count */
  readonly whole: boolean;
}

const IPV4_SUFFIX = '.in-addr.arpa';
const IPV6_SUFFIX = '.ip6.arpa';
const OCTETS = 4;
const NIBBLES = 32;
const OCTET = /^(?:0|[1-9]\d{0,2})$/;
const NIBBLE = /^[0-9a-f]$/;

/** What a name, in lower case, says about addresses; `undefined` when it is not below one of the two domains. */
export function parseReverse(name: string): ReverseName | undefined {
  if (name.endsWith(IPV4_SUFFIX)) return parseIpv4Name(name.slice(0, -IPV4_SUFFIX.length).split('.'));
  if (name.endsWith(IPV6_SUFFIX)) return parseIpv6Name(name.slice(0, -IPV6_SUFFIX.length).split('.'));
  return undefined;
}

function parseIpv4Name(labels: string[]): ReverseName {
  let address = 0;
  let count = 0;
  for (let label = labels.pop(); label !== undefined; label = labels.pop()) {
    const value = OCTET.test(label) ? Number(label) : 256;
    if (value > 255 || count === OCTETS) return reverse(ipv4Words(address), MAPPED_BITS + 8 * count, false);
    address |= value << (24 - 8 * count);
    count++;
  }
  return reverse(ipv4Words(address), MAPPED_BITS + 8 * count, true);
}

function parseIpv6Name(labels: string[]): ReverseName {
  const words: [number, number, number, number] = [0, 0, 0, 0];
  let count = 0;
  for (let label = labels.pop(); label !== undefined; label = labels.pop()) {
    if (!NIBBLE.test(label) || count === NIBBLES) return reverse(words, 4 * count, false);
    const word = count >>> 3;
    words[word] = (words[word] as number) | (Number.parseInt(label, 16) << (28 - 4 * (count & 7)));
    count++;
  }
  return reverse(words, 4 * count, true);
}

function reverse(address: IpWords, length: number, whole: boolean): ReverseName {
  return { block: { address, length }, whole };
}
