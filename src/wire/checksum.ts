/**
 * The Internet checksum (RFC 1071): one's complement sums over 16-bit big-endian words, and its incremental
 * update (RFC 1624). Partial sums stay below 2^24, so they can be added to each other and travel between
 * functions as small integers. Contract: the `bytes` at `off` lie inside the view; at most 131,072 of them.
 */

const STRIDE = 16;

/**
 * Partial one's complement sum of `bytes` bytes, an odd last one padded with zero (RFC 1071 section 4.1), added
 * to `initial`, another partial sum. Give it to `fold`.
 */
export function sum(view: DataView, off: number, bytes: number, initial = 0): number {
  // High and low halves apart, so that int32 holds the whole sum without a carry. Sums of uint32 would be doubles:
  // a little faster over 64 KB (12 us against 15), but 44 ns against 19 for a 20-byte header.
  let high = 0;
  let low = initial;
  let at = off;
  const end = off + bytes;
  for (; at + STRIDE <= end; at += STRIDE) {
    const a = view.getInt32(at);
    const b = view.getInt32(at + 4);
    const c = view.getInt32(at + 8);
    const d = view.getInt32(at + 12);
    high = (high + (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16)) | 0;
    low = (low + (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff)) | 0;
  }
  for (; at + 2 <= end; at += 2) low = (low + view.getUint16(at)) | 0;
  if (at < end) low = (low + (view.getUint8(at) << 8)) | 0;
  return (high >>> 16) + (high & 0xffff) + (low >>> 16) + (low & 0xffff);
}

/** Folds a partial sum (below 2^32) to 16 bits by end-around carry (RFC 1071 section 1). */
export function fold(sum: number): number {
  const once = (sum >>> 16) + (sum & 0xffff);
  return (once >>> 16) + (once & 0xffff);
}

/** The checksum as it is written into a header (RFC 1071 section 1); over bytes that include a right one it is 0. */
export function checksum(view: DataView, off: number, bytes: number, initial = 0): number {
  return fold(sum(view, off, bytes, initial)) ^ 0xffff;
}

/** The checksum `check` after one 16-bit word changed from `oldWord` to `newWord` (RFC 1624 equation 3). */
export function update16(check: number, oldWord: number, newWord: number): number {
  return fold((check ^ 0xffff) + (oldWord ^ 0xffff) + newWord) ^ 0xffff;
}

/** Partial sum of the IPv4 pseudo-header of UDP and TCP (RFC 768, RFC 9293 section 3.1); `length` in bytes. */
export function pseudoHeader4(src: number, dst: number, protocol: number, length: number): number {
  return (src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff) + protocol + length;
}

/** Partial sum of the IPv6 pseudo-header (RFC 8200 section 8.1), addresses read from the view; `length` in bytes. */
export function pseudoHeader6(
  view: DataView,
  srcOff: number,
  dstOff: number,
  nextHeader: number,
  length: number,
): number {
  return sum(view, srcOff, 16) + sum(view, dstOff, 16) + (length >>> 16) + (length & 0xffff) + nextHeader;
}
