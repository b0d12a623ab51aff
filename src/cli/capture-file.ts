/** Where `tapswitch capture` writes: one file, standard output, or a ring of files each of which can be opened alone. */
import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import {
  BLOCK_INTERFACE,
  BLOCK_NAMES,
  BLOCK_PACKET,
  BLOCK_SECTION,
  BLOCK_STATISTICS,
} from '../capture/pcapng-format.ts';
import { BlockReader, blockType, lostFrames } from '../capture/pcapng-reader.ts';
import { TapswitchError } from '../errors.ts';

/** Blocks that every file of a ring begins with */
const PREAMBLE = new Set([BLOCK_SECTION, BLOCK_INTERFACE, BLOCK_NAMES]);

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

/** The blocks of a pcapng stream, and how many frames are in them. */
export class Blocks {
  readonly #reader = new BlockReader();
  /** Frames so far, and those that found no room: known at the end */
  frames = 0;
  lost = 0n;

  /** The blocks that `piece` completes. */
  take(piece: Uint8Array): Buffer[] {
    const blocks = this.#reader.take(piece);
    for (const block of blocks) {
      const type = blockType(block);
      if (type === BLOCK_PACKET) this.frames++;
      if (type === BLOCK_STATISTICS) this.lost += lostFrames(block);
    }
    return blocks;
  }
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
      const type = blockType(block);
      if (type === BLOCK_PACKET && written + block.length > bytes) begin();
      put(block);
      if (PREAMBLE.has(type)) preamble.push(Buffer.from(block));
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
