/**
 * One forwarded TCP connection as a script: the test is the guest, segment by segment, and holds the far end of the
 * host's socket. Numbers are relative: the gateway's to its SYN, the guest's to its own, so that the first byte of
 * either is 1. Time passes only by {@link TcpScript.pass}.
 */
import { closeWithReset, endWriting } from '../../src/sys/inet-socket.ts';
import { check, close, errno, recvAt, sendAt } from '../../src/sys/libc.ts';
import { mapMemory } from '../../src/sys/memory.ts';
import { etherTypeOf, expectSound, withChecksum } from './check-frame.ts';
import { A, ACK, FIN, GATEWAY, IPV4, ipv4Tcp, PACKET, PSH, RST, SYN, TCP, VNET_BYTES } from './frames.ts';
import { connectedPair, type PairKind } from './socket-pair.ts';
import { type Sent, TestSwitch } from './test-switch.ts';

export const GUEST_PORT = 8080;
export const FORWARD = 7;
// What the host's socket is read into, and written from
const room = mapMemory(1 << 20);
const EAGAIN = 11;
const EPIPE = 32;
const ECONNRESET = 104;
const DONTWAIT_NOSIGNAL = 0x4040;
const NAMES = [
  [SYN, 'S'],
  [FIN, 'F'],
  [RST, 'R'],
  [PSH, 'P'],
  [ACK, 'A'],
] as const;

/** A segment of the gateway's, as the guest sees it once it is cut and its checksum filled in. */
export interface Seen {
  /** Letters of `SFRPA` */
  readonly flags: string;
  readonly seq: number;
  readonly ack: number;
  /** As it is written, not scaled */
  readonly window: number;
  readonly data: Uint8Array;
  readonly options: Uint8Array;
  /** Payload bytes of each segment the frame is to be cut into, 0 when it is one */
  readonly cut: number;
}

export interface GuestSegment {
  readonly flags?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly window?: number;
  readonly data?: Uint8Array | string;
  readonly options?: readonly number[];
}

export interface ScriptOptions {
  readonly kind?: PairKind;
  /** The guest's initial sequence number */
  readonly iss?: number;
  /** How long the forward holds a connection, `ms` */
  readonly waitMs?: number;
  readonly carrier?: boolean;
  /** Send buffer of the gateway's end, bytes */
  readonly sendBuffer?: number;
}

export const MSS = 1000;
export const MSS_OPTION = [2, 4, MSS >>> 8, MSS & 0xff];
export const SACK_PERMITTED = [1, 1, 4, 2];
/** No scaling */
export const SCALE_0 = [1, 3, 3, 0];
export const SYN_OPTIONS = [...MSS_OPTION, ...SACK_PERMITTED, ...SCALE_0];

function word32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

export function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

/** `count` bytes, each telling where it is. */
export function pattern(count: number, from = 0): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => ((from + i) * 31 + ((from + i) >>> 8)) & 0xff);
}

export class TcpScript {
  readonly net = new TestSwitch();
  readonly port: number;
  /** The far end of the host's socket */
  readonly far: number;
  /** Where the gateway's side is connected from */
  gatewayPort = 0;
  /** The gateway's initial sequence number */
  gatewayIss = 0;
  readonly #iss: number;
  #opened: Seen[];

  constructor({
    kind = 'unix',
    iss = 0x1000,
    waitMs = 0,
    carrier = true,
    sendBuffer = 0,
  }: ScriptOptions = {}) {
    this.#iss = iss;
    this.port = this.net.vm(A, { carrier });
    const { near, far } = connectedPair(kind, sendBuffer);
    this.far = far;
    const forward = { number: FORWARD, port: this.port, guestPort: GUEST_PORT, waitMs };
    this.net.gateway.tcp.accept(forward, near);
    this.#opened = this.poll();
  }

  /** What the gateway said when it took the connection: its SYN, if there was anybody to send it to. */
  get syn(): readonly Seen[] {
    return this.#opened;
  }

  /** State of the flow, `undefined` once it is forgotten. */
  get flow() {
    return this.net.gateway.tcp.flows.firstOf(this.port);
  }

  /** Completes the handshake. */
  establish(options: readonly number[] = SYN_OPTIONS, window = 0xffff): this {
    this.guest({ flags: SYN | ACK, seq: 0, ack: 1, options, window });
    return this;
  }

  /** A segment of the guest's; what the gateway says to it. The ACK flag, first byte and no data unless told. */
  guest(segment: GuestSegment): Seen[] {
    const { flags = ACK, seq = 1, ack = 1, window = 0xffff, data = [], options = [] } = segment;
    const frame = ipv4Tcp({
      from: A,
      to: GATEWAY,
      fromPort: GUEST_PORT,
      toPort: this.gatewayPort,
      flags,
      sequence: (this.#iss + seq) | 0,
      acknowledgment: (flags & ACK) === 0 ? 0 : (this.gatewayIss + ack) | 0,
      window,
      data: typeof data === 'string' ? Buffer.from(data, 'latin1') : data,
      tcpOptions: options,
    });
    const { left } = this.net.from(this.port).send(frame);
    return [...this.#read(left), ...this.poll()];
  }

  /** A SACK option for these ranges of the gateway's numbers, aligned. */
  sack(...ranges: readonly (readonly [number, number])[]): number[] {
    const edges = ranges.flat().flatMap((edge) => word32((this.gatewayIss + edge) | 0));
    return [1, 1, 5, 2 + edges.length, ...edges];
  }

  /** Ranges of the guest's numbers in the SACK option of a segment. */
  sacked({ options }: Seen): number[][] {
    const view = new DataView(options.buffer, options.byteOffset, options.length);
    for (let at = 0; at < options.length; ) {
      const kind = options[at] as number;
      if (kind < 2) {
        at++;
        continue;
      }
      const bytes = options[at + 1] as number;
      if (kind === 5) {
        return Array.from({ length: (bytes - 2) / 8 }, (_, i) =>
          [0, 4].map((edge) => (view.getInt32(at + 2 + 8 * i + edge) - this.#iss) | 0),
        );
      }
      at += bytes;
    }
    return [];
  }

  /** Lets the gateway hear of its sockets until nothing is left to do. */
  poll(): Seen[] {
    const seen: Seen[] = [];
    do seen.push(...this.#read(this.net.poll()));
    while (this.net.gateway.busy);
    return seen;
  }

  /** Time passes, a millisecond at a time. */
  pass(ms: number): Seen[] {
    const seen: Seen[] = [];
    for (let i = 0; i < ms; i++) {
      this.net.clock.pass(0.001);
      seen.push(...this.poll());
    }
    return seen;
  }

  /** Time passes in one go: what is due is done late. */
  skip(ms: number): Seen[] {
    this.net.clock.pass(ms / 1000);
    return this.poll();
  }

  /** The host writes; how much its socket took. */
  write(data: Uint8Array | string): { took: number; seen: Seen[] } {
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
    room.u8.set(bytes);
    const took = sendAt(this.far, room.address, bytes.length, DONTWAIT_NOSIGNAL);
    if (took < 0) throw new Error(`the host's write failed: ${errno()}`);
    return { took, seen: this.poll() };
  }

  /** What the host reads: bytes, or how the stream stands. */
  read(most = room.bytes): Uint8Array | 'nothing' | 'end' | 'reset' {
    const got = recvAt(this.far, room.address, most, DONTWAIT_NOSIGNAL);
    if (got > 0) return room.u8.slice(0, got);
    if (got === 0) return 'end';
    if (errno() === EAGAIN) return 'nothing';
    if (errno() === ECONNRESET || errno() === EPIPE) return 'reset';
    throw new Error(`the host's read failed: ${errno()}`);
  }

  /** Everything the host can read now, and what the gateway says to its having been read. */
  readAll(): { data: Uint8Array; seen: Seen[] } {
    const parts: Uint8Array[] = [];
    const seen: Seen[] = [];
    for (let part = this.read(); part instanceof Uint8Array; part = this.read()) {
      parts.push(part);
      seen.push(...this.poll());
    }
    return { data: Uint8Array.from(Buffer.concat(parts)), seen };
  }

  /** The host ends its half. */
  end(): Seen[] {
    check('shutdown', endWriting(this.far));
    return this.poll();
  }

  /** The host closes its socket, by a reset if so wanted. */
  hangUp(reset = false): Seen[] {
    if (reset) closeWithReset(this.far);
    else close(this.far);
    return this.poll();
  }

  /** Frames counted as dropped at the VM's port. */
  get drops() {
    return this.net.stats(this.port).drops;
  }

  dispose(): void {
    this.net.gateway.close();
  }

  #read(sent: readonly Sent[]): Seen[] {
    return sent
      .filter(({ frame }) => etherTypeOf(frame) === IPV4 && frame[PACKET + 9] === TCP)
      .map(({ frame }) => this.#parse(frame));
  }

  #parse(frame: Uint8Array): Seen {
    expectSound(withChecksum(frame));
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const at = PACKET + 20;
    const header = ((frame[at + 12] as number) >>> 4) * 4;
    const flags = frame[at + 13] as number;
    if ((flags & (SYN | ACK | RST)) === SYN) {
      this.gatewayPort = view.getUint16(at);
      this.gatewayIss = view.getInt32(at + 4);
    }
    const hasAck = (flags & ACK) !== 0;
    return {
      flags: NAMES.filter(([bit]) => (flags & bit) !== 0)
        .map(([, name]) => name)
        .join(''),
      seq: (view.getInt32(at + 4) - this.gatewayIss) | 0,
      ack: hasAck ? (view.getInt32(at + 8) - this.#iss) | 0 : 0,
      window: view.getUint16(at + 14),
      data: frame.slice(at + header),
      options: frame.slice(at + 20, at + header),
      cut: frame[1] === 0 ? 0 : view.getUint16(VNET_BYTES - 6, true),
    };
  }
}
