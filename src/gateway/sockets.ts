/**
 * The host-side sockets of the gateway: who is told when one is ready, and who closes them.
 *
 * A socket is known to epoll by a token of ours. A token is not given out again before the round of events in which
 * it was freed is over: what epoll had already reported for the old socket would reach the new one. Descriptors are
 * noted in shared memory, so that a thread that dies leaves none open.
 */
import type { DescriptorSet } from '../sys/descriptor-set.ts';
import type { Epoll } from '../sys/epoll.ts';
import { ENFILE } from '../sys/errno.ts';
import { closeWithReset } from '../sys/inet-socket.ts';
import { close } from '../sys/libc.ts';

/** Whoever waits for a socket. */
export interface Pollable {
  /** @param events mask of EPOLL* */
  ready(events: number): void;
}

export class Sockets {
  readonly #epoll: Epoll;
  readonly #first: number;
  readonly #open: DescriptorSet;
  readonly #users: (Pollable | undefined)[] = [];
  readonly #fds: number[] = [];
  readonly #free: number[] = [];
  readonly #freed: number[] = [];
  /** Indexes of descriptors that are others' */
  readonly #watched = new Set<number>();

  /** @param first the lowest token that may be used */
  constructor(epoll: Epoll, first: number, open: DescriptorSet) {
    this.#epoll = epoll;
    this.#first = first;
    this.#open = open;
  }

  /**
   * Takes a descriptor over and tells `user` of `events` (EPOLL*) on it. Returns a token, or an error's number
   * negated: the descriptor is closed then.
   */
  add(fd: number, events: number, user: Pollable): number {
    const index = this.#free.pop() ?? this.#users.length;
    let error = this.#open.add(fd) ? 0 : ENFILE;
    if (error === 0) error = this.#epoll.tryAdd(fd, events, this.#first + index);
    if (error !== 0) {
      this.#open.delete(fd);
      close(fd);
      this.#free.push(index);
      return -error;
    }
    this.#users[index] = user;
    this.#fds[index] = fd;
    return this.#first + index;
  }

  /**
   * Tells `user` of `events` on a descriptor that stays its owner's: neither noted nor ever closed here. Returns a
   * token for {@link unwatch}, or an error's number negated.
   */
  watch(fd: number, events: number, user: Pollable): number {
    const index = this.#free.pop() ?? this.#users.length;
    const error = this.#epoll.tryAdd(fd, events, this.#first + index);
    if (error !== 0) {
      this.#free.push(index);
      return -error;
    }
    this.#users[index] = user;
    this.#fds[index] = fd;
    this.#watched.add(index);
    return this.#first + index;
  }

  /** Ends {@link watch}; the descriptor must be open still. */
  unwatch(token: number): void {
    const index = token - this.#first;
    this.#users[index] = undefined;
    this.#watched.delete(index);
    this.#epoll.remove(this.#fds[index] as number);
    this.#freed.push(index);
  }

  /** Tells the socket's user what happened. */
  dispatch(token: number, events: number): void {
    this.#users[token - this.#first]?.ready(events);
  }

  /** Tells nobody of a socket's events any more; it stays open. */
  mute(token: number): void {
    this.#epoll.remove(this.#fds[token - this.#first] as number);
  }

  /** Closes the socket; with `reset` a stream's peer sees a reset. */
  close(token: number, reset = false): void {
    const index = token - this.#first;
    const fd = this.#fds[index] as number;
    this.#users[index] = undefined;
    this.#open.delete(fd);
    if (reset) closeWithReset(fd);
    else close(fd);
    this.#freed.push(index);
  }

  /** Ends a round of events: tokens freed in it may be used again. */
  settle(): void {
    while (this.#freed.length > 0) this.#free.push(this.#freed.pop() as number);
  }

  /** Sockets open now, those watched for others left out. */
  get size(): number {
    return this.#users.length - this.#free.length - this.#freed.length - this.#watched.size;
  }

  closeAll(): void {
    for (const [index, user] of this.#users.entries()) {
      if (user !== undefined && !this.#watched.has(index)) this.close(this.#first + index, true);
    }
  }
}
