/**
 * One question of a guest on its way to the upstream servers.
 *
 * Theory of operation. The servers are asked one after the other, each from a socket and with an id of its own. One
 * that is silent is given up for the next when its time is over, and asked again when all others were silent too. One
 * that cannot be reached, or says that it failed or refuses, is not asked again. The guest gets the first other answer;
 * or the last of the refusals, if there is nothing else; or SERVFAIL.
 *
 * Only a message from the server's address to this socket, with this id and this very question, the case of its letters
 * included, is an answer (RFC 5452 section 9.1). Anything else is ignored, and the wait goes on.
 */
import type { DnsUpstream } from '../../config/dns.ts';
import type { Clock } from '../../sys/clock.ts';
import * as dns from '../../wire/dns.ts';
import { type Timed, Timer, type TimerWheel } from '../timer-wheel.ts';
import type { DnsCounts } from './counts.ts';
import type { DnsTransport, Exchange, ExchangeListener } from './exchange.ts';
import { type DnsClient, type Query, viewOf } from './query.ts';
import type { Replies } from './replies.ts';
import type { Upstreams } from './upstreams.ts';

/** How long one server may be silent, `ms`. */
const TRY_MS = 1500;
/** How long a guest's question may take, `ms`. */
const LOOKUP_MS = 6000;

/** What all lookups share. */
export interface LookupTools {
  readonly transport: DnsTransport;
  readonly upstreams: Upstreams;
  readonly replies: Replies;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly counts: DnsCounts;
  /** Counts a question of the VM on that port that was given up */
  readonly unanswered: (port: number) => void;
  /** 16 bits that nobody can foretell */
  readonly random16: () => number;
}

export class Lookup implements ExchangeListener, Timed {
  readonly client: DnsClient;
  readonly #query: Query;
  readonly #tools: LookupTools;
  readonly #ended: (lookup: Lookup) => void;
  readonly #startedMs: number;
  readonly #timer = new Timer(this);
  /** Servers that may still answer, the one being asked first */
  readonly #servers: DnsUpstream[];
  #exchange: Exchange | undefined;
  #id = 0;
  /** The last answer that said no more than that there is none */
  #refusal: Uint8Array | undefined;

  /** @param ended called before the guest gets its answer */
  constructor(tools: LookupTools, client: DnsClient, query: Query, ended: (lookup: Lookup) => void) {
    this.client = client;
    this.#tools = tools;
    this.#query = query;
    this.#ended = ended;
    this.#startedMs = tools.clock.ms;
    this.#servers = tools.upstreams.inOrder(client.network);
  }

  start(): void {
    this.#ask();
  }

  /** Ends it without an answer. */
  cancel(): void {
    this.#exchange?.close();
    this.#exchange = undefined;
    this.#timer.cancel();
  }

  received(message: Uint8Array): void {
    const server = this.#servers[0] as DnsUpstream;
    const view = viewOf(message);
    if (!this.#isAnswer(view)) {
      this.#tools.counts.ignored++;
      return;
    }
    this.#tools.upstreams.worked(server);
    dns.setId(view, 0, this.#query.id);
    const answer = this.#fitted(message, view);
    const code = dns.rcode(view, 0);
    if ((code !== dns.RCODE_SERVFAIL && code !== dns.RCODE_REFUSED) || this.#servers.length === 1) {
      this.#answer(answer);
      return;
    }
    this.#refusal = answer.slice();
    this.#servers.shift();
    this.#ask();
  }

  failed(): void {
    this.#tools.upstreams.failed(this.#servers.shift() as DnsUpstream);
    this.#ask();
  }

  /** The server's time is over. */
  expire(): void {
    const silent = this.#servers.shift() as DnsUpstream;
    this.#tools.counts.timeouts++;
    this.#tools.upstreams.failed(silent);
    this.#servers.push(silent);
    this.#ask();
  }

  /** Asks the first server that can be asked, or gives up. */
  #ask(): void {
    const { transport, upstreams, clock, wheel, random16 } = this.#tools;
    const { bytes, view } = this.#query;
    this.cancel();
    const leftMs = LOOKUP_MS - ((clock.ms - this.#startedMs) | 0);
    while (leftMs > 0 && this.#servers.length > 0) {
      this.#id = random16();
      dns.setId(view, 0, this.#id);
      this.#exchange = transport.exchange(this.#servers[0] as DnsUpstream, bytes, this.client.stream, this);
      if (this.#exchange !== undefined) {
        wheel.set(this.#timer, clock.ms, Math.min(TRY_MS, leftMs));
        return;
      }
      upstreams.failed(this.#servers.shift() as DnsUpstream);
    }
    this.#giveUp();
  }

  #giveUp(): void {
    this.#tools.counts.failed++;
    this.#tools.unanswered(this.client.port);
    dns.setId(this.#query.view, 0, this.#query.id);
    this.#end(this.#refusal ?? this.#tools.replies.failure(this.#query, dns.RCODE_SERVFAIL));
  }

  #answer(message: Uint8Array): void {
    this.#tools.counts.answered++;
    this.#end(message);
  }

  #end(message: Uint8Array): void {
    this.cancel();
    this.#ended(this);
    this.client.reply(message);
  }

  #isAnswer(view: DataView): boolean {
    const length = view.byteLength;
    if (!dns.check(view, 0, length) || !dns.isResponse(view, 0)) return false;
    if (dns.id(view, 0) !== this.#id || dns.opcode(view, 0) !== dns.OPCODE_QUERY) return false;
    const end = dns.questionEnd(view, 0, length);
    return end !== dns.NONE && dns.sameQuestion(view, 0, end, this.#query.view, 0, this.#query.end);
  }

  /** The message, or what says that it is too long for the guest. */
  #fitted(message: Uint8Array, view: DataView): Uint8Array {
    if (message.length <= this.#query.limit) return message;
    this.#tools.counts.cut++;
    return this.#tools.replies.cut(this.#query, view);
  }
}
