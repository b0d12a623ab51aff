/**
 * The virtio-net header that goes before a frame on TAP and packet sockets (struct virtio_net_hdr in
 * linux/virtio_net.h): which checksum is still to be filled in, and how the frame is to be segmented. Little-endian
 * on x64 and arm64. Contract: VNET_HEADER_BYTES are there at `off`; `check` then tells whether their content can be
 * believed.
 */

export const VNET_HEADER_BYTES = 10;

/** The checksum from `checksumStart` on is still to be computed */
export const FLAG_NEEDS_CSUM = 1;
/** The checksum has been verified already */
export const FLAG_DATA_VALID = 2;

export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_UDP = 3;
export const GSO_TCPV6 = 4;
export const GSO_UDP_L4 = 5;
/** Bit beside a TCP type: the segments carry ECN */
export const GSO_ECN = 0x80;

const FLAGS = 0;
const GSO_TYPE = 1;
const HDR_LEN = 2;
const GSO_SIZE = 4;
const CSUM_START = 6;
const CSUM_OFFSET = 8;

const CHECKSUM_BYTES = 2;

/** FLAG_ bits. */
export function flags(view: DataView, off: number): number {
  return view.getUint8(off + FLAGS);
}

/** GSO_ type, with GSO_ECN where set. */
export function gsoType(view: DataView, off: number): number {
  return view.getUint8(off + GSO_TYPE);
}

/** Bytes of all headers of the frame, a hint unless there is a GSO type. */
export function headerLength(view: DataView, off: number): number {
  return view.getUint16(off + HDR_LEN, true);
}

/** Bytes of payload in each segment. */
export function gsoSize(view: DataView, off: number): number {
  return view.getUint16(off + GSO_SIZE, true);
}

/** Offset in the frame from which the checksum is computed. */
export function checksumStart(view: DataView, off: number): number {
  return view.getUint16(off + CSUM_START, true);
}

/** Offset of the checksum field, from `checksumStart`. */
export function checksumOffset(view: DataView, off: number): number {
  return view.getUint16(off + CSUM_OFFSET, true);
}

/** Writes the header of a plain frame: nothing to segment, nothing to compute. */
export function clear(view: DataView, off: number): void {
  view.setUint16(off + FLAGS, 0);
  view.setInt32(off + HDR_LEN, 0);
  view.setInt32(off + CSUM_START, 0);
}

/**
 * Writes the header of a frame whose checksum, and whose segmentation where `gsoType` is not GSO_NONE, are left to
 * whoever comes next.
 *
 * @param headerBytes of all headers of the frame  @param gsoSize payload bytes of a segment
 * @param checksumStart offset in the frame from which the checksum runs  @param checksumOffset of its field from there
 */
export function writeUnfinished(
  view: DataView,
  off: number,
  gsoType: number,
  headerBytes: number,
  gsoSize: number,
  checksumStart: number,
  checksumOffset: number,
): void {
  view.setUint8(off + FLAGS, FLAG_NEEDS_CSUM);
  view.setUint8(off + GSO_TYPE, gsoType);
  view.setUint16(off + HDR_LEN, headerBytes, true);
  view.setUint16(off + GSO_SIZE, gsoSize, true);
  view.setUint16(off + CSUM_START, checksumStart, true);
  view.setUint16(off + CSUM_OFFSET, checksumOffset, true);
}

/**
 * True when no field can lead the kernel or a peer outside the frame of `frameBytes` (without this header). The
 * kernel refuses what fails here too (EINVAL), a header length past the end even without a GSO type, except
 * unknown flags, which it ignores and a peer may not.
 */
export function check(view: DataView, off: number, frameBytes: number): boolean {
  const bits = flags(view, off);
  if ((bits & ~(FLAG_NEEDS_CSUM | FLAG_DATA_VALID)) !== 0 || headerLength(view, off) > frameBytes)
    return false;
  if ((bits & FLAG_NEEDS_CSUM) !== 0) {
    const end = checksumStart(view, off) + checksumOffset(view, off) + CHECKSUM_BYTES;
    if (end > frameBytes) return false;
  }
  const type = gsoType(view, off);
  return type === GSO_NONE || (isKnownGso(type) && gsoSize(view, off) > 0);
}

function isKnownGso(type: number): boolean {
  const base = type & ~GSO_ECN;
  if (base === GSO_TCPV4 || base === GSO_TCPV6) return true;
  return type === GSO_UDP || type === GSO_UDP_L4;
}
