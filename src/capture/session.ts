/**
 * The control thread's end of a capture: what the workers' rings hold, as a pcapng file.
 *
 * Theory of operation. The file is pulled: frames stay in the rings until the next piece is asked for, so whoever
 * reads slowly loses frames (which are counted) and holds up nobody. Between two pieces the rings are looked at every
 * few milliseconds. Frames of several workers are put in order within a piece.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BlockBuffer } from './block-buffer.ts';
import {
  interfaceDescription,
  interfaceStatistics,
  type NamedAddress,
  nameResolution,
  sectionHeader,
} from './pcapng.ts';
import { RingReader } from './ring.ts';

const POLL_MS = 20;
/** Frames in one piece of the file */
const PIECE_FRAMES = 2048;
const NANOSECONDS_PER_MS = 1_000_000n;

/** What a port is called in the file. */
export interface PortLabel {
  readonly name: string;
  readonly description: string;
}

export interface SessionOptions {
  readonly rings: readonly SharedArrayBuffer[];
  readonly lost: SharedArrayBuffer;
  /** Undefined for a port that is not there any more */
  readonly label: (port: number) => PortLabel | undefined;
  /** Ports that are captured as it begins */
  readonly ports: readonly number[];
  readonly names: () => readonly NamedAddress[];
  readonly filter: string;
  readonly snaplen: number;
  /** Frames after which it ends */
  readonly count: number;
  /** Time after which it ends, `ms` */
  readonly durationMs: number;
  /** Ends it in the workers; called once */
  readonly end: () => Promise<void>;
}

interface Interface {
  readonly id: number;
  readonly name: string;
  readonly port: number;
  /** What `lost` of its port was before */
  readonly lostBefore: number;
  written: number;
}

export class CaptureSession {
  readonly #options: SessionOptions;
  readonly #readers: readonly RingReader[];
  readonly #lost: Int32Array;
  readonly #interfaces: Interface[] = [];
  readonly #current = new Map<number, Interface>();
  readonly #start = now();
  readonly #stopping = new AbortController();
  #written = 0;
  #isRead = false;
  #ended: Promise<void> | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#readers = options.rings.map((ring) => new RingReader(ring));
    this.#lost = new Int32Array(options.lost);
  }

  /** Frames written so far. */
  get written(): number {
    return this.#written;
  }

  /** Frames that found no room so far. */
  get lost(): number {
    return this.#lost.reduce((sum, count) => sum + count, 0);
  }

  /** Lets the file come to its end. Where nobody has begun to read it, nobody may ever: it ends here and now. */
  stop(): void {
    this.#stopping.abort();
    if (!this.#isRead) this.#end().catch(() => {});
  }

  /** Ends it in the workers, once. */
  #end(): Promise<void> {
    this.#ended ??= this.#options.end();
    return this.#ended;
  }

  /** The file, piece by piece. Leaving the loop ends the capture, too. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    this.#isRead = true;
    let names = '';
    try {
      names = JSON.stringify(this.#options.names());
      yield this.#opening();
      while (!this.#isOver()) {
        const piece = this.#piece();
        if (piece.length > 0) yield piece;
        else await sleep(POLL_MS, undefined, { signal: this.#stopping.signal }).catch(() => {});
      }
    } finally {
      await this.#end();
    }
    for (let piece = this.#piece(); piece.length > 0; piece = this.#piece()) yield piece;
    const later = this.#options.names();
    const known = JSON.stringify(later) === names ? [] : later;
    yield Buffer.concat([...namesBlock(known), ...this.#statistics()]);
  }

  #isOver(): boolean {
    const { count, durationMs } = this.#options;
    if (this.#stopping.signal.aborted || this.#written >= count) return true;
    return Number((now() - this.#start) / NANOSECONDS_PER_MS) >= durationMs;
  }

  #opening(): Uint8Array {
    const { ports, names } = this.#options;
    const blocks = [sectionHeader('tapswitch'), ...ports.flatMap((port) => this.#describe(port))];
    return Buffer.concat([...blocks, ...namesBlock(names())]);
  }

  /** What the rings hold by now, up to a bound. */
  #piece(): Uint8Array {
    const blocks = new BlockBuffer();
    const described = new Set<number>();
    const room = Math.min(PIECE_FRAMES, this.#options.count - this.#written);
    for (const reader of this.#readers) reader.open();
    for (let i = 0; i < room; i++) {
      const record = this.#earliest();
      if (record === undefined) break;
      const { port } = record;
      // A number is another VM's at times.
      if (!described.has(port)) for (const block of this.#describe(port)) blocks.add(block);
      described.add(port);
      const on = this.#current.get(port) as Interface;
      blocks.addPacket(on.id, record);
      on.written++;
      this.#written++;
      record.next();
    }
    for (const reader of this.#readers) reader.close();
    return blocks.bytes;
  }

  /** The ring whose next frame is the first of all; undefined where there is none. */
  #earliest(): RingReader | undefined {
    let first: RingReader | undefined;
    for (const reader of this.#readers) {
      if (reader.isAt && (first === undefined || isBefore(reader, first))) first = reader;
    }
    return first;
  }

  /** The block that introduces a port, unless the file has it. */
  #describe(port: number): Uint8Array[] {
    const known = this.#current.get(port);
    const label =
      this.#options.label(port) ?? (known ? undefined : { name: `port ${port}`, description: '' });
    if (label === undefined || label.name === known?.name) return [];
    const { snaplen, filter } = this.#options;
    const lostBefore = known === undefined ? 0 : (this.#lost[port] as number);
    const added = { id: this.#interfaces.length, name: label.name, port, lostBefore, written: 0 };
    this.#interfaces.push(added);
    this.#current.set(port, added);
    return [interfaceDescription({ ...label, snaplen, filter })];
  }

  #statistics(): Uint8Array[] {
    const end = now();
    return this.#interfaces.map(({ id, port, lostBefore, written }) => {
      const isCurrent = this.#current.get(port)?.id === id;
      const lost = isCurrent ? (this.#lost[port] as number) - lostBefore : 0;
      return interfaceStatistics({
        interfaceId: id,
        start: this.#start,
        end,
        selected: BigInt(written + lost),
        lost: BigInt(lost),
        written: BigInt(written),
      });
    });
  }
}

function namesBlock(names: readonly NamedAddress[]): Uint8Array[] {
  return names.length === 0 ? [] : [nameResolution(names)];
}

function isBefore(one: RingReader, other: RingReader): boolean {
  const seconds = one.seconds - other.seconds;
  return seconds < 0 || (seconds === 0 && one.nanoseconds < other.nanoseconds);
}

/** Nanoseconds since 1970. */
function now(): bigint {
  return BigInt(Date.now()) * NANOSECONDS_PER_MS;
}
