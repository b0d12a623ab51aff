/**
 * Connections that come in from the host for a VM: taken from the listening sockets the control thread opened.
 *
 * A listening socket is the control thread's, which closes it once it was told that nobody looks at it any more. Where
 * no descriptor is free, its forward is left alone for a while: the connection stays in the kernel's queue, which would
 * report it without end.
 */
import type { Clock } from '../../sys/clock.ts';
import { EPOLLIN } from '../../sys/epoll.ts';
import { EAGAIN, ECONNABORTED } from '../../sys/errno.ts';
import { accept } from '../../sys/inet-socket.ts';
import type { ForwardBinding } from '../forward-binding.ts';
import type { Pollable, Sockets } from '../sockets.ts';
import { type Timed, Timer, type TimerWheel } from '../timer-wheel.ts';

/** Connections taken from one socket at most before others have their turn. */
const MOST_ACCEPTS = 64;
/** How long a socket whose connections cannot be taken is left alone, `ms`. */
const ACCEPT_PAUSE_MS = 100;

/** What the forwards work with: part of the gateway's context. */
export interface ForwardsContext {
  readonly sockets: Sockets;
  readonly timers: TimerWheel;
  readonly clock: Pick<Clock, 'ms'>;
}

type Accept = (forward: ForwardBinding, fd: number) => void;

const NO_TOKEN = -1;

class Listening implements Pollable, Timed {
  readonly #forward: ForwardBinding;
  readonly #context: ForwardsContext;
  readonly #accept: Accept;
  readonly #pause = new Timer(this);
  #token = NO_TOKEN;
  /** Connections to take at the next event: one more call would only say that there is none */
  #expected = 1;

  constructor(forward: ForwardBinding, context: ForwardsContext, accept: Accept) {
    this.#forward = forward;
    this.#context = context;
    this.#accept = accept;
    this.expire();
  }

  /** Begins to listen, at first and after a pause. */
  expire(): void {
    this.#token = this.#context.sockets.watch(this.#forward.fd, EPOLLIN, this);
    if (this.#token < 0) this.#retryLater();
  }

  ready(): void {
    // What is left in the queue is reported again.
    const expected = this.#expected;
    this.#expected = Math.min(2 * expected, MOST_ACCEPTS);
    for (let taken = 0; taken < expected && this.#token >= 0; taken++) {
      const fd = accept(this.#forward.fd);
      if (fd >= 0) this.#accept(this.#forward, fd);
      else if (fd === -EAGAIN) {
        this.#expected = Math.max(1, taken);
        return;
      } else if (fd !== -ECONNABORTED) {
        this.#ignore();
        this.#retryLater();
        return;
      }
    }
  }

  #ignore(): void {
    if (this.#token >= 0) this.#context.sockets.unwatch(this.#token);
    this.#token = NO_TOKEN;
  }

  #retryLater(): void {
    this.#context.timers.set(this.#pause, this.#context.clock.ms, ACCEPT_PAUSE_MS);
  }

  end(): void {
    this.#pause.cancel();
    this.#ignore();
  }
}

export class TcpForwards {
  readonly #context: ForwardsContext;
  readonly #accept: Accept;
  readonly #listening = new Map<number, Listening>();

  /** @param accept called with each connection's descriptor, which is then the callee's */
  constructor(context: ForwardsContext, accept: Accept) {
    this.#context = context;
    this.#accept = accept;
  }

  /** Begins to take connections of a TCP forward. */
  add(forward: ForwardBinding): void {
    this.remove(forward.number);
    this.#listening.set(forward.number, new Listening(forward, this.#context, this.#accept));
  }

  /** Takes no more. */
  remove(number: number): void {
    this.#listening.get(number)?.end();
    this.#listening.delete(number);
  }
}
