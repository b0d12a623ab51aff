/** Where `tapswitch capture` writes: one file, standard output, or a ring of files each of which can be opened alone. */
import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import { TapswitchError } from '../errors.ts';

const SECTION = 0x0a0d0d0a;
const INTERFACE = 1;
const NAMES = 4;
const STATISTICS = 5;
const PACKET = 6;
const LOST_OPTION = 7; // isb_osdrop
const HEADER_BYTES = 8;
const STATISTICS_HEADER_BYTES = 20;

/** Files of a ring, and bytes after which the next one is begun. */
export interface RingSize {
  readonly files: number;
  readonly bytes: number;
}

export interface CaptureTarget {
  /** Resolves when there is room for more */
  write(block: Buffer): Promise<void>;
  close(): void;
}

/** Cuts a pcapng stream into its blocks, and counts what is in them. */
export class Blocks {
  #rest: Buffer = Buffer.alloc(0);
  /** Frames so far, and those that found no room: known at the end */
  frames = 0;
  lost = 0n;

  /** The blocks that `piece` completes. */
  take(piece: Uint8Array): Buffer[] {
    let rest = this.#rest.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#rest, piece]);
    const blocks: Buffer[] = [];
    while (rest.length >= HEADER_BYTES && rest.length >= rest.readUInt32LE(4)) {
      const block = rest.subarray(0, rest.readUInt32LE(4));
      this.#count(block);
      blocks.push(block);
      rest = rest.subarray(block.length);
    }
    this.#rest = rest;
    return blocks;
  }

  #count(block: Buffer): void {
    const type = block.readUInt32LE(0);
    if (type === PACKET) this.frames++;
    if (type === STATISTICS) this.lost += lostIn(block);
  }
}

function lostIn(block: Buffer): bigint {
  for (let at = STATISTICS_HEADER_BYTES; at + 4 <= block.length - 4; ) {
    const length = block.readUInt16LE(at + 2);
    if (block.readUInt16LE(at) === LOST_OPTION) return block.readBigUInt64LE(at + 4);
    at += 4 + ((length + 3) & ~3);
  }
  return 0n;
}

/** One file from its beginning, or standard output for `-`. */
export function singleTarget(path: string): CaptureTarget {
  if (path === '-') {
    const { stdout } = process;
    const write = async (block: Buffer) => {
      if (!stdout.write(block)) await once(stdout, 'drain');
    };
    return { write, close: () => {} };
  }
  const fd = openNew(path);
  return { write: async (block) => writeAll(fd, path, block), close: () => closeSync(fd) };
}

/** `path` with a number before its suffix: `trace.pcapng` is `trace-1.pcapng`, `trace-2.pcapng` and so on, then again. */
export function ringTarget(path: string, { files, bytes }: RingSize): CaptureTarget {
  const [, stem = path, suffix = ''] = /^(.*?)(\.[^./]*)?$/s.exec(path) ?? [];
  const preamble: Buffer[] = [];
  let fd = -1;
  let name = '';
  let written = 0;
  let number = 0;
  const begin = () => {
    if (fd >= 0) closeSync(fd);
    name = `${stem}-${(number++ % files) + 1}${suffix}`;
    fd = openNew(name);
    written = 0;
    for (const block of preamble) put(block);
  };
  const put = (block: Buffer) => {
    writeAll(fd, name, block);
    written += block.length;
  };
  begin();
  return {
    async write(block) {
      const type = block.readUInt32LE(0);
      if (type === PACKET && written + block.length > bytes) begin();
      put(block);
      if (type === SECTION || type === INTERFACE || type === NAMES) preamble.push(Buffer.from(block));
    },
    close: () => closeSync(fd),
  };
}

function openNew(path: string): number {
  try {
    return openSync(path, 'w', 0o600);
  } catch (error) {
    throw unwritable(path, error);
  }
}

function writeAll(fd: number, path: string, bytes: Buffer): void {
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
  } catch (error) {
    throw unwritable(path, error);
  }
}

function unwritable(path: string, error: unknown): TapswitchError {
  const { code } = error as NodeJS.ErrnoException;
  const message = `${path} cannot be written: ${code}`;
  return new TapswitchError(
    'SYSTEM_CALL_FAILED',
    message,
    'Check the path, its permissions and the room on its disk.',
    error,
  );
}
