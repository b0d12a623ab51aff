/**
 * A guest on a port in memory with any number of forwarded connections, each as much of TCP as the test needs: it
 * takes what the gateway sends in a round, and answers with frames for the next. Nothing is lost between them.
 */
import { SOL_SOCKET, setOption } from '../../src/sys/inet-socket.ts';
import { close, recvAt, sendAt } from '../../src/sys/libc.ts';
import { mapMemory } from '../../src/sys/memory.ts';
import { MSG_DONTWAIT } from '../../src/sys/message-vector.ts';
import { ACK, GATEWAY, IPV4, ipv4Tcp, PACKET, type Station, SYN, TCP } from './frames.ts';
import { connectedPair } from './socket-pair.ts';
import type { Sent, TestSwitch } from './test-switch.ts';

const GUEST_PORT = 8080;
const ISS = 0x1000;
const SO_SNDBUF = 7;
/** More than the kernel allows: as much as it does */
const SEND_BUFFER = 1 << 20;
/** MSS 1460, scaling by 7, SACK */
const SYN_OPTIONS = [2, 4, 5, 0xb4, 1, 3, 3, 7, 1, 1, 4, 2];
/** Bytes of a segment of the guest's */
export const PUSH_BYTES = 100;
const PAYLOAD = new Uint8Array(PUSH_BYTES).fill(0x61);
const room = mapMemory(1 << 18);

interface Connection {
  readonly gatewayPort: number;
  /** Next number expected of the gateway's, and next of the guest's own */
  next: number;
  own: number;
  owesAck: boolean;
}

export interface Manners {
  /** Acknowledges nothing but the SYN */
  readonly deaf?: boolean;
  /** Window it advertises from then on, scaled by 7; large unless given */
  readonly window?: number;
}

export class TcpGuest {
  readonly port: number;
  /** Payload bytes that have come to it */
  received = 0;
  readonly #net: TestSwitch;
  readonly #station: Station;
  readonly #manners: Manners;
  readonly #connections = new Map<number, Connection>();
  readonly #fars: number[] = [];

  constructor(net: TestSwitch, station: Station, manners: Manners = {}) {
    this.#net = net;
    this.#station = station;
    this.#manners = manners;
    this.port = net.vm(station);
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Lets the host connect so many times. */
  connect(times: number): void {
    for (let i = 0; i < times; i++) {
      const { near, far } = connectedPair('unix');
      setOption(far, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER);
      this.#fars.push(far);
      const forward = { number: this.port, port: this.port, guestPort: GUEST_PORT, waitMs: 1000 };
      this.#net.gateway.tcp.accept(forward, near);
    }
  }

  /** The host writes to every connection what its socket takes. */
  fill(): void {
    const flags = MSG_DONTWAIT | 0x4000; // MSG_NOSIGNAL
    for (const far of this.#fars) while (sendAt(far, room.address, room.bytes, flags) > 0);
  }

  /** The host reads from every connection what there is; how many bytes. */
  drain(): number {
    let bytes = 0;
    for (const far of this.#fars) {
      for (let got = 1; got > 0; bytes += Math.max(0, got))
        got = recvAt(far, room.address, room.bytes, MSG_DONTWAIT);
    }
    return bytes;
  }

  /** Takes what left for it, and returns its answers. */
  answer(sent: readonly Sent[]): Uint8Array[] {
    const answers: Uint8Array[] = [];
    for (const { port, frame } of sent) if (port === this.port) this.#take(frame, answers);
    if (this.#manners.deaf) return answers;
    for (const connection of this.#connections.values()) {
      if (connection.owesAck) answers.push(this.#segment(connection, ACK));
      connection.owesAck = false;
    }
    return answers;
  }

  /** So many segments of data on its first connection. */
  push(segments: number): Uint8Array[] {
    const [connection] = this.#connections.values();
    if (connection === undefined) throw new Error('no connection');
    return Array.from({ length: segments }, () => {
      const frame = this.#segment(connection, ACK, PAYLOAD);
      connection.own += PAYLOAD.length;
      return frame;
    });
  }

  #take(frame: Uint8Array, answers: Uint8Array[]): void {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    if (view.getUint16(PACKET - 2) !== IPV4 || frame[PACKET + 9] !== TCP) return;
    const at = PACKET + 20;
    const gatewayPort = view.getUint16(at);
    const sequence = view.getInt32(at + 4);
    if (((frame[at + 13] as number) & SYN) !== 0) {
      const connection = { gatewayPort, next: (sequence + 1) | 0, own: ISS, owesAck: false };
      this.#connections.set(gatewayPort, connection);
      answers.push(this.#segment(connection, SYN | ACK));
      connection.own++;
      return;
    }
    const bytes = frame.length - at - ((frame[at + 12] as number) >>> 4) * 4;
    const connection = this.#connections.get(gatewayPort);
    if (connection === undefined || bytes === 0) return;
    this.received += bytes;
    connection.next = (sequence + bytes) | 0;
    connection.owesAck = true;
  }

  #segment({ gatewayPort, next, own }: Connection, flags: number, data = new Uint8Array(0)): Uint8Array {
    const isSyn = (flags & SYN) !== 0;
    return ipv4Tcp({
      from: this.#station,
      to: GATEWAY,
      fromPort: GUEST_PORT,
      toPort: gatewayPort,
      flags,
      sequence: own,
      acknowledgment: next,
      window: isSyn ? 0xffff : (this.#manners.window ?? 0xffff),
      tcpOptions: isSyn ? SYN_OPTIONS : [],
      data,
    });
  }

  dispose(): void {
    for (const far of this.#fars) close(far);
  }
}
