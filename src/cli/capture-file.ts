/** Where `tapswitch capture` writes: one file, or standard output. A ring of files is in capture-ring.ts. */
import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import { BLOCK_PACKET, BLOCK_STATISTICS } from '../capture/pcapng-format.ts';
import { BlockReader, blockType, lostFrames } from '../capture/pcapng-reader.ts';
import { TapswitchError } from '../errors.ts';

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

/** A new file, or an old one from its beginning. Throws SYSTEM_CALL_FAILED. */
export function openNew(path: string): number {
  try {
    return openSync(path, 'w', 0o600);
  } catch (error) {
    throw unwritable(path, error);
  }
}

/** Throws SYSTEM_CALL_FAILED. */
export function writeAll(fd: number, path: string, bytes: Buffer): void {
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
