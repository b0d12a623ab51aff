/** The Internet checksum the slow and obvious way, as oracle and for building frames. */

/** Checksum of RFC 1071 over the parts joined; 0 over bytes that hold a right one. */
export function internetChecksum(...parts: (readonly number[] | Uint8Array)[]): number {
  const bytes = parts.flatMap((part) => [...part]);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] as number) * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return 0xffff - sum;
}

/** IPv4 pseudo-header of TCP and UDP; `addresses` are the eight bytes of source and destination. */
export function pseudoHeader(
  addresses: readonly number[] | Uint8Array,
  protocol: number,
  bytes: number,
): number[] {
  return [...addresses, 0, protocol, bytes >>> 8, bytes & 0xff];
}

/** IPv6 pseudo-header; `addresses` are the 32 bytes of source and destination. */
export function pseudoHeader6(
  addresses: readonly number[] | Uint8Array,
  protocol: number,
  bytes: number,
): number[] {
  return [...addresses, 0, 0, bytes >>> 8, bytes & 0xff, 0, 0, 0, protocol];
}
