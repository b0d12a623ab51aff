/**
 * What routers and hosts outside say about a flow's packets, given back to its guest as if it had sent them itself.
 *
 * The kernel keeps such messages in the socket's error queue (IP_RECVERR, ip(7)): what was said, by whom, and the part
 * of the packet that was quoted. The guest gets an ICMP error (RFC 792, RFC 4443 section 3) that quotes its own
 * headers, rebuilt from the flow, within a rate per VM (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f)).
 */
import { RateLimit } from '../../switch/rate-limit.ts';
import { ADDRESS_UNKNOWN } from '../../switch/tables.ts';
import { addressWord, CMSG_DATA, DatagramVector, MSG_ERRQUEUE } from '../../sys/datagram-vector.ts';
import { ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH } from '../../sys/errno.ts';
import { AF_INET, AF_INET6, isMapped } from '../../sys/inet-socket.ts';
import { recvmsgAt } from '../../sys/libc.ts';
import { MSG_DONTWAIT } from '../../sys/message-vector.ts';
import * as icmp from '../../wire/icmp.ts';
import * as icmpv6 from '../../wire/icmpv6.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as udp from '../../wire/udp.ts';
import type { GatewayContext } from '../context.ts';
import { type FlowError, QUOTED_TRANSPORT_BYTES, quotedTransport, writeFlowError } from '../flow-error.ts';
import { FlowKey } from '../flow-key.ts';
import { ERROR_BURST, ERRORS_PER_SECOND } from '../icmp.ts';
import { writeHead } from '../to-guest.ts';
import { type DatagramFlow, HOPS_LEFT } from './flow.ts';

const QUOTE_ROOM = 64;
const CONTROL_BYTES = 128;
/** Messages taken from one socket at a time: an error queue is filled by whoever can guess the flow's ports */
const ERRORS_PER_TURN = 16;

// struct sock_extended_err (linux/errqueue.h), behind which the offender's sockaddr stands
const EE_ERRNO = 0;
const EE_ORIGIN = 4;
const EE_TYPE = 5;
const EE_CODE = 6;
const EE_INFO = 8;
const EE_OFFENDER = 16;
const EE_BYTES = 16;
const ORIGIN_ICMP = 2;
const ORIGIN_ICMP6 = 3;

/** Code of UNREACHABLE: there is no way to that network (RFC 792) */
const NET_UNREACHABLE = 0;
/** Code of UNREACHABLE: there is no route (RFC 4443 section 3.1) */
const NO_ROUTE6 = 0;
const NOTHING = -1;

export class HostErrors {
  readonly #context: GatewayContext;
  readonly #limit: RateLimit;
  readonly #vector = new DatagramVector(1, QUOTE_ROOM, CONTROL_BYTES);
  readonly #from = new FlowKey();
  /** What is to be said */
  readonly #error: FlowError = { type: 0, code: 0, rest: 0 };

  constructor(context: GatewayContext) {
    this.#context = context;
    this.#limit = new RateLimit(context.clock, ERRORS_PER_SECOND, ERROR_BURST);
  }

  /** Tells the flow's guest what waits in its socket's error queue. */
  drain(flow: DatagramFlow, fd: number): void {
    for (let i = 0; i < ERRORS_PER_TURN; i++) {
      this.#vector.prepare(0, 1);
      const quoted = recvmsgAt(fd, this.#vector.headerAddress(0), MSG_ERRQUEUE | MSG_DONTWAIT);
      if (quoted < 0) return;
      if (this.#vector.controlLength(0) >= CMSG_DATA + EE_BYTES) this.#pass(flow, quoted);
    }
  }

  #pass(flow: DatagramFlow, quoted: number): void {
    const { view } = this.#vector;
    const error = this.#vector.control(0) + CMSG_DATA;
    const quote = this.#vector.slot(0);
    const isEcho = flow.remotePort === 0;
    if (isEcho && quoted < QUOTED_TRANSPORT_BYTES) return;
    // A raw socket hears of everybody's packets to its destination.
    if (flow.isRaw && icmp.identifier(view, quote) !== flow.hostIdentifier) return;
    this.#classify(flow, error);
    if (this.#error.type === NOTHING) return;
    const offender = flow.isService ? NOTHING : this.#offender(flow, error + EE_OFFENDER);
    this.#emit(flow, isEcho ? icmp.sequence(view, quote) : quoted, offender);
  }

  /** Finds what to tell the guest: the same, where the families are, and otherwise what it comes to. */
  #classify(flow: DatagramFlow, error: number): void {
    const { view } = this.#vector;
    const origin = view.getUint8(error + EE_ORIGIN);
    const type = view.getUint8(error + EE_TYPE);
    const info = view.getInt32(error + EE_INFO, true);
    this.#error.code = view.getUint8(error + EE_CODE);
    this.#error.type = NOTHING;
    this.#error.rest = 0;
    if (origin === ORIGIN_ICMP && flow.isIpv4) {
      if (type === icmp.UNREACHABLE || type === icmp.TIME_EXCEEDED) this.#error.type = type;
      if (type === icmp.UNREACHABLE && this.#error.code === icmp.FRAGMENTATION_NEEDED)
        this.#error.rest = info & 0xffff;
      return;
    }
    if (origin === ORIGIN_ICMP6 && !flow.isIpv4) {
      if (type >= icmpv6.UNREACHABLE && type <= icmpv6.TIME_EXCEEDED) this.#error.type = type;
      if (type === icmpv6.PACKET_TOO_BIG) this.#error.rest = info;
      return;
    }
    this.#byNumber(flow, view.getInt32(error + EE_ERRNO, true), info);
  }

  #byNumber(flow: DatagramFlow, number: number, mtu: number): void {
    if (number === EMSGSIZE) {
      this.#error.type = flow.isIpv4 ? icmp.UNREACHABLE : icmpv6.PACKET_TOO_BIG;
      this.#error.code = flow.isIpv4 ? icmp.FRAGMENTATION_NEEDED : 0;
      this.#error.rest = mtu;
      return;
    }
    const code = unreachableCode(number, flow.isIpv4);
    if (code === NOTHING) return;
    this.#error.type = flow.isIpv4 ? icmp.UNREACHABLE : icmpv6.UNREACHABLE;
    this.#error.code = code;
  }

  /** Offset of the sockaddr of whoever sent the message, where it is one the guest's family can name. */
  #offender(flow: DatagramFlow, at: number): number {
    const { view } = this.#vector;
    const family = view.getUint16(at, true);
    if (family !== AF_INET && family !== AF_INET6) return NOTHING;
    const mapped = isMapped(addressWord(view, at, 0), addressWord(view, at, 1), addressWord(view, at, 2));
    return mapped === flow.isIpv4 && addressWord(view, at, 3) !== 0 ? at : NOTHING;
  }

  /** @param detail of a UDP flow the datagram's payload bytes, of an echo flow the sequence number */
  #emit(flow: DatagramFlow, detail: number, offender: number): void {
    const { outbox, tables } = this.#context;
    if (!tables.carrier(flow.port) || tables.macState(flow.port) === ADDRESS_UNKNOWN) return;
    if (!this.#limit.take(flow.port)) return;
    const start = outbox.claim();
    const { view } = outbox;
    const packet = writeHead(view, start, tables, flow);
    const isEcho = flow.remotePort === 0;
    this.#quoteTransport(flow, quotedTransport(flow, packet), detail);
    const from = this.#from;
    from.take(flow);
    if (offender !== NOTHING) this.#nameOffender(offender);
    const echo = flow.isIpv4 ? ipv4.PROTOCOL_ICMP : ipv6.PROTOCOL_ICMPV6;
    const protocol = isEcho ? echo : ipv4.PROTOCOL_UDP;
    const quoted = QUOTED_TRANSPORT_BYTES + (isEcho ? 0 : detail);
    const bytes = writeFlowError(view, packet, flow, from, this.#error, protocol, quoted, HOPS_LEFT);
    outbox.commit(flow.port, packet + bytes - start, 0, 0);
  }

  #nameOffender(offender: number): void {
    const { view } = this.#vector;
    this.#from.remote0 = addressWord(view, offender, 0);
    this.#from.remote1 = addressWord(view, offender, 1);
    this.#from.remote2 = addressWord(view, offender, 2);
    this.#from.remote3 = addressWord(view, offender, 3);
  }

  #quoteTransport(flow: DatagramFlow, off: number, detail: number): void {
    const { view } = this.#context.outbox;
    if (flow.remotePort !== 0) {
      udp.emit(view, off, flow.guestPort, flow.remotePort, QUOTED_TRANSPORT_BYTES + detail);
      return;
    }
    const type = flow.isIpv4 ? icmp.ECHO_REQUEST : icmpv6.ECHO_REQUEST;
    icmpv6.emitHeader(view, off, type, 0, (flow.guestPort << 16) | detail);
  }

  release(): void {
    this.#vector.release();
  }
}

/** Code of "destination unreachable" for an error's number, NOTHING for one that says something else. */
export function unreachableCode(number: number, isIpv4: boolean): number {
  switch (number) {
    case ECONNREFUSED:
      return isIpv4 ? icmp.PORT_UNREACHABLE : icmpv6.PORT_UNREACHABLE;
    case EHOSTUNREACH:
      return isIpv4 ? icmp.HOST_UNREACHABLE : icmpv6.ADDRESS_UNREACHABLE;
    case ENETUNREACH:
      return isIpv4 ? NET_UNREACHABLE : NO_ROUTE6;
    default:
      return NOTHING;
  }
}
