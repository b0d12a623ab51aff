/**
 * Fragments of what is longer than a link takes: IPv4 (RFC 791 section 3.2) and IPv6 (RFC 8200 section 4.5). Contract:
 * each writes only inside the header it is given.
 */
import { checksum } from './checksum.ts';
import { IPV4_HEADER_BYTES } from './ipv4.ts';

export const FRAGMENT_HEADER_BYTES = 8;
/** Every fragment but the last carries a multiple of this, bytes */
export const FRAGMENT_UNIT = 8;

const IDENTIFICATION = 4;
const FLAGS_FRAGMENT_OFFSET = 6;
const HEADER_CHECKSUM = 10;
const MORE_FRAGMENTS = 0x2000;

const NEXT_HEADER = 0;
const OFFSET_FLAGS = 2;
const MORE_FRAGMENTS6 = 1;
const IDENTIFICATION6 = 4;

/**
 * Turns the IPv4 header without options at `off` into a fragment's, its checksum right again.
 *
 * @param offset of the fragment's data, in bytes: a multiple of FRAGMENT_UNIT  @param more whether others follow
 */
export function toFragment(
  view: DataView,
  off: number,
  identification: number,
  offset: number,
  more: boolean,
): void {
  view.setUint16(off + IDENTIFICATION, identification);
  view.setUint16(off + FLAGS_FRAGMENT_OFFSET, (offset / FRAGMENT_UNIT) | (more ? MORE_FRAGMENTS : 0));
  view.setUint16(off + HEADER_CHECKSUM, 0);
  view.setUint16(off + HEADER_CHECKSUM, checksum(view, off, IPV4_HEADER_BYTES));
}

/** Writes an IPv6 fragment header; parameters as in {@link toFragment}. */
export function emitFragmentHeader(
  view: DataView,
  off: number,
  nextHeader: number,
  identification: number,
  offset: number,
  more: boolean,
): void {
  view.setUint16(off + NEXT_HEADER, nextHeader << 8);
  view.setUint16(off + OFFSET_FLAGS, offset | (more ? MORE_FRAGMENTS6 : 0));
  view.setInt32(off + IDENTIFICATION6, identification);
}
