/**
 * What becomes of a guest's query: answered from our own names, passed on, or refused. The same for UDP and TCP, which
 * differ in how the answer finds its way back (see {@link DnsClient}).
 */
import * as dns from '../../wire/dns.ts';
import type { DnsCounts } from './counts.ts';
import type { DnsForwarder } from './forwarder.ts';
import type { NameTable } from './names.ts';
import { type DnsClient, MAX_QUERY_BYTES, Query } from './query.ts';
import type { Replies } from './replies.ts';

export class DnsService {
  readonly #names: NameTable;
  readonly #forwarder: DnsForwarder;
  readonly #replies: Replies;
  readonly #counts: DnsCounts;

  constructor(names: NameTable, forwarder: DnsForwarder, replies: Replies, counts: DnsCounts) {
    this.#names = names;
    this.#forwarder = forwarder;
    this.#replies = replies;
    this.#counts = counts;
  }

  /**
   * Handles the message of `length` bytes at `off`, which is copied where it is needed for longer. The client gets its
   * answer before or after the return; false when it gets none, because the message is no query at all.
   */
  handle(client: DnsClient, view: DataView, off: number, length: number): boolean {
    // A response is never answered: two servers could go on for ever.
    if (!dns.check(view, off, length) || dns.isResponse(view, off)) return false;
    this.#counts.queries++;
    const end = dns.questionEnd(view, off, length);
    const fault = faultOf(view, off, length, end);
    if (fault !== dns.RCODE_NOERROR) {
      this.#counts.unacceptable++;
      client.reply(this.#replies.refuse(view, off, end, fault));
      return true;
    }
    this.#answer(client, new Query(view, off, length, end, client.stream));
    return true;
  }

  #answer(client: DnsClient, query: Query): void {
    const local = this.#names.answer(client.network, client.port, query.name, query.type);
    if (local === undefined) {
      this.#forwarder.ask(client, query);
      return;
    }
    this.#counts.local++;
    if (query.opt !== dns.NONE && dns.optVersion(query.view, query.opt) !== 0) {
      client.reply(this.#replies.failure(query, dns.RCODE_BADVERS));
    } else if (query.class !== dns.CLASS_IN && query.class !== dns.CLASS_ANY) {
      client.reply(this.#replies.failure(query, dns.RCODE_REFUSED));
    } else {
      client.reply(this.#replies.local(query, local));
    }
  }
}

/** Why a query is not answered, as a response code: RCODE_NOERROR when it is. */
function faultOf(view: DataView, off: number, length: number, end: number): number {
  if (dns.opcode(view, off) !== dns.OPCODE_QUERY) return dns.RCODE_NOTIMP;
  if (end === dns.NONE) return dns.RCODE_FORMERR;
  const type = dns.questionType(view, end);
  // Whole zones are many messages for one query (RFC 5936 section 2.2), and nothing for a guest's resolver.
  if (type === dns.TYPE_AXFR || type === dns.TYPE_IXFR) return dns.RCODE_REFUSED;
  return length > MAX_QUERY_BYTES ? dns.RCODE_REFUSED : dns.RCODE_NOERROR;
}
