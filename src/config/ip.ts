/**
 * Addresses of either family in one form: four int32 words, an IPv4 address mapped into ::ffff:0:0/96 (RFC 4291
 * section 2.5.5.2). So is what the datapath compares and hands to sockets; text that spells a mapped address means the
 * IPv4 address.
 */
import { formatIpv4, maskOf, parseIpv4 } from '../wire/ipv4.ts';
import { formatIpv6, parseIpv6 } from '../wire/ipv6.ts';

/** Four int32 words, the address's first bits first. */
export type IpWords = readonly [w0: number, w1: number, w2: number, w3: number];

/** A block of addresses; `length` counts in 128 bits, so an IPv4 block has 96 more than in its text. */
export interface IpPrefix {
  address: IpWords;
  length: number;
}

const MAPPED = 0xffff; // the third word of a mapped address
const LOOPBACK6: IpWords = [0, 0, 0, 1]; // ::1, RFC 4291 section 2.5.3
/** Bits before the IPv4 address in a mapped one. */
export const MAPPED_BITS = 96;

/** The words of an IPv4 address given as int32 or uint32. */
export function ipv4Words(address: number): IpWords {
  return [0, 0, MAPPED, address | 0];
}

/** True when the words are an IPv4 address, false for IPv6. */
export function isIpv4([w0, w1, w2]: IpWords): boolean {
  return w0 === 0 && w1 === 0 && w2 === MAPPED;
}

/** The words of an IPv4 or IPv6 address without zone, `undefined` for any other text. */
export function parseIp(text: string): IpWords | undefined {
  const ipv4 = parseIpv4(text);
  if (ipv4 !== undefined) return ipv4Words(ipv4);
  const bytes = parseIpv6(text);
  if (bytes === undefined) return undefined;
  const view = new DataView(bytes.buffer);
  return [view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12)];
}

/** Text of an address, IPv6 as RFC 5952 has it. */
export function formatIp(words: IpWords): string {
  if (isIpv4(words)) return formatIpv4(words[3]);
  const view = new DataView(new ArrayBuffer(16));
  words.forEach((word, i) => {
    view.setInt32(4 * i, word);
  });
  return formatIpv6(new Uint8Array(view.buffer));
}

/** Text of an address and a port, IPv6 in brackets (RFC 3986 section 3.2.2). */
export function formatEndpoint(words: IpWords, port: number): string {
  return isIpv4(words) ? `${formatIp(words)}:${port}` : `[${formatIp(words)}]:${port}`;
}

/** Word `i` of the mask of a prefix of `length` bits (0 to 128), int32. */
export function maskWord(length: number, i: number): number {
  return maskOf(Math.min(Math.max(length - 32 * i, 0), 32));
}

/** The first address of the block of `length` bits that `words` belongs to. */
export function firstOf([w0, w1, w2, w3]: IpWords, length: number): IpWords {
  return [
    w0 & maskWord(length, 0),
    w1 & maskWord(length, 1),
    w2 & maskWord(length, 2),
    w3 & maskWord(length, 3),
  ];
}

export function isSameIp(a: IpWords, b: IpWords): boolean {
  return a.every((word, i) => word === b[i]);
}

/** True for the addresses by which only this host reaches itself. */
export function isLoopback(address: IpWords): boolean {
  // 127.0.0.0/8: RFC 1122 section 3.2.1.3
  return isIpv4(address) ? address[3] >>> 24 === 127 : isSameIp(address, LOOPBACK6);
}

/**
 * Reads `ADDRESS/LENGTH`, or an address alone, which is a block of one; host bits are kept. `undefined` for any other
 * text.
 */
export function parsePrefix(text: string): IpPrefix | undefined {
  const [addressText, lengthText, ...rest] = text.split('/');
  const address = parseIp(addressText);
  if (address === undefined || rest.length > 0) return undefined;
  if (lengthText === undefined) return { address, length: 128 };
  const offset = addressText.includes(':') ? 0 : MAPPED_BITS;
  const length = offset + Number(lengthText);
  return /^(?:0|[1-9]\d{0,2})$/.test(lengthText) && length <= 128 ? { address, length } : undefined;
}

/** Text of a block, IPv4 with its own count of bits. */
export function formatPrefix({ address, length }: IpPrefix): string {
  return `${formatIp(address)}/${isIpv4(address) && length >= MAPPED_BITS ? length - MAPPED_BITS : length}`;
}
