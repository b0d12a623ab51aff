/** What a flow's guest is told or asked outside TCP: that its connection cannot be, and what its MAC is. */
import { GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW } from '../../switch/gateway-mac.ts';
import type { Tables } from '../../switch/tables.ts';
import * as arp from '../../wire/arp.ts';
import * as ethernet from '../../wire/ethernet.ts';
import * as icmp from '../../wire/icmp.ts';
import * as icmpv6 from '../../wire/icmpv6.ts';
import { PROTOCOL_TCP, USUAL_TTL } from '../../wire/ipv4.ts';
import * as vnet from '../../wire/vnet.ts';
import { type FlowError, QUOTED_TRANSPORT_BYTES, quotedTransport, writeFlowError } from '../flow-error.ts';
import { FlowKey } from '../flow-key.ts';
import type { Outbox } from '../outbox.ts';
import { writeHead } from '../to-guest.ts';
import type { TcpFlow } from './flow.ts';

export class Notices {
  readonly #tables: Tables;
  readonly #outbox: Outbox;
  readonly #from = new FlowKey();
  readonly #error: FlowError = { type: 0, code: 0, rest: 0 };

  constructor(tables: Tables, outbox: Outbox) {
    this.#tables = tables;
    this.#outbox = outbox;
  }

  /** Says, as a router would, that the host cannot get to where the guest's SYN wanted to go. */
  unreachable(flow: TcpFlow, prohibited: boolean): void {
    const { view } = this.#outbox;
    const start = this.#outbox.claim();
    const packet = writeHead(view, start, this.#tables, flow);
    const segment = quotedTransport(flow, packet);
    view.setUint16(segment, flow.guestPort);
    view.setUint16(segment + 2, flow.remotePort);
    view.setInt32(segment + 4, flow.irs);
    const from = this.#from;
    from.take(flow);
    if (flow.isIpv4) {
      this.#error.type = icmp.UNREACHABLE;
      this.#error.code = prohibited ? icmp.ADMIN_PROHIBITED : icmp.HOST_UNREACHABLE;
      from.remote3 = this.#tables.gatewayAddress(this.#tables.network(flow.port));
    } else {
      this.#error.type = icmpv6.UNREACHABLE;
      this.#error.code = prohibited ? icmpv6.ADMIN_PROHIBITED : icmpv6.ADDRESS_UNREACHABLE;
    }
    const quoted = QUOTED_TRANSPORT_BYTES;
    const bytes = writeFlowError(view, packet, flow, from, this.#error, PROTOCOL_TCP, quoted, USUAL_TTL);
    this.#outbox.commit(flow.port, packet + bytes - start, 0, 0);
  }

  /** Asks for the MAC of the flow's guest. */
  askMac(flow: TcpFlow): void {
    const { view } = this.#outbox;
    const start = this.#outbox.claim();
    const frame = start + vnet.VNET_HEADER_BYTES;
    vnet.clear(view, start);
    ethernet.writeHeader(
      view,
      frame,
      ethernet.BROADCAST_HIGH,
      ethernet.BROADCAST_LOW,
      GATEWAY_MAC_HIGH,
      GATEWAY_MAC_LOW,
      ethernet.ETHERTYPE_ARP,
    );
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    const gateway = this.#tables.gatewayAddress(this.#tables.network(flow.port));
    arp.emit(view, packet, arp.ARP_REQUEST, GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW, gateway, 0, 0, flow.guest3);
    this.#outbox.commit(flow.port, packet + arp.ARP_BYTES - start, 0, 0);
  }
}
