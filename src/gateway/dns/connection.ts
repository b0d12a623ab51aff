/**
 * A guest's TCP connection to the gateway's DNS (RFC 1035 section 4.2.2, RFC 7766): messages, each behind its length.
 *
 * Theory of operation. The stream is edge-triggered, so the connection reads on until there is nothing, or until it has
 * enough for now: 8 queries without an answer, an answer the guest has not taken yet, or a full turn of queries. It goes
 * on when that is over. Answers leave in the order they come in (RFC 7766 section 7), not in that of the queries.
 *
 * A guest that hangs up its half still gets its answers. One that says nothing whole for 10 s, does not take its
 * answers, or sends what is no query, is hung up on.
 */
import type { Clock } from '../../sys/clock.ts';
import { MAX_MESSAGE_BYTES } from '../../wire/dns.ts';
import { Timer, type TimerWheel } from '../timer-wheel.ts';
import { type DnsClient, MAX_QUERY_BYTES, viewOf } from './query.ts';

/** A connected, non-blocking stream. */
export interface ByteStream {
  /** Reads what is there, as far as it fits: the bytes' number, 0 for nothing now, -1 when nothing more will come. */
  read(into: Uint8Array): number;
  /** Writes what it takes now: the bytes' number, -1 when it never will again. */
  write(bytes: Uint8Array): number;
  close(): void;
}

/** What all connections share. */
export interface ConnectionTools {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** Handles a message; false when it was none that gets an answer. */
  readonly handle: (client: DnsClient, view: DataView, off: number, length: number) => boolean;
  /** Lets no answers come any more. */
  readonly cancel: (client: DnsClient) => void;
}

const PREFIX_BYTES = 2;
/** Queries without an answer, per connection. */
const MAX_OUTSTANDING = 8;
/** Bytes of answers that the guest has not taken. */
const MAX_UNSENT_BYTES = MAX_MESSAGE_BYTES + PREFIX_BYTES;
/** How long a connection may do nothing, `ms` (RFC 7766 section 6.2.3: some seconds). */
const IDLE_MS = 10_000;
/** Queries handled before others have their turn. */
const QUERIES_PER_TURN = 32;
const TURN_MS = 1;
const NOTHING = new Uint8Array(0);

export class Connection implements DnsClient {
  readonly network: number;
  readonly port: number;
  readonly stream = true;
  readonly #tools: ConnectionTools;
  readonly #bytes: ByteStream;
  readonly #closed: (connection: Connection) => void;
  readonly #idle = new Timer({ expire: () => this.close() });
  readonly #turn = new Timer({ expire: () => this.ready() });
  readonly #input = new Uint8Array(PREFIX_BYTES + MAX_QUERY_BYTES);
  readonly #view = viewOf(this.#input);
  #have = 0;
  #unsent = NOTHING;
  #outstanding = 0;
  #isReading = false;
  #hasEnded = false;
  #isOpen = true;

  constructor(
    tools: ConnectionTools,
    network: number,
    port: number,
    bytes: ByteStream,
    closed: (connection: Connection) => void,
  ) {
    this.#tools = tools;
    this.network = network;
    this.port = port;
    this.#bytes = bytes;
    this.#closed = closed;
    this.#wasActive();
  }

  /** Goes on: the stream has become readable or writable. */
  ready(): void {
    if (!this.#isOpen || this.#isReading || !this.#flush()) return;
    this.#isReading = true;
    this.#read();
    this.#isReading = false;
    this.#closeWhenDone();
  }

  reply(message: Uint8Array): void {
    if (!this.#isOpen) return;
    this.#outstanding--;
    this.#wasActive();
    const bytes = new Uint8Array(this.#unsent.length + PREFIX_BYTES + message.length);
    bytes.set(this.#unsent);
    viewOf(bytes).setUint16(this.#unsent.length, message.length);
    bytes.set(message, this.#unsent.length + PREFIX_BYTES);
    this.#unsent = bytes;
    if (this.#flush() || this.#unsent.length <= MAX_UNSENT_BYTES) this.ready();
    else this.close();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#idle.cancel();
    this.#turn.cancel();
    this.#unsent = NOTHING;
    this.#bytes.close();
    if (this.#outstanding > 0) this.#tools.cancel(this);
    this.#closed(this);
  }

  /** Sends what waits to be sent. False when some of it still waits, or the connection was closed. */
  #flush(): boolean {
    if (this.#unsent.length === 0) return this.#isOpen;
    const sent = this.#bytes.write(this.#unsent);
    if (sent < 0) {
      this.close();
      return false;
    }
    this.#unsent = sent === this.#unsent.length ? NOTHING : this.#unsent.slice(sent);
    return this.#unsent.length === 0;
  }

  #read(): void {
    for (let left = QUERIES_PER_TURN; this.#mayHandle(); left--) {
      if (left === 0) {
        this.#tools.wheel.set(this.#turn, this.#tools.clock.ms, TURN_MS);
        return;
      }
      if (!this.#isWhole() && !this.#fill()) return;
      this.#handle();
    }
  }

  #mayHandle(): boolean {
    return this.#isOpen && this.#unsent.length === 0 && this.#outstanding < MAX_OUTSTANDING;
  }

  /** Bytes of the next message, as far as that is known. */
  get #length(): number {
    return this.#have < PREFIX_BYTES ? MAX_QUERY_BYTES : this.#view.getUint16(0);
  }

  #isWhole(): boolean {
    return this.#have >= PREFIX_BYTES && this.#have >= PREFIX_BYTES + this.#length;
  }

  /** Reads until there is a whole message. False when there is nothing more to read now, or ever. */
  #fill(): boolean {
    while (!this.#isWhole()) {
      if (this.#length > MAX_QUERY_BYTES) {
        this.close();
        return false;
      }
      const bytes = this.#hasEnded ? -1 : this.#bytes.read(this.#input.subarray(this.#have));
      if (bytes < 0) this.#hasEnded = true;
      if (bytes <= 0) return false;
      this.#have += bytes;
    }
    return true;
  }

  /** Handles the message that is whole, and moves what came behind it to its place. */
  #handle(): void {
    const length = this.#length;
    this.#outstanding++;
    this.#wasActive();
    if (!this.#tools.handle(this, this.#view, PREFIX_BYTES, length)) {
      this.#outstanding--;
      this.close();
      return;
    }
    this.#input.copyWithin(0, PREFIX_BYTES + length, this.#have);
    this.#have -= PREFIX_BYTES + length;
  }

  /** Hangs up behind the guest. Only ever asked when all answers so far are sent, or the end is not read yet. */
  #closeWhenDone(): void {
    if (this.#hasEnded && this.#outstanding === 0) this.close();
  }

  #wasActive(): void {
    this.#tools.wheel.set(this.#idle, this.#tools.clock.ms, IDLE_MS);
  }
}
