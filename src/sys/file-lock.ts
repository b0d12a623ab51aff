/** A lock on a file for as long as this process lives, however it ends: flock(2). */
import { closeSync, openSync } from 'node:fs';
import { flock } from './libc.ts';

const LOCK_EX_NB = 2 | 4;

/** Locks the file, made where it is missing. The function that lets it go; undefined while another has it. */
export function lockFile(path: string): (() => void) | undefined {
  const fd = openSync(path, 'a', 0o600);
  if (flock(fd, LOCK_EX_NB) === 0) return () => closeSync(fd);
  closeSync(fd);
  return undefined;
}
