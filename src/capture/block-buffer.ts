/**
 * Where the blocks of a piece of a pcapng file gather. A packet's block is written from the ring straight to its place: a
 * capture of a busy switch is tens of thousands of them a second, on a thread that has other things to do.
 */
import { DROP_REASONS } from '../telemetry/drops.ts';
import { NOT_DROPPED } from './filter/frame.ts';
import { field } from './pcapng.ts';
import {
  BLOCK_HEADER_BYTES,
  BLOCK_PACKET,
  BLOCK_TRAILER_BYTES,
  FLAG_INBOUND,
  FLAG_OUTBOUND,
  OPTION_COMMENT,
  OPTION_HEAD_BYTES,
  PACKET_BODY_BYTES,
  PACKET_DROPS,
  PACKET_FLAGS,
  PACKET_ID,
} from './pcapng-format.ts';
import { RECEIVED, type RingReader } from './ring.ts';

const FIRST_BYTES = 16_384;
const FRAME_OFFSET = BLOCK_HEADER_BYTES + PACKET_BODY_BYTES;
const END_BYTES = OPTION_HEAD_BYTES;
const FLAGS_BYTES = OPTION_HEAD_BYTES + 4;
const DROPS_BYTES = OPTION_HEAD_BYTES + 8;
const ID_BYTES = OPTION_HEAD_BYTES + 8;
const LEAST_PACKET_BYTES = FRAME_OFFSET + FLAGS_BYTES + ID_BYTES + END_BYTES + BLOCK_TRAILER_BYTES;

const NOTHING = new Uint8Array(0);
/** Of dropped frames, by the number of the reason */
const COMMENTS = DROP_REASONS.map((reason) =>
  Buffer.concat(field(OPTION_COMMENT, Buffer.from(`dropped: ${reason}`))),
);

export class BlockBuffer {
  #u8: Uint8Array = NOTHING;
  #words = new Int32Array(0);
  #view = new DataView(new ArrayBuffer(0));
  #used = 0;

  /** What has gathered. */
  get bytes(): Uint8Array {
    return this.#u8.subarray(0, this.#used);
  }

  add(block: Uint8Array): void {
    this.#makeRoom(block.length);
    this.#u8.set(block, this.#used);
    this.#used += block.length;
  }

  /** Adds the block of the frame that the reader is at. */
  addPacket(interfaceId: number, record: RingReader): void {
    const { kept, lost, reason } = record;
    const comment = reason === NOT_DROPPED ? NOTHING : (COMMENTS[reason] as Uint8Array);
    const padded = (kept + 3) & ~3;
    const bytes = LEAST_PACKET_BYTES + padded + comment.length + (lost === 0 ? 0 : DROPS_BYTES);
    this.#makeRoom(bytes);
    const view = this.#view;
    const start = this.#used;
    view.setUint32(start, BLOCK_PACKET, true);
    view.setUint32(start + 4, bytes, true);
    view.setUint32(start + 8, interfaceId, true);
    this.#setTime(start + 12, record.seconds, record.nanoseconds);
    view.setUint32(start + 20, kept, true);
    view.setUint32(start + 24, record.length, true);
    record.copyWords(this.#words, (start + FRAME_OFFSET) >> 2);
    let at = start + FRAME_OFFSET + kept;
    while ((at & 3) !== 0) this.#u8[at++] = 0;
    this.#u8.set(comment, at);
    at += comment.length;
    at = this.#option(at, PACKET_FLAGS, 4, record.kind === RECEIVED ? FLAG_INBOUND : FLAG_OUTBOUND);
    if (lost !== 0) at = this.#option(at, PACKET_DROPS, 8, lost);
    at = this.#option(at, PACKET_ID, 8, record.id);
    view.setUint32(at, 0, true);
    view.setUint32(at + END_BYTES, bytes, true);
    this.#used += bytes;
  }

  /** An option whose value is a number of 32 bits. @param bytes 4 or 8 */
  #option(at: number, code: number, bytes: number, value: number): number {
    const view = this.#view;
    view.setUint16(at, code, true);
    view.setUint16(at + 2, bytes, true);
    view.setUint32(at + OPTION_HEAD_BYTES, value, true);
    if (bytes === 8) view.setUint32(at + OPTION_HEAD_BYTES + 4, 0, true);
    return at + OPTION_HEAD_BYTES + bytes;
  }

  /** Nanoseconds since 1970, the upper word first, in numbers that a double holds exactly. */
  #setTime(at: number, seconds: number, nanoseconds: number): void {
    const upper = (seconds >>> 16) * 1e9; // times 2^16
    const lower = (seconds & 0xffff) * 1e9 + nanoseconds + (upper % 2 ** 16) * 2 ** 16;
    this.#view.setUint32(at, Math.floor(upper / 2 ** 16) + Math.floor(lower / 2 ** 32), true);
    this.#view.setUint32(at + 4, lower % 2 ** 32, true);
  }

  #makeRoom(bytes: number): void {
    const wanted = this.#used + bytes;
    if (wanted <= this.#u8.length) return;
    let size = Math.max(this.#u8.length, FIRST_BYTES);
    while (size < wanted) size *= 2;
    // All of it is written before it is read.
    const { buffer } = Buffer.allocUnsafeSlow(size);
    const grown = new Uint8Array(buffer);
    grown.set(this.bytes);
    this.#u8 = grown;
    this.#words = new Int32Array(buffer);
    this.#view = new DataView(buffer);
  }
}
