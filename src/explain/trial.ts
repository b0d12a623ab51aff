/**
 * Frames tried out: the datapath's own forwarder and gateway decide about them, over a copy of the tables. The services
 * that would open sockets are others here, which ask the same functions where the flow leads, and stop there.
 *
 * What only a worker knows is not part of it: rates (every frame is within them), the flows of UDP and echo a VM has, and
 * the connections there are.
 */

import type { Scene } from '../engine/scene.ts';
import type { Dropped } from '../gateway/context.ts';
import { destinationOf, isRefusal, refusalReason } from '../gateway/destination.ts';
import { Dhcp } from '../gateway/dhcp.ts';
import { Dispatch, type PacketService } from '../gateway/dispatch.ts';
import type { RuleOrigin } from '../gateway/egress-policy.ts';
import { FlowKey } from '../gateway/flow-key.ts';
import { GatewayIcmp } from '../gateway/icmp.ts';
import { GatewayIcmpv6 } from '../gateway/icmpv6.ts';
import { NeighbourDiscovery } from '../gateway/ndp.ts';
import { Neighbours } from '../gateway/neighbour.ts';
import { hasTcpRoom } from '../gateway/tcp/flow-table.ts';
import { Segment } from '../gateway/tcp/segment.ts';
import { transportOffset } from '../gateway/transport.ts';
import { Refusals } from '../gateway/udp/refusals.ts';
import { FrameBatch } from '../port/batch.ts';
import { Forwarder } from '../switch/forwarder.ts';
import { SOURCE_OK, SourcePolicy } from '../switch/source-policy.ts';
import { GATEWAY_PORT, KIND_VM } from '../switch/tables.ts';
import { drop, KEPT } from '../switch/verdict.ts';
import { DROP } from '../telemetry/drops.ts';
import * as ethernet from '../wire/ethernet.ts';
import { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ipv4.ts';
import * as udp from '../wire/udp.ts';
import { VNET_HEADER_BYTES } from '../wire/vnet.ts';

/** Where a flow that the frame would begin leads. */
export interface FlowFinding {
  /** Of gateway/destination */
  readonly destination: number;
  /** The outbound rule that decided, where one did */
  readonly rule: RuleOrigin | undefined;
  /** The VM has room for it, as far as that can be seen from outside a worker */
  readonly hasRoom: boolean;
}

export interface TrialResult {
  /** Of SourcePolicy.check; SOURCE_OK for the host's frames */
  readonly source: number;
  /** Of the forwarder, or the gateway */
  readonly verdict: number;
  readonly byGateway: boolean;
  /** Drop reason that was counted while an error went back */
  readonly refused: number | undefined;
  /** Of a guest's packet that the gateway would carry on */
  readonly flow: FlowFinding | undefined;
  /** It was a question to the gateway's name server */
  readonly asksName: boolean;
  /** What is in the slot afterwards, from its Ethernet header on: the answer where there is one */
  readonly frame: DataView;
}

export class Trial {
  readonly #scene: Scene;
  readonly #batch = new FrameBatch(1);
  readonly #sources: SourcePolicy;
  readonly #forwarder: Forwarder;
  readonly #dispatch: Dispatch;
  readonly #refusals: Refusals;
  readonly #segment = new Segment();
  readonly #key = new FlowKey();
  #refused: number | undefined;
  #flow: FlowFinding | undefined;
  #asksName = false;

  constructor(scene: Scene) {
    const { tables, clock, startedSeconds } = scene;
    this.#scene = scene;
    this.#sources = new SourcePolicy(tables, clock);
    const forwarder = new Forwarder(tables, clock, startedSeconds);
    this.#forwarder = forwarder;
    const dropped: Dropped = (_slot, _ingress, reason) => {
      this.#refused = reason;
    };
    const icmp = new GatewayIcmp(tables, clock, dropped);
    const icmpv6 = new GatewayIcmpv6(tables, clock, dropped, new NeighbourDiscovery(tables, forwarder));
    this.#refusals = new Refusals(icmp, icmpv6);
    this.#dispatch = new Dispatch(
      { tables, clock, dropped, forwarder },
      {
        neighbours: new Neighbours(tables, clock, forwarder),
        dhcp: new Dhcp(tables, clock),
        icmp,
        icmpv6,
        tcp: { handle: (...frame) => this.#tcp(...frame) },
        udp: { handle: (...frame) => this.#datagram(PROTOCOL_UDP, ...frame) },
        echo: { handle: (...frame) => this.#datagram(PROTOCOL_ICMP, ...frame) },
        errors: { handle: () => drop(DROP['no-service']) },
        questions: { handle: () => this.#name() },
      },
    );
  }

  /** Tries a frame, virtio-net header first, that comes in by port `ingress`. */
  send(ingress: number, frame: Uint8Array): TrialResult {
    const batch = this.#batch;
    batch.place(0, frame.subarray(VNET_HEADER_BYTES));
    this.#refused = undefined;
    this.#flow = undefined;
    this.#asksName = false;
    const at = (batch.start[0] as number) + VNET_HEADER_BYTES;
    const isGuest = this.#scene.tables.kind(ingress) === KIND_VM;
    const bytes = frame.length - VNET_HEADER_BYTES;
    // Asked by itself first: it says the same to the forwarder after.
    const source = isGuest ? this.#sources.check(ingress, batch.view, at, bytes) : SOURCE_OK;
    let verdict = this.#forwarder.decide(batch, 0, ingress);
    const byGateway = verdict === GATEWAY_PORT;
    if (byGateway) verdict = this.#dispatch.handle(batch, 0, ingress);
    const end = (batch.start[0] as number) + (batch.length[0] as number);
    return {
      source,
      verdict,
      byGateway,
      refused: this.#refused,
      flow: this.#flow,
      asksName: this.#asksName,
      frame: new DataView(batch.u8.slice(at, Math.max(end, at + ethernet.ETHERNET_HEADER_BYTES)).buffer),
    };
  }

  release(): void {
    this.#batch.release();
  }

  #name(): number {
    this.#asksName = true;
    return KEPT;
  }

  #tcp(...[batch, slot, ingress, packet, isIpv4]: Parameters<PacketService['handle']>): number {
    const segment = this.#segment;
    if (!segment.read(batch, slot, ingress, packet, isIpv4)) return drop(DROP.malformed);
    const { destination, hasRoom } = this.#find(PROTOCOL_TCP, segment.key);
    if (isRefusal(destination)) return drop(refusalReason(destination));
    return hasRoom ? KEPT : drop(DROP['flow-limit']);
  }

  #datagram(
    protocol: number,
    ...[batch, slot, ingress, packet, isIpv4]: Parameters<PacketService['handle']>
  ): number {
    const key = this.#key;
    key.port = ingress;
    key.takeAddresses(batch.view, packet, isIpv4);
    const datagram = transportOffset(batch.view, packet, isIpv4);
    key.remotePort = protocol === PROTOCOL_UDP ? udp.destinationPort(batch.view, datagram) : 0;
    const { destination } = this.#find(protocol, key);
    if (!isRefusal(destination)) return KEPT;
    return this.#refusals.refuse(batch, slot, packet, ingress, isIpv4, refusalReason(destination));
  }

  #find(protocol: number, key: FlowKey): FlowFinding {
    const { tables, services, use, vms } = this.#scene;
    let rule: RuleOrigin | undefined;
    const decide = (port: number, ...flow: [number, number, number, number, number, number]): number => {
      for (const vm of vms()) {
        if (vm.port !== port) continue;
        const policy = vm.policy();
        const reason = policy.decide(...flow);
        rule = policy.lastOrigin();
        return reason;
      }
      return DROP['egress-denied'];
    };
    const destination = destinationOf({ tables, services, policies: { decide } }, protocol, key);
    const hasRoom = protocol !== PROTOCOL_TCP || hasTcpRoom(use, key.port);
    this.#flow = { destination, rule, hasRoom };
    return this.#flow;
  }
}
