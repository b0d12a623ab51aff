/**
 * The gateway's part without connection on a stage: VMs on ports in memory, the host's side real sockets in a network
 * namespace, and the datapath's rounds made by hand. Time goes on when a test says so.
 */

import type { Dropped, GatewayContext } from '../../src/gateway/context.ts';
import { Datagrams } from '../../src/gateway/datagrams.ts';
import { GatewayDns } from '../../src/gateway/dns/dns.ts';
import { EgressPolicies } from '../../src/gateway/egress-policies.ts';
import { compileEgress } from '../../src/gateway/egress-policy.ts';
import { FlowShare } from '../../src/gateway/flow-share.ts';
import { HostServices } from '../../src/gateway/host-services.ts';
import { GatewayIcmp } from '../../src/gateway/icmp.ts';
import { GatewayIcmpv6 } from '../../src/gateway/icmpv6.ts';
import { NeighbourDiscovery } from '../../src/gateway/ndp.ts';
import { Outbox } from '../../src/gateway/outbox.ts';
import { Sockets } from '../../src/gateway/sockets.ts';
import { TimerWheel } from '../../src/gateway/timer-wheel.ts';
import { VmUse } from '../../src/gateway/vm-use.ts';
import { BATCH_FRAMES, FrameBatch } from '../../src/port/batch.ts';
import { PairPort } from '../../src/port/pair-port.ts';
import { Forwarder } from '../../src/switch/forwarder.ts';
import { ADDRESS_CONFIGURED, allocateTables, KIND_VM, Tables } from '../../src/switch/tables.ts';
import { dropReason, KEPT } from '../../src/switch/verdict.ts';
import { DatagramVector } from '../../src/sys/datagram-vector.ts';
import { allocateDescriptorSet, DescriptorSet } from '../../src/sys/descriptor-set.ts';
import { Epoll, openEpoll } from '../../src/sys/epoll.ts';
import { AF_INET, AF_INET6, openSocket, SOCK_DGRAM, writeSocketAddress } from '../../src/sys/inet-socket.ts';
import { bind, check, close, getsockname, memcpyOut, recvmmsg, sendmmsg } from '../../src/sys/libc.ts';
import { mapMemory } from '../../src/sys/memory.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { allocateCounters, CounterBlock, CounterReader } from '../../src/telemetry/counters.ts';
import { DROP_REASONS } from '../../src/telemetry/drops.ts';
import { maskOf, parseIpv4 } from '../../src/wire/ipv4.ts';
import { formatIpv6 } from '../../src/wire/ipv6.ts';
import { macHigh, macLow, parseMac } from '../../src/wire/mac.ts';
import { expectSound } from './check-frame.ts';
import { A, GATEWAY, PACKET, type Station, UDP } from './frames.ts';
import { GATEWAY6, words6 } from './frames6.ts';
import { StubClock } from './stub-clock.ts';

const NOBODY_BY_NAME = { addressesOf: () => [], portOf: () => 0 };
const PORTS = 8;
export const NETWORK = 2;
export const VM = 3;
const EVENTS = 64;

/** The four words of an address in text. */
export function words(text: string): [number, number, number, number] {
  const four = parseIpv4(text);
  return four === undefined ? words6(text) : [0, 0, 0xffff, four | 0];
}

export interface StageOptions {
  readonly path: string;
  readonly mtu?: number;
}

export class DatagramStage {
  readonly clock = new StubClock();
  readonly tables = new Tables(allocateTables(), 0);
  readonly services = new HostServices();
  readonly policies = new EgressPolicies();
  readonly datagrams: Datagrams;
  readonly sockets: Sockets;
  readonly #path: string;
  readonly #batch = new FrameBatch(BATCH_FRAMES);
  readonly #epoll = new Epoll(openEpoll(), EVENTS);
  /** By slot, those that came late included */
  #verdicts: number[] = [];
  readonly #outbox: Outbox;
  readonly #timers: TimerWheel;
  readonly #reader: CounterReader;
  readonly #inside: PairPort;
  readonly #outside: PairPort;

  constructor({ path, mtu = 1500 }: StageOptions) {
    this.#path = path;
    const memory = allocateCounters(1, PORTS);
    const counters = new CounterBlock(memory, 0, PORTS);
    this.#reader = new CounterReader(memory, PORTS);
    this.#inside = new PairPort(VM, counters);
    this.#outside = new PairPort(0, counters);
    this.#inside.connect(this.#outside);
    this.#outbox = new Outbox((port) => (port === VM ? this.#inside : undefined));
    this.#timers = new TimerWheel(this.clock.ms);
    this.sockets = new Sockets(this.#epoll, 1, new DescriptorSet(allocateDescriptorSet()));
    this.tables.setNetwork(NETWORK, {
      isolated: true,
      gateway: words(GATEWAY.ip)[3],
      gateway6: words6(GATEWAY6),
      subnet: words('192.168.0.0')[3],
      mask: maskOf(16),
      mtu,
    });
    this.#addVm(A);
    const { clock, tables } = this;
    const forwarder = new Forwarder(tables, clock, clock.seconds);
    const dropped: Dropped = (_slot, ingress, reason) => counters.dropped(ingress, reason, 1);
    const context: GatewayContext = {
      tables,
      clock,
      counters,
      forwarder,
      outbox: this.#outbox,
      timers: this.#timers,
      sockets: this.sockets,
      policies: this.policies,
      services: this.services,
      dns: new GatewayDns(this.sockets, clock, this.#timers, NOBODY_BY_NAME, counters),
      gaveUp: () => {},
      dropped,
      settle: (slot, _, verdict) => {
        this.#verdicts[slot] = verdict;
      },
      dialed: () => {},
      reached: () => {},
      share: new FlowShare(),
      use: new VmUse(),
    };
    const icmp = new GatewayIcmp(tables, clock, dropped);
    const icmpv6 = new GatewayIcmpv6(tables, clock, dropped, new NeighbourDiscovery(tables, forwarder));
    this.datagrams = new Datagrams(context, icmp, icmpv6);
  }

  #addVm({ mac, ip }: Station): void {
    const value = parseMac(mac) as number;
    this.tables.addPort(VM, KIND_VM, NETWORK);
    this.tables.setCarrier(VM, true);
    this.tables.bindMac(VM, macHigh(value), macLow(value), ADDRESS_CONFIGURED, this.clock.seconds);
    this.tables.bindIp(VM, words(ip)[3], ADDRESS_CONFIGURED, this.clock.seconds);
    this.policies.set(VM, compileEgress({ vm: [], network: [], hostAddresses: [] }).words);
  }

  /** The guest sends a frame: the drop's reason, `kept`, or the frame that goes back at once. */
  send(frame: Uint8Array): string | Uint8Array {
    return this.sendBatch(frame)[0] as string | Uint8Array;
  }

  /** The guest sends frames that are received together; of each what {@link send} says. */
  sendBatch(...frames: Uint8Array[]): (string | Uint8Array)[] {
    const batch = this.#batch;
    for (const [slot, frame] of frames.entries()) {
      batch.place(slot, frame.subarray(10));
      batch.u8.set(frame.subarray(0, 10), batch.start[slot]);
    }
    this.#verdicts = inNamespace(this.#path, () => {
      this.#verdicts = [];
      for (const slot of frames.keys()) this.#verdicts[slot] = this.#handle(slot);
      this.datagrams.endBatch();
      return this.#verdicts;
    });
    // Whatever is still needed of a slot was copied wrongly.
    const answers = frames.map((_, slot) => {
      const start = batch.start[slot] as number;
      const end = start + (batch.length[slot] as number);
      const answer = batch.u8.slice(start, end);
      batch.u8.fill(0xee, start, end);
      return answer;
    });
    this.#outbox.flush();
    return answers.map((answer, slot) => this.#said(this.#verdicts[slot] as number, answer));
  }

  #handle(slot: number): number {
    const batch = this.#batch;
    const packet = (batch.start[slot] as number) + PACKET;
    const isIpv4 = (batch.u8[packet] as number) >>> 4 === 4;
    const protocol = batch.u8[packet + (isIpv4 ? 9 : 6)];
    const { udp, echo } = this.datagrams;
    return (protocol === UDP ? udp : echo).handle(batch, slot, VM, packet, isIpv4);
  }

  #said(verdict: number, answer: Uint8Array): string | Uint8Array {
    if (verdict === KEPT) return 'kept';
    if (verdict < 0) return DROP_REASONS[dropReason(verdict)] as string;
    expectSound(answer);
    return answer;
  }

  /** One round of the datapath; returns the frames the guest got. */
  round(): Uint8Array[] {
    inNamespace(this.#path, () => {
      const ready = this.#epoll.wait(20);
      for (let i = 0; i < ready; i++) this.sockets.dispatch(this.#epoll.token(i), this.#epoll.events(i));
      this.datagrams.run();
      this.#timers.advance(this.clock.ms);
      this.sockets.settle();
      this.#outbox.flush();
    });
    const frames: Uint8Array[] = [];
    for (let frame = this.#outside.take(); frame !== undefined; frame = this.#outside.take()) {
      expectSound(frame);
      frames.push(frame);
    }
    return frames;
  }

  /** Lets time pass, a timer at its time. */
  pass(seconds: number): void {
    this.clock.pass(seconds);
    this.round();
  }

  get drops(): Record<string, number | undefined> {
    return this.#reader.read(VM).drops;
  }

  close(): void {
    this.sockets.closeAll();
    close(this.#epoll.fd);
    this.#epoll.release();
    this.#outbox.release();
    this.datagrams.release();
    this.#batch.release();
  }
}

/** A datagram as it arrived at a {@link Peer}. */
export interface Arrived {
  readonly data: Uint8Array;
  readonly from: string;
  readonly port: number;
}

const SLOT = 65_536;

/** A UDP socket somewhere on the host's side. */
export class Peer {
  readonly fd: number;
  readonly port: number;
  readonly #vector = new DatagramVector(1, SLOT, 0);
  readonly #memory = mapMemory(SLOT);

  constructor(path: string, address: string, port = 0) {
    const family = parseIpv4(address) === undefined ? AF_INET6 : AF_INET;
    this.fd = inNamespace(path, () => check('socket', openSocket(family, SOCK_DGRAM)));
    const name = new Uint8Array(28);
    const bytes = writeSocketAddress(new DataView(name.buffer), 0, ...words(address), port);
    check(`bind ${address}`, bind(this.fd, name, bytes));
    const length = Uint8Array.of(28, 0, 0, 0);
    check('getsockname', getsockname(this.fd, name, length));
    this.port = new DataView(name.buffer).getUint16(2);
  }

  receive(): Arrived | undefined {
    this.#vector.prepare(0, 1);
    if (recvmmsg(this.fd, this.#vector.headerAddress(0), 1, 0x40, 0) !== 1) return undefined;
    const data = new Uint8Array(this.#vector.bytes(0));
    if (data.length > 0) memcpyOut(data, this.#vector.slotAddress(0), data.length);
    const from = this.#from();
    return { data, from, port: this.#vector.namePort(0) };
  }

  #from(): string {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < 4; i++) view.setInt32(4 * i, this.#vector.nameWord(0, i));
    return formatIpv6(bytes).replace('::ffff:', '');
  }

  send(to: string, port: number, data: Uint8Array): void {
    const vector = new DatagramVector(1, 0, 0);
    this.#memory.u8.set(data);
    vector.address(0, ...words(to), port);
    vector.aim(0, this.#memory.address, data.length);
    check('sendmmsg', sendmmsg(this.fd, vector.headerAddress(0), 1, 0));
    vector.release();
  }

  close(): void {
    close(this.fd);
  }
}
