/**
 * The sockets that questions leave by, and the guests' connections come in by.
 *
 * A question over UDP has a socket of its own, connected to its server: the kernel chooses its port at random and lets
 * through what comes from that server alone (RFC 5452 section 9.2). One over TCP has a connection of its own.
 */
import type { DnsUpstream } from '../../config/dns.ts';
import { EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from '../../sys/epoll.ts';
import { EAGAIN, EINPROGRESS } from '../../sys/errno.ts';
import {
  AF_INET,
  AF_INET6,
  connectTo,
  isMapped,
  openSocket,
  SOCK_DGRAM,
  SOCK_STREAM,
} from '../../sys/inet-socket.ts';
import { close, errno, recv, send } from '../../sys/libc.ts';
import { MSG_NOSIGNAL } from '../../sys/message-vector.ts';
import { MAX_MESSAGE_BYTES } from '../../wire/dns.ts';
import type { Pollable, Sockets } from '../sockets.ts';
import type { ByteStream } from './connection.ts';
import type { DnsTransport, Exchange, ExchangeListener } from './exchange.ts';
import { viewOf } from './query.ts';

const PREFIX_BYTES = 2;
/** Datagrams taken from one socket before others have their turn. */
const DATAGRAMS_PER_TURN = 16;

/** Opens a socket that is connected, or begins to be; a descriptor, or -1. */
function openConnected({ address, port }: DnsUpstream, type: number): number {
  const [w0, w1, w2, w3] = address;
  const fd = openSocket(isMapped(w0, w1, w2) ? AF_INET : AF_INET6, type);
  if (fd < 0) return -1;
  const error = connectTo(fd, w0, w1, w2, w3, port);
  if (error === 0 || error === EINPROGRESS) return fd;
  close(fd);
  return -1;
}

export class SocketTransport implements DnsTransport {
  readonly #sockets: Sockets;
  /** Where datagrams are received; one at a time is looked at */
  readonly #room = new Uint8Array(MAX_MESSAGE_BYTES);

  constructor(sockets: Sockets) {
    this.#sockets = sockets;
  }

  exchange(
    upstream: DnsUpstream,
    query: Uint8Array,
    stream: boolean,
    listener: ExchangeListener,
  ): Exchange | undefined {
    const fd = openConnected(upstream, stream ? SOCK_STREAM : SOCK_DGRAM);
    if (fd < 0) return undefined;
    const exchange = stream
      ? new StreamExchange(new SocketStream(this.#sockets, fd), query, listener)
      : new DatagramExchange(this.#sockets, fd, this.#room, listener);
    return exchange.begin(query) ? exchange : undefined;
  }
}

class DatagramExchange implements Exchange, Pollable {
  readonly #sockets: Sockets;
  readonly #fd: number;
  readonly #room: Uint8Array;
  readonly #listener: ExchangeListener;
  #token = -1;

  constructor(sockets: Sockets, fd: number, room: Uint8Array, listener: ExchangeListener) {
    this.#sockets = sockets;
    this.#fd = fd;
    this.#room = room;
    this.#listener = listener;
  }

  begin(query: Uint8Array): boolean {
    this.#token = this.#sockets.add(this.#fd, EPOLLIN, this);
    if (this.#token < 0) return false;
    if (send(this.#fd, query, query.length, MSG_NOSIGNAL) === query.length) return true;
    this.close();
    return false;
  }

  ready(): void {
    for (let left = DATAGRAMS_PER_TURN; left > 0 && this.#token >= 0; left--) {
      const bytes = recv(this.#fd, this.#room, this.#room.length, 0);
      if (bytes >= 0) this.#listener.received(this.#room.subarray(0, bytes));
      else if (errno() === EAGAIN) return;
      else this.#listener.failed();
    }
  }

  close(): void {
    if (this.#token >= 0) this.#sockets.close(this.#token);
    this.#token = -1;
  }
}

class StreamExchange implements Exchange, Pollable {
  readonly #stream: SocketStream;
  readonly #listener: ExchangeListener;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  /** What is left to send */
  #unsent: Uint8Array;
  /** The message that is being received, once its length is known */
  #message: Uint8Array | undefined;
  #have = 0;
  #isOpen = true;

  constructor(stream: SocketStream, query: Uint8Array, listener: ExchangeListener) {
    this.#stream = stream;
    this.#listener = listener;
    this.#unsent = new Uint8Array(PREFIX_BYTES + query.length);
    viewOf(this.#unsent).setUint16(0, query.length);
    this.#unsent.set(query, PREFIX_BYTES);
  }

  begin(): boolean {
    return this.#stream.watch(this);
  }

  ready(): void {
    const sent = this.#unsent.length === 0 ? 0 : this.#stream.write(this.#unsent);
    this.#unsent = this.#unsent.subarray(Math.max(sent, 0));
    if (sent < 0) this.#listener.failed();
    else if (this.#unsent.length === 0) this.#receive();
  }

  #receive(): void {
    while (this.#isOpen) {
      const into = this.#message ?? this.#prefix;
      const bytes = this.#stream.read(into.subarray(this.#have));
      if (bytes === 0) return;
      this.#have += bytes;
      if (bytes < 0) this.#listener.failed();
      else if (this.#have === into.length) this.#part();
    }
  }

  /** Length or message is whole. */
  #part(): void {
    const message = this.#message;
    const length = viewOf(this.#prefix).getUint16(0);
    this.#have = 0;
    this.#message = message === undefined ? new Uint8Array(length) : undefined;
    if (message !== undefined) this.#listener.received(message);
    else if (length === 0) this.#listener.failed();
  }

  close(): void {
    this.#isOpen = false;
    this.#stream.close();
  }
}

/** A connected stream socket, or one that is being connected. */
export class SocketStream implements ByteStream {
  readonly #sockets: Sockets;
  readonly #fd: number;
  #token: number | undefined;

  /** Takes the descriptor over, which must be non-blocking. */
  constructor(sockets: Sockets, fd: number) {
    this.#sockets = sockets;
    this.#fd = fd;
  }

  /** Tells `user` each time there may be more to read or room to write. False, and closed, when that cannot be. */
  watch(user: Pollable): boolean {
    this.#token = this.#sockets.add(this.#fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, user);
    return this.#token >= 0;
  }

  read(into: Uint8Array): number {
    const bytes = recv(this.#fd, into, into.length, 0);
    if (bytes > 0) return bytes;
    return bytes < 0 && errno() === EAGAIN ? 0 : -1;
  }

  write(bytes: Uint8Array): number {
    const sent = send(this.#fd, bytes, bytes.length, MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    return errno() === EAGAIN ? 0 : -1;
  }

  close(): void {
    if (this.#token === undefined) close(this.#fd);
    else if (this.#token >= 0) this.#sockets.close(this.#token);
    this.#token = -1;
  }
}
