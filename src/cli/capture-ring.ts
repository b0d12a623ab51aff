/** A ring of capture files, each of which can be opened alone: it has what introduces its frames, and statistics. */
import { closeSync } from 'node:fs';
import { interfaceStatistics } from '../capture/pcapng.ts';
import {
  BLOCK_INTERFACE,
  BLOCK_NAMES,
  BLOCK_PACKET,
  BLOCK_SECTION,
  BLOCK_STATISTICS,
} from '../capture/pcapng-format.ts';
import { blockType, lostFrames, readPacket, statisticsInterface } from '../capture/pcapng-reader.ts';
import { type CaptureTarget, openNew, writeAll } from './capture-file.ts';

const NANOSECONDS_PER_MS = 1_000_000n;

/** Files of a ring, and bytes after which the next one is begun. */
export interface RingSize {
  readonly files: number;
  readonly bytes: number;
}

interface Tally {
  /** Frames in this file, and those lost that it tells of */
  written: bigint;
  lost: bigint;
  /** Those lost that files before it told of */
  lostBefore: bigint;
}

/** What the statistics of one file say, and then those of the next. */
class FileStatistics {
  readonly #tallies: Tally[] = [];
  #first: bigint | undefined;
  #last = 0n;

  addInterface(): void {
    this.#tallies.push({ written: 0n, lost: 0n, lostBefore: 0n });
  }

  addPacket(block: Buffer): void {
    const { interfaceId, time, lost } = readPacket(block);
    const tally = this.#tallies[interfaceId] as Tally;
    tally.written++;
    tally.lost += BigInt(lost);
    this.#first ??= time;
    this.#last = time;
  }

  /** Takes over what the whole capture lost: after the last frame of an interface nothing told of it. */
  addTotal(block: Buffer): void {
    const tally = this.#tallies[statisticsInterface(block)] as Tally;
    tally.lost = lostFrames(block) - tally.lostBefore;
  }

  /** The blocks of this file; the next one begins with nothing. */
  finish(): Buffer {
    const end = this.#first === undefined ? BigInt(Date.now()) * NANOSECONDS_PER_MS : this.#last;
    const start = this.#first ?? end;
    this.#first = undefined;
    const blocks = this.#tallies.map((tally, interfaceId) => {
      const { written, lost } = tally;
      tally.written = 0n;
      tally.lost = 0n;
      tally.lostBefore += lost;
      return interfaceStatistics({ interfaceId, start, end, selected: written + lost, lost, written });
    });
    return Buffer.concat(blocks);
  }

  /** Bytes of what {@link finish} returns. */
  get bytes(): number {
    return this.#tallies.length * STATISTICS_BYTES;
  }
}

const STATISTICS_BYTES = interfaceStatistics({
  ...{ interfaceId: 0, start: 0n, end: 0n, selected: 0n, lost: 0n, written: 0n },
}).length;

/** `path` with a number before its suffix: `trace.pcapng` is `trace-1.pcapng`, `trace-2.pcapng` and so on, then again. */
export function ringTarget(path: string, { files, bytes }: RingSize): CaptureTarget {
  const [, stem = path, suffix = ''] = /^(.*?)(\.[^./]*)?$/s.exec(path) ?? [];
  const preamble: Buffer[] = [];
  const statistics = new FileStatistics();
  let fd = -1;
  let name = '';
  let written = 0;
  let number = 0;
  const begin = () => {
    name = `${stem}-${(number++ % files) + 1}${suffix}`;
    fd = openNew(name);
    written = 0;
    for (const block of preamble) put(block);
  };
  const put = (block: Buffer) => {
    writeAll(fd, name, block);
    written += block.length;
  };
  const finish = () => {
    put(statistics.finish());
    closeSync(fd);
  };
  const packet = (block: Buffer) => {
    if (written + block.length + statistics.bytes > bytes) {
      finish();
      begin();
    }
    statistics.addPacket(block);
    put(block);
  };
  begin();
  return {
    async write(block) {
      switch (blockType(block)) {
        case BLOCK_PACKET:
          return packet(block);
        case BLOCK_STATISTICS:
          return statistics.addTotal(block);
        case BLOCK_INTERFACE:
          statistics.addInterface();
          break;
        case BLOCK_SECTION:
        case BLOCK_NAMES:
          break;
        default:
          return put(block);
      }
      put(block);
      preamble.push(Buffer.from(block));
    },
    close: finish,
  };
}
