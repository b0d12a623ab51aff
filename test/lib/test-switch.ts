/**
 * The switch without threads, sockets or a clock of its own: the datapath's parts around ports in memory. What a
 * port sends is carried through at once; what left, and what was dropped where, is the outcome.
 */
import { EgressQueues } from '../../src/engine/egress.ts';
import { TableAddressBook } from '../../src/gateway/dns/address-book.ts';
import { GatewayDns } from '../../src/gateway/dns/dns.ts';
import { EgressPolicies } from '../../src/gateway/egress-policies.ts';
import { FlowShare } from '../../src/gateway/flow-share.ts';
import type { GivenUp } from '../../src/gateway/forward-binding.ts';
import { Gateway } from '../../src/gateway/gateway.ts';
import { HostServices } from '../../src/gateway/host-services.ts';
import { Outbox } from '../../src/gateway/outbox.ts';
import { Sockets } from '../../src/gateway/sockets.ts';
import { TimerWheel } from '../../src/gateway/timer-wheel.ts';
import { VmUse } from '../../src/gateway/vm-use.ts';
import { FrameBatch } from '../../src/port/batch.ts';
import { PairPort } from '../../src/port/pair-port.ts';
import type { Port } from '../../src/port/port.ts';
import { Forwarder } from '../../src/switch/forwarder.ts';
import { PICKUP_SECONDS } from '../../src/switch/host-policy.ts';
import {
  ADDRESS_CONFIGURED,
  allocateTables,
  GATEWAY_PORT,
  KIND_HOST,
  KIND_VM,
  MAX_PORTS,
  Tables,
} from '../../src/switch/tables.ts';
import { dropReason, FLOOD, KEPT } from '../../src/switch/verdict.ts';
import { allocateDescriptorSet, DescriptorSet } from '../../src/sys/descriptor-set.ts';
import { Epoll, openEpoll } from '../../src/sys/epoll.ts';
import {
  allocateCounters,
  CounterBlock,
  CounterReader,
  type PortStats,
} from '../../src/telemetry/counters.ts';
import type { DropReason } from '../../src/telemetry/drops.ts';
import { maskOf, parseIpv4 } from '../../src/wire/ipv4.ts';
import { macHigh, macLow, parseMac } from '../../src/wire/mac.ts';
import { expectSound } from './check-frame.ts';
import { GATEWAY, HOST, type Station } from './frames.ts';
import { StubClock } from './stub-clock.ts';

export const NETWORK = 3;
const PORTS = 64;
/** Bytes of a slot that are filled with {@link TestSwitch.stale} before each send */
const STALE_BYTES = 4096;

// One for all: it holds nothing between two sends, and is large.
const batch = new FrameBatch();
const epoll = new Epoll(openEpoll(), 64);
const sockets = new Sockets(epoll, MAX_PORTS, new DescriptorSet(allocateDescriptorSet()));

export interface Sent {
  readonly port: number;
  readonly frame: Uint8Array;
}

/** Frames that left, in order by port, and drops by the port they are counted at. */
export interface Outcome {
  readonly left: Sent[];
  readonly drops: Record<number, Partial<Record<DropReason, number>>>;
}

/** Outcome of a frame that was dropped, counted at `port`. */
export function dropped(port: number, reason: DropReason, frames = 1): Outcome {
  return { left: [], drops: { [port]: { [reason]: frames } } };
}

/** Outcome of a frame that left as it came. */
export function passed(frame: Uint8Array, ...ports: number[]): Outcome {
  return { left: ports.map((port) => ({ port, frame })), drops: {} };
}

/** Outcome of a frame that nobody was there to have. */
export const ABSORBED: Outcome = { left: [], drops: {} };

export function int32(ip: string): number {
  return (parseIpv4(ip) as number) | 0;
}

export interface TestSwitchOptions {
  readonly mode?: 'isolated' | 'shared';
  /** Whether there is a host port; there is unless false */
  readonly host?: boolean;
  /** Whether the switch has only just started, and picks connections in mid-stream up */
  readonly pickup?: boolean;
}

export class TestSwitch {
  readonly clock = new StubClock();
  readonly memory = allocateTables();
  readonly tables = new Tables(this.memory, 0);
  readonly forwarder: Forwarder;
  readonly gateway: Gateway;
  readonly policies = new EgressPolicies();
  readonly services = new HostServices();
  readonly use = new VmUse();
  readonly block: CounterBlock;
  /** Number of the host port, 0 without one */
  readonly host: number;
  /** What lies behind a frame in its slot */
  stale = 0xee;
  /** Frames whose verdict was to flood them */
  floods = 0;
  /** Frames that the gateway kept */
  kept = 0;
  /** Forwarded connections given up that were told of */
  readonly givenUp: GivenUp[] = [];
  readonly #reader: CounterReader;
  readonly #egress = new EgressQueues();
  /** The switch's ports, wrapped where a test says so, and the two ends of each port's cable */
  readonly #ports: Port[] = [];
  readonly #inside: PairPort[] = [];
  readonly #outside: PairPort[] = [];
  #nextPort = 1;

  constructor({ mode = 'isolated', host = true, pickup = false }: TestSwitchOptions = {}) {
    const counters = allocateCounters(1, PORTS);
    this.block = new CounterBlock(counters, 0, PORTS);
    this.#reader = new CounterReader(counters, PORTS);
    this.forwarder = new Forwarder(this.tables, this.clock, this.clock.seconds);
    if (!pickup) this.clock.pass(PICKUP_SECONDS);
    this.gateway = this.#makeGateway();
    this.addNetwork(NETWORK, mode);
    this.host = host ? this.#add(KIND_HOST, NETWORK, HOST, true) : 0;
    if (host) this.tables.setHostPort(NETWORK, this.host, int32(HOST.ip));
  }

  #makeGateway(): Gateway {
    const { tables, clock, forwarder, block: counters } = this;
    const outbox = new Outbox((port) => this.#ports[port]);
    const timers = new TimerWheel(clock.ms);
    const { policies, services } = this;
    const dns = new GatewayDns(sockets, clock, timers, new TableAddressBook(tables, clock), counters);
    const context = {
      tables,
      clock,
      counters,
      forwarder,
      outbox,
      timers,
      sockets,
      policies,
      services,
      dns,
      gaveUp: (what: GivenUp) => this.givenUp.push(what),
      dialed: () => {},
      reached: () => {},
      dropped: (_slot: number, ingress: number, reason: number) => counters.dropped(ingress, reason, 1),
      settle: (slot: number, ingress: number, verdict: number) => this.#carryOut(slot, ingress, verdict),
      share: new FlowShare(),
      use: this.use,
    };
    return new Gateway(context, { pass: () => false });
  }

  addNetwork(network: number, mode: 'isolated' | 'shared'): void {
    this.tables.setNetwork(network, {
      isolated: mode === 'isolated',
      gateway: int32(GATEWAY.ip),
      subnet: int32('192.168.0.0'),
      mask: maskOf(16),
    });
  }

  /** Adds a VM with the configured addresses given; returns its port number. */
  vm(station: Partial<Station> = {}, { network = NETWORK, carrier = true } = {}): number {
    return this.#add(KIND_VM, network, station, carrier);
  }

  /** Adds a VM under a number that is free again. */
  addVmAt(port: number, station: Partial<Station>): void {
    this.#add(KIND_VM, NETWORK, station, true, port);
  }

  #add(
    kind: number,
    network: number,
    { mac, ip }: Partial<Station>,
    carrier: boolean,
    port = this.#nextPort++,
  ): number {
    const { tables, clock } = this;
    tables.addPort(port, kind, network);
    tables.setCarrier(port, carrier);
    if (mac !== undefined) {
      const value = parseMac(mac) as number;
      tables.bindMac(port, macHigh(value), macLow(value), ADDRESS_CONFIGURED, clock.seconds);
    }
    if (ip !== undefined && kind === KIND_VM) {
      tables.bindIp(port, int32(ip), ADDRESS_CONFIGURED, clock.seconds);
    }
    const inside = new PairPort(port, this.block);
    const outside = new PairPort(0, this.block);
    inside.connect(outside);
    this.#ports[port] = inside;
    this.#inside[port] = inside;
    this.#outside[port] = outside;
    return port;
  }

  /** Puts something between a port and the switch. */
  wrap(port: number, wrapper: (inner: Port) => Port): void {
    this.#ports[port] = wrapper(this.#ports[port] as Port);
  }

  /**
   * One round as the datapath has it: news of the gateway's sockets, one batch of each port that has frames, and the
   * gateway's turn. Returns the frames that left.
   */
  round(arrivals: readonly (readonly [port: number, frames: readonly Uint8Array[]])[]): Sent[] {
    for (const [port, frames] of arrivals) for (const frame of frames) this.#inside[port]?.feed(frame);
    const ready = epoll.wait(0);
    for (let i = 0; i < ready; i++) sockets.dispatch(epoll.token(i), epoll.events(i));
    for (const [port] of arrivals) this.#receive(port);
    this.gateway.run();
    return this.#collect();
  }

  /** Lets the gateway hear of its sockets and do what is due. Returns the frames that left for it. */
  poll(): Sent[] {
    const ready = epoll.wait(0);
    for (let i = 0; i < ready; i++) sockets.dispatch(epoll.token(i), epoll.events(i));
    this.gateway.run();
    return this.#collect();
  }

  /** What happens when a VMM ends. */
  loseCarrier(port: number): void {
    this.tables.setCarrier(port, false);
    this.tables.forgetLearned(port);
  }

  stats(port: number): PortStats {
    return this.#reader.read(port);
  }

  from(port: number) {
    return {
      /** Sends frames one after the other; checks lengths and checksums of all that leaves. */
      send: (...frames: Uint8Array[]): Outcome => {
        const outcome = this.#carry(port, frames);
        for (const { frame } of outcome.left) expectSound(frame);
        return outcome;
      },
      /** The same for frames that are not sound themselves. */
      sendUnsound: (...frames: Uint8Array[]): Outcome => this.#carry(port, frames),
    };
  }

  #carry(port: number, frames: readonly Uint8Array[]): Outcome {
    const before = this.#inside.map((_, number) => this.stats(number).drops);
    for (let at = 0; at < frames.length; at += batch.capacity) {
      for (const frame of frames.slice(at, at + batch.capacity)) this.#inside[port]?.feed(frame);
      this.#service(port);
    }
    return { left: this.#collect(), drops: this.#dropsSince(before) };
  }

  #service(ingress: number): void {
    this.#receive(ingress);
    this.gateway.run();
  }

  /** Moves one batch on, as the datapath does. */
  #receive(ingress: number): void {
    const start = batch.start[0] as number;
    batch.u8.fill(this.stale, start, start + STALE_BYTES);
    const count = (this.#ports[ingress] as Port).receive(batch);
    for (let slot = 0; slot < count; slot++) this.#forward(slot, ingress);
    this.gateway.endBatch();
    const egress = this.#egress;
    for (let row = 0; row < egress.rows; row++) {
      const port = this.#ports[egress.port(row)] as Port;
      port.transmit(batch, egress.slots, egress.first(row), egress.count(row));
    }
    egress.clear();
  }

  #forward(slot: number, ingress: number): void {
    let verdict = this.forwarder.decide(batch, slot, ingress);
    if (verdict === GATEWAY_PORT) verdict = this.gateway.handle(batch, slot, ingress);
    this.#carryOut(slot, ingress, verdict);
  }

  #carryOut(slot: number, ingress: number, verdict: number): void {
    if (verdict > GATEWAY_PORT) this.#egress.add(verdict, slot);
    else if (verdict === FLOOD) this.#flood(slot, ingress);
    else if (verdict === KEPT) this.kept++;
    else this.block.dropped(ingress, dropReason(verdict), 1);
  }

  #flood(slot: number, ingress: number): void {
    const { tables } = this;
    this.floods++;
    for (const port of this.#inside.keys()) {
      const member = tables.kind(port) === KIND_VM && tables.network(port) === tables.network(ingress);
      if (member && port !== ingress && tables.carrier(port)) this.#egress.add(port, slot);
    }
  }

  #collect(): Sent[] {
    const left: Sent[] = [];
    for (const [port, outside] of this.#outside.entries()) {
      for (let frame = outside?.take(); frame !== undefined; frame = outside?.take()) {
        left.push({ port, frame });
      }
    }
    return left;
  }

  #dropsSince(before: readonly Partial<Record<DropReason, number>>[]): Outcome['drops'] {
    const drops: Outcome['drops'] = {};
    for (const port of this.#inside.keys()) {
      const reasons = Object.entries(this.stats(port).drops) as [DropReason, number][];
      for (const [reason, count] of reasons) {
        const more = count - (before[port]?.[reason] ?? 0);
        if (more > 0) drops[port] = { ...drops[port], [reason]: more };
      }
    }
    return drops;
  }
}
