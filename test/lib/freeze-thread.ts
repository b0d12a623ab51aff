/**
 * Stops a single thread of another process, as a hang would: a tracer's thread that is attached stays where it is until
 * it is let go (ptrace(2)). Signals would stop the whole process.
 */
import { readdirSync, readFileSync } from 'node:fs';
import koffi from 'koffi';

const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;
const PTRACE_DETACH = 17;

const ptrace = koffi
  .load(null)
  .func('long ptrace(long request, int tid, uintptr_t address, uintptr_t data)') as (
  request: number,
  tid: number,
  address: number,
  data: number,
) => number;

function attempt(operation: string, status: number): void {
  if (status !== 0) throw new Error(`ptrace ${operation}: errno ${koffi.errno()}`);
}

/** The thread of a process that has a name. */
export function threadNamed(pid: number, name: string): number {
  const isIt = (tid: string) => readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8') === `${name}\n`;
  const tid = readdirSync(`/proc/${pid}/task`).find(isIt);
  if (tid === undefined) throw new Error(`process ${pid} has no thread ${name}`);
  return Number(tid);
}

/** Stops the thread; what is returned lets it go on. */
export function freezeThread(tid: number): () => void {
  attempt('seize', ptrace(PTRACE_SEIZE, tid, 0, 0));
  attempt('interrupt', ptrace(PTRACE_INTERRUPT, tid, 0, 0));
  // It has ended where this fails.
  return () => void ptrace(PTRACE_DETACH, tid, 0, 0);
}
