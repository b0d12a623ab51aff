/** Wakes a thread that sleeps in epoll_wait: eventfd(2). */
import { check, eventfd, read, write } from './libc.ts';
import { mapMemory } from './memory.ts';

const EFD_NONBLOCK_CLOEXEC = 0x80800;
const COUNTER_BYTES = 8;
// One counter to write from and one to read into; their contents never matter.
const scratch = mapMemory(2 * COUNTER_BYTES);
scratch.view.setUint32(0, 1, true);

export function openEventfd(): number {
  return check('eventfd', eventfd(0, EFD_NONBLOCK_CLOEXEC));
}

/** Makes `fd` readable. A counter already at its limit is readable too: nothing to report. */
export function signalEventfd(fd: number): void {
  write(fd, scratch.address, COUNTER_BYTES);
}

export function clearEventfd(fd: number): void {
  read(fd, scratch.address + COUNTER_BYTES, COUNTER_BYTES);
}
