/** Answers that the gateway writes itself. Each is valid until the next is written. */
import { isIpv4 } from '../../config/ip.ts';
import * as dns from '../../wire/dns.ts';
import type { LocalAnswer } from './names.ts';
import { MAX_DATAGRAM_BYTES, type Query, viewOf } from './query.ts';

/**
 * How long a guest may keep an answer, `s`: short, since addresses of VMs change. Negative answers have no SOA record
 * and so are not kept at all (RFC 2308 section 5).
 */
const TTL_SECONDS = 5;
/** Longest answer of our own; 32 IPv6 addresses for the longest name take less than half of it */
const ROOM_BYTES = 4096;

export class Replies {
  readonly #bytes = new Uint8Array(ROOM_BYTES);
  readonly #view = viewOf(this.#bytes);

  /** An answer without records to a message whose question could not be read, or is of no interest. */
  refuse(view: DataView, off: number, end: number, rcode: number): Uint8Array {
    return this.#bytes.subarray(0, dns.emitResponse(this.#view, 0, view, off, end, rcode, false));
  }

  /** An answer without records. */
  failure(query: Query, rcode: number): Uint8Array {
    const at = dns.emitResponse(this.#view, 0, query.view, 0, query.end, rcode, false);
    return this.#finish(query, at, rcode);
  }

  /** What we know ourselves; cut where it is more than the guest takes. */
  local(query: Query, { rcode, addresses, pointer }: LocalAnswer): Uint8Array {
    const view = this.#view;
    const room = Math.min(query.limit, ROOM_BYTES) - (query.opt === dns.NONE ? 0 : dns.OPT_RECORD_BYTES);
    let at = dns.emitResponse(view, 0, query.view, 0, query.end, rcode, true);
    for (const address of addresses) {
      const bytes = isIpv4(address) ? dns.A_RECORD_BYTES : dns.AAAA_RECORD_BYTES;
      if (at + bytes > room) {
        dns.setTruncated(view, 0);
        break;
      }
      at = isIpv4(address)
        ? dns.appendA(view, 0, at, TTL_SECONDS, address[3])
        : dns.appendAaaa(view, 0, at, TTL_SECONDS, ...address);
    }
    if (pointer !== undefined) {
      if (at + dns.ptrRecordBytes(pointer) > room) dns.setTruncated(view, 0);
      else at = dns.appendPtr(view, 0, at, TTL_SECONDS, pointer);
    }
    return this.#finish(query, at, rcode);
  }

  /** The response of an upstream server, cut to nothing but the news that there is more. */
  cut(query: Query, response: DataView): Uint8Array {
    return this.#finish(query, dns.emitTruncated(this.#view, 0, response, 0, query.end), 0);
  }

  /** Adds the OPT record that belongs into the answer to a query with one (RFC 6891 section 6.1.1). */
  #finish(query: Query, at: number, rcode: number): Uint8Array {
    if (query.opt === dns.NONE) return this.#bytes.subarray(0, at);
    const end = dns.appendOpt(this.#view, 0, at, query.view, query.opt, MAX_DATAGRAM_BYTES, rcode);
    return this.#bytes.subarray(0, end);
  }
}
