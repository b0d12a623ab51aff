/** Readiness of many descriptors by one call: epoll(7), level-triggered unless asked otherwise. */
import { EINTR, SysError } from './errno.ts';
import { check, epollCreate1, epollCtl, epollWait, errno } from './libc.ts';
import { type Memory, mapMemory, unmapMemory } from './memory.ts';

export const EPOLLIN = 0x1;
export const EPOLLET = 0x80000000;

const EPOLL_CLOEXEC = 0x80000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
// struct epoll_event is packed on x86 only (sys/epoll.h).
const EVENT_BYTES = process.arch === 'x64' ? 12 : 16;
const DATA_OFFSET = process.arch === 'x64' ? 4 : 8;

/** Makes an epoll descriptor; kept apart from {@link Epoll} so that one thread can make and own it for another. */
export function openEpoll(): number {
  return check('epoll_create1', epollCreate1(EPOLL_CLOEXEC));
}

export class Epoll {
  readonly fd: number;
  readonly #memory: Memory;
  readonly #capacity: number;
  readonly #tokens: Int32Array;

  /** @param fd from {@link openEpoll}  @param capacity events taken per wait */
  constructor(fd: number, capacity: number) {
    this.fd = fd;
    this.#capacity = capacity;
    this.#memory = mapMemory(capacity * EVENT_BYTES);
    this.#tokens = new Int32Array(capacity);
  }

  /** Watches `fd` for `events`; readiness is reported as `token` (int32). */
  add(fd: number, events: number, token: number): void {
    const event = Buffer.alloc(EVENT_BYTES);
    event.writeUInt32LE(events >>> 0, 0);
    event.writeInt32LE(token, DATA_OFFSET);
    check(`epoll add fd ${fd}`, epollCtl(this.fd, EPOLL_CTL_ADD, fd, event));
  }

  remove(fd: number): void {
    check(`epoll remove fd ${fd}`, epollCtl(this.fd, EPOLL_CTL_DEL, fd, null));
  }

  /**
   * Waits up to `timeoutMs` and returns how many descriptors are ready; their tokens are then at {@link token}.
   * A signal counts as nothing ready.
   */
  wait(timeoutMs: number): number {
    const ready = epollWait(this.fd, this.#memory.address, this.#capacity, timeoutMs);
    if (ready < 0) {
      const number = errno();
      if (number === EINTR) return 0;
      throw new SysError('epoll_wait', number);
    }
    for (let i = 0; i < ready; i++) {
      this.#tokens[i] = this.#memory.view.getInt32(i * EVENT_BYTES + DATA_OFFSET, true);
    }
    return ready;
  }

  token(index: number): number {
    return this.#tokens[index] as number;
  }

  /** Frees the event table; the descriptor belongs to whoever opened it. */
  release(): void {
    unmapMemory(this.#memory);
  }
}
