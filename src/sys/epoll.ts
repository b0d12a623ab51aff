/** Readiness of many descriptors by one call: epoll(7), level-triggered unless asked otherwise. */
import { EINTR, SysError } from './errno.ts';
import { check, epollCreate1, epollCtl, epollWait, errno } from './libc.ts';
import { type Memory, mapMemory, unmapMemory } from './memory.ts';

export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
/** The peer has closed its half of a stream */
export const EPOLLRDHUP = 0x2000;
/** Reported when it changes, not while it lasts; a negative int32, as a mask of events is one */
export const EPOLLET = 0x80000000 | 0;

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
  readonly #events: Int32Array;

  /** @param fd from {@link openEpoll}  @param capacity events taken per wait */
  constructor(fd: number, capacity: number) {
    this.fd = fd;
    this.#capacity = capacity;
    // One more, behind those taken, for the event that is added.
    this.#memory = mapMemory((capacity + 1) * EVENT_BYTES);
    this.#tokens = new Int32Array(capacity);
    this.#events = new Int32Array(capacity);
  }

  /** Watches `fd` for `events`; readiness is reported as `token` (int32). */
  add(fd: number, events: number, token: number): void {
    const result = this.tryAdd(fd, events, token);
    if (result !== 0) throw new SysError(`epoll add fd ${fd}`, result);
  }

  /** {@link add} that returns 0 or the error's number. */
  tryAdd(fd: number, events: number, token: number): number {
    const at = this.#capacity * EVENT_BYTES;
    this.#memory.view.setInt32(at, events, true);
    this.#memory.view.setInt32(at + DATA_OFFSET, token, true);
    return epollCtl(this.fd, EPOLL_CTL_ADD, fd, this.#memory.address + at) < 0 ? errno() : 0;
  }

  remove(fd: number): void {
    check(`epoll remove fd ${fd}`, epollCtl(this.fd, EPOLL_CTL_DEL, fd, 0));
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
      this.#events[i] = this.#memory.view.getInt32(i * EVENT_BYTES, true);
      this.#tokens[i] = this.#memory.view.getInt32(i * EVENT_BYTES + DATA_OFFSET, true);
    }
    return ready;
  }

  token(index: number): number {
    return this.#tokens[index] as number;
  }

  /** What happened: a mask of EPOLL*. */
  events(index: number): number {
    return this.#events[index] as number;
  }

  /** Frees the event table; the descriptor belongs to whoever opened it. */
  release(): void {
    unmapMemory(this.#memory);
  }
}
