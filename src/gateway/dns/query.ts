/** A guest's question, and who wants the answer. */
import * as dns from '../../wire/dns.ts';

/** Whoever asked. Several queries may have the same one. */
export interface DnsClient {
  readonly network: number;
  /** The VM's port */
  readonly port: number;
  /** Whether it asks over TCP */
  readonly stream: boolean;
  /** Takes an answer; the bytes are the caller's again after the call. */
  reply(message: Uint8Array): void;
}

/** Longest query we take, bytes: ordinary ones have less than 100, padded and signed ones some hundreds. */
export const MAX_QUERY_BYTES = 4096;

/**
 * Longest answer over UDP, bytes, whatever the guest would take: it is never fragmented, since with its headers it
 * passes every link (RFC 8200 section 5: 1280 bytes; RFC 9715 section 3.1). What is longer is cut, and asked for over
 * TCP.
 */
export const MAX_DATAGRAM_BYTES = 1232;

/** A copy of a query with one question, read as far as that is of interest. */
export class Query {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly id: number;
  /** Offset behind the question */
  readonly end: number;
  /** Offset of the OPT record, NONE without EDNS */
  readonly opt: number;
  /** Longest answer it may get, bytes */
  readonly limit: number;

  /** @param end offset in `view` behind the question, see `questionEnd` */
  constructor(view: DataView, off: number, length: number, end: number, stream: boolean) {
    this.bytes = new Uint8Array(view.buffer, view.byteOffset + off, length).slice();
    this.view = viewOf(this.bytes);
    this.id = dns.id(this.view, 0);
    this.end = end - off;
    this.opt = dns.findOpt(this.view, 0, length, this.end);
    const datagram = this.opt === dns.NONE ? dns.MIN_UDP_BYTES : dns.optUdpBytes(this.view, this.opt);
    this.limit = stream ? dns.MAX_MESSAGE_BYTES : Math.min(datagram, MAX_DATAGRAM_BYTES);
  }

  get type(): number {
    return dns.questionType(this.view, this.end);
  }

  get class(): number {
    return dns.questionClass(this.view, this.end);
  }

  get name(): string {
    return dns.questionName(this.view, 0);
  }
}

/** A view over exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
