/** The process that holds a TAP, and whether it runs. */
import { readFileSync } from 'node:fs';
import { findTapHolder } from '../engine/holder.ts';
import type { HolderFacts } from './facts.ts';

/** A letter of proc(5), `?` where it cannot be read. */
function stateOf(pid: number): string {
  try {
    return /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '?';
  } catch {
    return '?';
  }
}

/** Undefined where it cannot be seen. `netns` is the path of the TAP's namespace, our own where undefined. */
export function seeHolder(name: string, netns?: string): HolderFacts | undefined {
  const holder = findTapHolder(name, netns);
  return holder && { ...holder, state: stateOf(holder.pid) };
}
