/**
 * Connections that this process makes to ports of VMs, from the gateway.
 *
 * Theory of operation. A stream between us and ourselves has one end here, as a socket of Node's, and the other at the
 * VM's home worker, which treats it like a connection that a forward has accepted: it asks the guest, again and again
 * while it boots, and joins the two. The worker says what became of each. What is written before that waits in the
 * stream.
 */
import { Socket } from 'node:net';
import { TapswitchError } from '../errors.ts';
import { type DialNews, FIRST_DIAL } from '../gateway/forward-binding.ts';
import { SysError } from '../sys/errno.ts';
import { openPair } from '../sys/inet-socket.ts';
import { close } from '../sys/libc.ts';
import type { Engine } from './engine.ts';

/** A number between threads is an int32; what was used so long ago is free again */
const LAST_DIAL = -(2 ** 31);

interface Dial {
  readonly port: number;
  readonly socket: Socket;
  /** Undefined once it is open */
  settle: ((news: DialNews | 'died') => void) | undefined;
}

export interface DialTarget {
  /** Id of the VM, for messages */
  readonly id: string;
  /** The VM's */
  readonly port: number;
  readonly guestPort: number;
  /** How long a VM that does not answer yet is waited for, `ms` */
  readonly waitMs: number;
  readonly signal: AbortSignal | undefined;
}

const SAID: Readonly<
  Record<string, [code: ConstructorParameters<typeof TapswitchError>[0], text: string, next: string]>
> = {
  'forward-no-carrier': ['TAP_DOWN', 'no process holds its TAP', 'Start the VM, or see why its VMM ended.'],
  'forward-no-address': [
    'GUEST_SILENT',
    'its address or MAC is not known, and it does not answer ARP',
    'See whether the guest is up and has the address expected.',
  ],
  'forward-unanswered': [
    'GUEST_SILENT',
    'the guest does not answer',
    'See whether the guest is up, and whether its firewall drops what comes from the gateway.',
  ],
  'forward-refused': [
    'PORT_REFUSED',
    'nothing listens there',
    "Start the service, not on the guest's 127.0.0.1 alone.",
  ],
  'flow-limit': ['FLOW_LIMIT', 'it has as many connections as it may have', 'End some of them.'],
};

function failure({ id, guestPort }: DialTarget, news: DialNews | 'died'): TapswitchError {
  const [code, text, next] = SAID[news] ?? ['SWITCH_CLOSED', 'its datapath thread ended', 'Try again.'];
  return new TapswitchError(code, `VM ${id}, port ${guestPort}: ${text}`, next);
}

export class Dialer {
  readonly #engine: Engine;
  readonly #dials = new Map<number, Dial>();
  #number = FIRST_DIAL;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  #nextNumber(): number {
    do this.#number = this.#number <= LAST_DIAL ? FIRST_DIAL : this.#number - 1;
    while (this.#dials.has(this.#number));
    return this.#number;
  }

  /**
   * Resolves with the open connection; what it is destroyed for is reset at the guest.
   * @throws TapswitchError TAP_DOWN, GUEST_SILENT, PORT_REFUSED, FLOW_LIMIT, SWITCH_CLOSED; what `signal` was aborted for
   */
  async dial(target: DialTarget): Promise<Socket> {
    const { port, guestPort, waitMs, signal } = target;
    signal?.throwIfAborted();
    const ends = new Int32Array(2);
    const error = openPair(ends);
    if (error !== 0) throw new SysError('socketpair', error);
    const [own, theirs] = ends as unknown as [number, number];
    const number = this.#nextNumber();
    if (!this.#engine.dial({ number, fd: theirs, port, guestPort, waitMs })) {
      close(own);
      close(theirs);
      throw failure(target, 'died');
    }
    const socket = new Socket({ fd: own, allowHalfOpen: true, readable: true, writable: true });
    const dial: Dial = { port, socket, settle: undefined };
    this.#dials.set(number, dial);
    socket.once('close', () => this.#dials.delete(number));
    // Until somebody else listens; what is wrong with it is told by the worker.
    const ignore = () => {};
    socket.on('error', ignore);
    try {
      const news = await this.#settled(dial, signal);
      if (news !== 'opened') throw failure(target, news);
    } catch (reason) {
      socket.destroy();
      throw reason;
    }
    return socket;
  }

  #settled(dial: Dial, signal: AbortSignal | undefined): Promise<DialNews | 'died'> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        dial.settle = undefined;
        reject(signal?.reason);
      };
      dial.settle = (news) => {
        dial.settle = undefined;
        signal?.removeEventListener('abort', abort);
        resolve(news);
      };
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** Takes note of what a worker said. */
  heard(number: number, news: DialNews): void {
    const dial = this.#dials.get(number);
    if (dial === undefined) return;
    if (dial.settle !== undefined) dial.settle(news);
    else if (news === 'reset') {
      const error: NodeJS.ErrnoException = new Error('the connection was reset by the guest');
      error.code = 'ECONNRESET';
      dial.socket.destroy(error);
    }
  }

  /** The connections of a worker ended with it. */
  died(worker: number): void {
    for (const dial of this.#dials.values()) {
      if (this.#engine.homeOf(dial.port) === worker) dial.settle?.('died');
    }
  }

  /** Ends all. */
  close(): void {
    for (const dial of this.#dials.values()) {
      dial.settle?.('died');
      dial.socket.destroy();
    }
  }
}
