/**
 * A netlink socket for requests (netlink(7)).
 *
 * The kernel works on a request inside the `send` that delivers it, so its answer is already queued when `send`
 * returns, and each further part of a dump is made by the `recv` that takes the one before. Nothing here ever
 * waits: an empty queue before the end of an answer is an error, not a reason to block.
 */
import { EAGAIN, EINTR, EMSGSIZE, ENOBUFS, SysError } from './errno.ts';
import { bind, check, close, errno, recv, send, setsockopt, socket } from './libc.ts';
import {
  concat,
  type NetlinkMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  parseError,
  parseMessages,
  setSequence,
  u32,
} from './netlink-message.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 0x80003;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
/** A batch for some hundred interfaces, or the answers to it, fits; the kernel accounts twice this. */
const BUFFER_BYTES = 2 << 20;
/** The kernel makes dump parts of at most 32 KiB, and larger only where a single object is larger. */
const DATAGRAM_BYTES = 256 << 10;
/** Times a dump is begun again because what it lists changed meanwhile. */
const DUMP_ATTEMPTS = 50;

// Every call here is synchronous and copies what it keeps: one buffer a thread does for all sockets.
const datagram = new Uint8Array(DATAGRAM_BYTES);

export const NETLINK_ROUTE = 0;

/** What one `recv` found: a datagram's messages, nothing queued, or a queue that overflowed before it. */
export type Received = readonly NetlinkMessage[] | 'empty' | 'overrun';

export class NetlinkSocket {
  readonly fd: number;
  #sequence = 0;

  /**
   * Opens a socket in the thread's network namespace.
   *
   * @param protocol NETLINK_ROUTE, NETLINK_NETFILTER, …
   * @param groups bit mask of the multicast groups to hear, of the first 32
   */
  constructor(protocol: number, groups = 0) {
    this.fd = check('open a netlink socket', socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol));
    try {
      // Best effort: a user namespace refuses the forced sizes (the plain ones remain), an old kernel the rest.
      this.#option(SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
      this.#option(SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
      this.#option(SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
      this.#option(SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES);
      this.#option(SOL_NETLINK, NETLINK_CAP_ACK, 1);
      this.#option(SOL_NETLINK, NETLINK_EXT_ACK, 1);
      const address = concat([Uint8Array.of(AF_NETLINK, 0, 0, 0), u32(0), u32(groups)]);
      check('bind a netlink socket', bind(this.fd, address, address.length));
    } catch (error) {
      close(this.fd);
      throw error;
    }
  }

  #option(level: number, name: number, value: number): void {
    setsockopt(this.fd, level, name, u32(value), 4);
  }

  /**
   * Sends messages as one datagram.
   *
   * @param operation what is attempted, for the message of an error
   * @returns the sequence number of the first; the others follow it
   */
  send(operation: string, messages: readonly Uint8Array[]): number {
    const first = this.#sequence + 1;
    for (const message of messages) setSequence(message, ++this.#sequence);
    const bytes = concat(messages);
    check(operation, send(this.fd, bytes, bytes.length, 0));
    return first;
  }

  /** Takes one datagram from the queue, without waiting. */
  receive(operation: string): Received {
    for (;;) {
      const length = recv(this.fd, datagram, datagram.length, MSG_DONTWAIT | MSG_TRUNC);
      if (length > datagram.length) throw new SysError(operation, EMSGSIZE, `answer of ${length} bytes`);
      if (length >= 0) return parseMessages(datagram.slice(0, length));
      const error = errno();
      if (error === EAGAIN) return 'empty';
      if (error === ENOBUFS) return 'overrun';
      if (error !== EINTR) throw new SysError(operation, error);
    }
  }

  /**
   * Has one message done and acknowledged.
   *
   * @throws SysError with the kernel's error and its own words
   */
  request(operation: string, message: Uint8Array): void {
    this.#exchange(operation, message, NLM_F_ACK, (answer) => answer.type === NLMSG_ERROR);
  }

  /** Asks for one object. Throws SysError, e.g. ENODEV where there is none. */
  get(operation: string, message: Uint8Array): NetlinkMessage {
    const [found] = this.#exchange(operation, message, NLM_F_ACK, (answer) => answer.type === NLMSG_ERROR);
    if (found === undefined) throw new SysError(operation, EAGAIN, 'no answer');
    return found;
  }

  /** The same where there may be none: the kernel says so by the error `absent`. */
  find(operation: string, message: Uint8Array, absent: number): NetlinkMessage | undefined {
    const isLast = (answer: NetlinkMessage) => answer.type === NLMSG_ERROR;
    return this.#exchange(operation, message, NLM_F_ACK, isLast, absent)[0];
  }

  /** Lists objects: a consistent list, or SysError EINTR where they never stopped changing. */
  dump(operation: string, message: Uint8Array): NetlinkMessage[] {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      let interrupted = false;
      const objects = this.#exchange(operation, message, NLM_F_DUMP, (answer) => {
        if ((answer.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
        return answer.type === NLMSG_DONE || answer.type === NLMSG_ERROR;
      });
      if (!interrupted) return objects;
    }
    throw new SysError(operation, EINTR, 'the list kept changing while it was read');
  }

  /** Lists objects as {@link dump} does, those that `parse` makes something of. */
  list<T>(operation: string, message: Uint8Array, parse: (object: NetlinkMessage) => T | undefined): T[] {
    return this.dump(operation, message)
      .map(parse)
      .filter((one) => one !== undefined);
  }

  /**
   * Sends one message and collects its answers up to the one that `isLast` recognises.
   * @param tolerated error that is no failure
   */
  #exchange(
    operation: string,
    message: Uint8Array,
    flags: number,
    isLast: (answer: NetlinkMessage) => boolean,
    tolerated = 0,
  ): NetlinkMessage[] {
    const request = message.slice();
    const view = new DataView(request.buffer);
    view.setUint16(6, view.getUint16(6, true) | flags, true);
    const sequence = this.send(operation, [request]);
    const answers: NetlinkMessage[] = [];
    for (;;) {
      const received = this.receive(operation);
      if (received === 'empty') throw new SysError(operation, EAGAIN, 'the answer ended early');
      if (received === 'overrun') throw new SysError(operation, ENOBUFS, 'answers were lost');
      for (const answer of received) {
        if (answer.sequence !== sequence) continue;
        if (isLast(answer)) {
          const { errno, detail } = parseError(answer);
          if (errno !== 0 && errno !== tolerated) throw new SysError(operation, errno, detail);
          return answers;
        }
        answers.push(answer);
      }
    }
  }

  close(): void {
    close(this.fd);
  }
}

/** Runs `work`, which must be synchronous, with a socket of rtnetlink(7) in the thread's namespace. */
export function withRouteNetlink<T>(work: (socket: NetlinkSocket) => T): T {
  const socket = new NetlinkSocket(NETLINK_ROUTE);
  try {
    return work(socket);
  } finally {
    socket.close();
  }
}
