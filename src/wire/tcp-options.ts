/**
 * TCP options (RFC 9293 section 3.2, RFC 7323, RFC 2018). Read into one object that is used again for every segment;
 * whatever is malformed ends the list there, and what came before counts.
 */

const END = 0;
const NO_OPERATION = 1;
const MAXIMUM_SEGMENT_SIZE = 2;
const WINDOW_SCALE = 3;
const SACK_PERMITTED = 4;
const SACK = 5;
const TIMESTAMPS = 8;

const MSS_BYTES = 4;
const WINDOW_SCALE_BYTES = 3;
const SACK_PERMITTED_BYTES = 2;
const TIMESTAMPS_BYTES = 10;
const SACK_BLOCK_BYTES = 8;
const MAX_SACK_BLOCKS = 4;

/** Largest shift (RFC 7323 section 2.3) */
export const MAX_WINDOW_SCALE = 14;

/** Timestamps with two no-operations before them, as RFC 7323 appendix A recommends: the only thing most segments carry */
export const TIMESTAMPS_ALIGNED_BYTES = 12;
const TIMESTAMPS_ALIGNED = 0x0101080a;

export class TcpOptions {
  /** Bytes, 0 when absent */
  mss = 0;
  /** -1 when absent */
  windowScale = -1;
  sackPermitted = false;
  hasTimestamps = false;
  timestamp = 0;
  timestampEcho = 0;
  /** Blocks in {@link sack}: left edge, right edge */
  sackBlocks = 0;
  readonly sack = new Int32Array(2 * MAX_SACK_BLOCKS);

  /** Reads the options of the segment at `off` whose header has `headerBytes` bytes. */
  read(view: DataView, off: number, headerBytes: number): void {
    const start = off + 20;
    const end = off + headerBytes;
    this.mss = 0;
    this.windowScale = -1;
    this.sackPermitted = false;
    this.hasTimestamps = false;
    this.sackBlocks = 0;
    if (end - start === TIMESTAMPS_ALIGNED_BYTES && view.getInt32(start) === TIMESTAMPS_ALIGNED) {
      this.#timestamps(view, start + 2);
      return;
    }
    for (let at = start; at < end; ) {
      const kind = view.getUint8(at);
      if (kind === END) return;
      if (kind === NO_OPERATION) {
        at++;
        continue;
      }
      if (at + 2 > end) return;
      const bytes = view.getUint8(at + 1);
      if (bytes < 2 || at + bytes > end) return;
      this.#option(view, at, kind, bytes);
      at += bytes;
    }
  }

  #option(view: DataView, at: number, kind: number, bytes: number): void {
    if (kind === MAXIMUM_SEGMENT_SIZE && bytes === MSS_BYTES) this.mss = view.getUint16(at + 2);
    else if (kind === WINDOW_SCALE && bytes === WINDOW_SCALE_BYTES) {
      this.windowScale = Math.min(view.getUint8(at + 2), MAX_WINDOW_SCALE);
    } else if (kind === SACK_PERMITTED && bytes === SACK_PERMITTED_BYTES) this.sackPermitted = true;
    else if (kind === TIMESTAMPS && bytes === TIMESTAMPS_BYTES) this.#timestamps(view, at);
    else if (kind === SACK) {
      const blocks = Math.min(Math.floor((bytes - 2) / SACK_BLOCK_BYTES), MAX_SACK_BLOCKS);
      this.sackBlocks = blocks;
      for (let i = 0; i < 2 * blocks; i++) this.sack[i] = view.getInt32(at + 2 + 4 * i);
    }
  }

  #timestamps(view: DataView, at: number): void {
    this.hasTimestamps = true;
    this.timestamp = view.getInt32(at + 2);
    this.timestampEcho = view.getInt32(at + 6);
  }
}

/** Writes aligned timestamps; returns {@link TIMESTAMPS_ALIGNED_BYTES}. */
export function writeTimestamps(view: DataView, off: number, timestamp: number, echo: number): number {
  view.setInt32(off, TIMESTAMPS_ALIGNED);
  view.setInt32(off + 4, timestamp);
  view.setInt32(off + 8, echo);
  return TIMESTAMPS_ALIGNED_BYTES;
}

/**
 * Writes the options of a SYN; returns their size, a multiple of 4.
 *
 * @param windowScale -1 for none
 */
export function writeSynOptions(
  view: DataView,
  off: number,
  mss: number,
  windowScale: number,
  sackPermitted: boolean,
): number {
  view.setUint8(off, MAXIMUM_SEGMENT_SIZE);
  view.setUint8(off + 1, MSS_BYTES);
  view.setUint16(off + 2, mss);
  let at = off + MSS_BYTES;
  if (windowScale >= 0) {
    view.setUint8(at, NO_OPERATION);
    view.setUint8(at + 1, WINDOW_SCALE);
    view.setUint8(at + 2, WINDOW_SCALE_BYTES);
    view.setUint8(at + 3, windowScale);
    at += 4;
  }
  if (sackPermitted) {
    view.setUint16(at, (NO_OPERATION << 8) | NO_OPERATION);
    view.setUint8(at + 2, SACK_PERMITTED);
    view.setUint8(at + 3, SACK_PERMITTED_BYTES);
    at += 4;
  }
  return at - off;
}

/** Writes the first `count` blocks (left and right edge) of `edges`; returns their size, a multiple of 4. */
export function writeSack(view: DataView, off: number, edges: Int32Array, count: number): number {
  view.setUint16(off, (NO_OPERATION << 8) | NO_OPERATION);
  view.setUint8(off + 2, SACK);
  view.setUint8(off + 3, 2 + count * SACK_BLOCK_BYTES);
  for (let i = 0; i < 2 * count; i++) view.setInt32(off + 4 + 4 * i, edges[i] as number);
  return 4 + count * SACK_BLOCK_BYTES;
}
