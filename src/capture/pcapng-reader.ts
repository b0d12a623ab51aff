/**
 * Reads the pcapng file that pcapng.ts writes, while it is written: in pieces cut anywhere, each block once it is
 * whole. Blocks of other kinds and options of other codes are passed over; other byte orders and units of time, which
 * we do not write, are not known here.
 */
import {
  BLOCK_HEADER_BYTES,
  BLOCK_INTERFACE,
  BLOCK_PACKET,
  BLOCK_TRAILER_BYTES,
  FLAG_OUTBOUND,
  INTERFACE_BODY_BYTES,
  INTERFACE_NAME,
  OPTION_COMMENT,
  OPTION_HEAD_BYTES,
  PACKET_BODY_BYTES,
  PACKET_DROPS,
  PACKET_FLAGS,
  STATISTICS_BODY_BYTES,
  STATISTICS_DROPS,
} from './pcapng-format.ts';

const LEAST_BLOCK_BYTES = BLOCK_HEADER_BYTES + BLOCK_TRAILER_BYTES;

/** A frame as it stands in the file. */
export interface ReadPacket {
  readonly interfaceId: number;
  /** Nanoseconds since 1970 */
  readonly time: bigint;
  /** What was kept of it */
  readonly bytes: Uint8Array;
  /** Bytes it had */
  readonly originalLength: number;
  /** As the switch sees it */
  readonly direction: 'in' | 'out';
  /** '' for none */
  readonly comment: string;
  /** Frames of this interface lost since the one before */
  readonly lost: number;
}

/** Cuts a stream into its blocks. */
export class BlockReader {
  #rest: Buffer = Buffer.alloc(0);

  /**
   * The blocks that `piece` completes.
   * @throws RangeError for a length that no block has
   */
  take(piece: Uint8Array): Buffer[] {
    let rest = this.#rest.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#rest, piece]);
    const blocks: Buffer[] = [];
    while (rest.length >= BLOCK_HEADER_BYTES) {
      const length = rest.readUInt32LE(4);
      if (length < LEAST_BLOCK_BYTES) throw new RangeError(`a pcapng block of ${length} bytes`);
      if (rest.length < length) break;
      blocks.push(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
    this.#rest = rest;
    return blocks;
  }
}

/** Frames out of a stream, each with the name of its interface. */
export class PacketReader {
  readonly #blocks = new BlockReader();
  readonly #names: string[] = [];

  /** The frames that `piece` completes. */
  take(piece: Uint8Array): (ReadPacket & { readonly interfaceName: string })[] {
    return this.#blocks.take(piece).flatMap((block) => {
      const type = blockType(block);
      if (type === BLOCK_INTERFACE) this.#names.push(interfaceName(block));
      if (type !== BLOCK_PACKET) return [];
      const packet = readPacket(block);
      return [{ ...packet, interfaceName: this.#names[packet.interfaceId] ?? '' }];
    });
  }
}

export function blockType(block: Buffer): number {
  return block.readUInt32LE(0);
}

/** Name in an interface description, '' for none. */
export function interfaceName(block: Buffer): string {
  return option(block, BLOCK_HEADER_BYTES + INTERFACE_BODY_BYTES, INTERFACE_NAME)?.toString('utf8') ?? '';
}

/** What an enhanced packet block says. */
export function readPacket(block: Buffer): ReadPacket {
  const body = BLOCK_HEADER_BYTES;
  const kept = block.readUInt32LE(body + 12);
  const frame = body + PACKET_BODY_BYTES;
  const options = frame + kept + (-kept & 3);
  return {
    interfaceId: block.readUInt32LE(body),
    time: (BigInt(block.readUInt32LE(body + 4)) << 32n) | BigInt(block.readUInt32LE(body + 8)),
    bytes: block.subarray(frame, frame + kept),
    originalLength: block.readUInt32LE(body + 16),
    direction: option(block, options, PACKET_FLAGS)?.readUInt32LE() === FLAG_OUTBOUND ? 'out' : 'in',
    comment: option(block, options, OPTION_COMMENT)?.toString('utf8') ?? '',
    lost: Number(option(block, options, PACKET_DROPS)?.readBigUInt64LE() ?? 0n),
  };
}

/** Number of the interface that statistics are about. */
export function statisticsInterface(block: Buffer): number {
  return block.readUInt32LE(BLOCK_HEADER_BYTES);
}

/** Frames that found no room, of interface statistics. */
export function lostFrames(block: Buffer): bigint {
  const options = BLOCK_HEADER_BYTES + STATISTICS_BODY_BYTES;
  return option(block, options, STATISTICS_DROPS)?.readBigUInt64LE() ?? 0n;
}

/** Value of the first option `code` from `at` on. */
function option(block: Buffer, at: number, code: number): Buffer | undefined {
  const end = block.length - BLOCK_TRAILER_BYTES;
  for (let next = at; next + OPTION_HEAD_BYTES <= end; ) {
    const length = block.readUInt16LE(next + 2);
    const value = next + OPTION_HEAD_BYTES;
    if (block.readUInt16LE(next) === code) return block.subarray(value, value + length);
    next = value + length + (-length & 3);
  }
  return undefined;
}
