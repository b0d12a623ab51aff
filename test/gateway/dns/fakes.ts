/** What stands around the gateway's DNS in its tests: time, upstream servers, guests, and messages by another codec. */
import dnsPacket, { type DecodedPacket, type Packet } from 'dns-packet';
import type { DnsUpstream } from '../../../src/config/dns.ts';
import { formatEndpoint, type IpWords, parseIp } from '../../../src/config/ip.ts';
import { noCounts } from '../../../src/gateway/dns/counts.ts';
import type { DnsTransport, Exchange, ExchangeListener } from '../../../src/gateway/dns/exchange.ts';
import { DnsForwarder } from '../../../src/gateway/dns/forwarder.ts';
import { type AddressBook, NameTable, type NetworkNames } from '../../../src/gateway/dns/names.ts';
import type { DnsClient } from '../../../src/gateway/dns/query.ts';
import { Replies } from '../../../src/gateway/dns/replies.ts';
import { DnsService } from '../../../src/gateway/dns/service.ts';
import { DnsTcpServer } from '../../../src/gateway/dns/tcp-server.ts';
import { Upstreams } from '../../../src/gateway/dns/upstreams.ts';
import { TimerWheel } from '../../../src/gateway/timer-wheel.ts';
import { StubClock } from '../../lib/stub-clock.ts';

export const NETWORK = 0;
const STEP_MS = 10;

/** An address that must be one. */
export function ip(text: string): IpWords {
  const words = parseIp(text);
  if (words === undefined) throw new Error(`${text} is no address`);
  return words;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

// --- messages -----------------------------------------------------------------------------------------------
export interface Asked {
  name?: string;
  type?: string;
  id?: number;
  /** UDP size advertised by EDNS; no OPT record without */
  edns?: number;
  flags?: number;
  class?: string;
}

export function encode(packet: object): Uint8Array {
  return Uint8Array.from(dnsPacket.encode(packet as Packet));
}

/** A message with its response code, which the codec's types leave out. */
export type Decoded = DecodedPacket & { readonly rcode: string };

export function decode(bytes: Uint8Array): Decoded {
  return dnsPacket.decode(Buffer.from(bytes)) as Decoded;
}

export function query(asked: Asked = {}): Uint8Array {
  const { name = 'example.com', type = 'A', id = 0x1111, edns, flags = 0x100 } = asked;
  const opt = { type: 'OPT', name: '.', udpPayloadSize: edns, flags: 0, options: [] };
  const questions = [{ type, name, class: asked.class ?? 'IN' }];
  return encode({ type: 'query', id, flags, questions, additionals: edns === undefined ? [] : [opt] });
}

/** Names of response codes by number, as the other codec has them. */
export const RCODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];

/** Response code of a message. */
export function codeOf(bytes: Uint8Array): string {
  return RCODES[(bytes[3] as number) & 15] as string;
}

// --- the upstream side --------------------------------------------------------------------------------------
export class FakeExchange implements Exchange {
  readonly server: string;
  readonly query: Uint8Array;
  readonly stream: boolean;
  readonly listener: ExchangeListener;
  isOpen = true;

  constructor(upstream: DnsUpstream, query: Uint8Array, stream: boolean, listener: ExchangeListener) {
    this.server = formatEndpoint(upstream.address, upstream.port);
    this.query = query.slice();
    this.stream = stream;
    this.listener = listener;
  }

  get id(): number {
    return viewOf(this.query).getUint16(0);
  }

  /** The server's answer: that to the query, but for what is given. */
  answer(changes: object = {}, rcode = 0): void {
    const { id, questions } = decode(this.query);
    this.say(encode({ type: 'response', id, flags: 0x180 | rcode, questions, ...changes }));
  }

  say(bytes: Uint8Array): void {
    if (!this.isOpen) throw new Error('an answer to a closed socket');
    this.listener.received(bytes);
  }

  close(): void {
    this.isOpen = false;
  }
}

export class FakeTransport implements DnsTransport {
  readonly exchanges: FakeExchange[] = [];
  /** Servers no socket can be had for */
  readonly unreachable = new Set<string>();

  exchange(
    upstream: DnsUpstream,
    query: Uint8Array,
    stream: boolean,
    listener: ExchangeListener,
  ): Exchange | undefined {
    const exchange = new FakeExchange(upstream, query, stream, listener);
    if (this.unreachable.has(exchange.server)) return undefined;
    this.exchanges.push(exchange);
    return exchange;
  }

  /** The newest. */
  get last(): FakeExchange {
    return this.exchanges.at(-1) as FakeExchange;
  }

  /** Servers in the order they were asked. */
  get asked(): string[] {
    return this.exchanges.map(({ server }) => server);
  }

  get open(): number {
    return this.exchanges.filter(({ isOpen }) => isOpen).length;
  }
}

// --- the guests' side ---------------------------------------------------------------------------------------
export class FakeClient implements DnsClient {
  readonly network = NETWORK;
  readonly port: number;
  readonly stream: boolean;
  readonly replies: Uint8Array[] = [];

  constructor(port = 1, stream = false) {
    this.port = port;
    this.stream = stream;
  }

  reply(message: Uint8Array): void {
    this.replies.push(message.slice());
  }

  /** The only answer. */
  get answer(): Decoded {
    if (this.replies.length !== 1) throw new Error(`${this.replies.length} answers`);
    return decode(this.replies[0] as Uint8Array);
  }

  get codes(): string[] {
    return this.replies.map(codeOf);
  }
}

/** Addresses of VMs by port. */
export class FakeBook implements AddressBook {
  readonly addresses = new Map<number, IpWords[]>();

  addressesOf(port: number): readonly IpWords[] {
    return this.addresses.get(port) ?? [];
  }

  portOf(_network: number, address: IpWords): number {
    for (const [port, own] of this.addresses)
      if (own.some((one) => one.join() === address.join())) return port;
    return 0;
  }
}

// --- all of it ----------------------------------------------------------------------------------------------
export const NAMES: NetworkNames = {
  isolated: true,
  gateway: [ip('192.168.0.1'), ip('fd00::1')],
  host: [],
  subnets: [
    { address: ip('192.168.0.0'), length: 96 + 16 },
    { address: ip('fd00::'), length: 64 },
  ],
  records: new Map(),
};

export class Stage {
  readonly clock = new StubClock();
  readonly wheel = new TimerWheel(this.clock.ms);
  readonly counts = noCounts();
  /** Ports whose questions were given up */
  readonly unanswered: number[] = [];
  readonly transport = new FakeTransport();
  readonly book = new FakeBook();
  readonly names = new NameTable(this.book);
  readonly upstreams = new Upstreams(this.clock);
  readonly forwarder: DnsForwarder;
  readonly service: DnsService;
  readonly server: DnsTcpServer;
  #random = 0;

  constructor(upstreams = ['10.0.0.1', '10.0.0.2', '10.0.0.3']) {
    const { clock, wheel, counts, transport } = this;
    const replies = new Replies();
    const random16 = () => (0x8000 + this.#random++) & 0xffff;
    const unanswered = (port: number) => void this.unanswered.push(port);
    const own = { unanswered, random16 };
    const tools = { transport, upstreams: this.upstreams, replies, clock, wheel, counts, ...own };
    this.forwarder = new DnsForwarder(tools);
    this.service = new DnsService(this.names, this.forwarder, replies, counts);
    const handle = this.service.handle.bind(this.service);
    this.server = new DnsTcpServer({ clock, wheel, handle, cancel: (c) => this.forwarder.cancel(c) }, counts);
    this.names.setNetwork(NETWORK, NAMES);
    this.useUpstreams(upstreams);
  }

  useUpstreams(texts: string[]): void {
    this.upstreams.set(
      NETWORK,
      texts.map((text) => ({ address: ip(text), port: 53 })),
    );
  }

  /** Lets a guest ask; what it gets is in the client's `replies`. */
  ask(message: Uint8Array | Asked = {}, client = new FakeClient()): FakeClient {
    const bytes = message instanceof Uint8Array ? message : query(message);
    // Somewhere in a larger view, as a datagram in a frame is
    const frame = new Uint8Array(bytes.length + 7);
    frame.set(bytes, 5);
    this.service.handle(client, viewOf(frame), 5, bytes.length);
    return client;
  }

  pass(ms: number): void {
    for (let left = ms; left > 0; left -= STEP_MS) {
      this.clock.pass(Math.min(left, STEP_MS) / 1000);
      this.wheel.advance(this.clock.ms);
    }
  }
}
