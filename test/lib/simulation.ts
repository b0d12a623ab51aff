/**
 * A guest and the gateway with a bad wire between them, in simulated time: how long a stream takes. Everything the
 * gateway's side is made of is real but the clock; the host's end of the connection reads and writes at once.
 *
 *     host's end --- socket --- gateway --- [wire] --- SimGuest
 *
 * The gateway's clock ticks a millisecond at a time, as its real one does; the wire knows microseconds.
 */
import { accept, endWriting } from '../../src/sys/inet-socket.ts';
import { check, close, errno, recvAt, sendAt } from '../../src/sys/libc.ts';
import { mapMemory } from '../../src/sys/memory.ts';
import { A, ACK, FIN, RST, SYN, VNET_BYTES } from './frames.ts';
import { ServiceSwitch } from './service-switch.ts';
import { SimReceiver } from './sim-receiver.ts';
import { type Segment, SegmentCodec, word32 } from './sim-segments.ts';
import { SimSender } from './sim-sender.ts';
import { dice, type Impairments, Wire } from './sim-wire.ts';
import { connectedPair, listenOnLoopback } from './socket-pair.ts';
import { NETWORK, type Sent } from './test-switch.ts';

/** What a guest with an MTU of 1,500 and timestamps puts into a segment */
const MSS4 = 1448;
const MSS6 = 1428;
const OPTION_BYTES = 12;
const HEADERS = 66;
const GUEST_PORT = 8080;
const SERVICE = 80;
const GUEST_ISS = -100_000;
/** What the host writes at once: any kernel's socket takes it whole */
const CHUNK = 32 * 1024;
const LONGEST_US = 300_000_000;
const EAGAIN = 11;
const DONTWAIT_NOSIGNAL = 0x4040;

export interface Cell extends Impairments {
  readonly family: 4 | 6;
  /** `down`: the host's stream to the guest; `up`: the guest's to the host */
  readonly direction: 'down' | 'up';
  /** Bytes the guest takes, or has on their way, at most */
  readonly bufferBytes: number;
  readonly bytes: number;
  readonly seed: number;
}

const room = mapMemory(1 << 20);

/** `count` bytes that repeat nowhere. */
function streamOf(count: number): Uint8Array<ArrayBuffer> {
  const roll = dice(count);
  const words = Uint32Array.from({ length: Math.ceil(count / 4) }, () => roll() * 2 ** 32);
  return new Uint8Array(words.buffer, 0, count);
}

const NOTHING = new Uint8Array();
/** The last one made: making one takes longer than carrying it over a good wire */
let stream = NOTHING;

export class Simulation {
  readonly #cell: Cell;
  readonly #net = new ServiceSwitch();
  readonly #port: number;
  readonly #codec: SegmentCodec;
  readonly #far: number;
  readonly #toGuest: Wire<Segment>;
  readonly #fromGuest: Wire<Uint8Array>;
  readonly #receiver: SimReceiver;
  readonly #sender: SimSender;
  readonly #scale: number;
  #nowUs = 0;
  #tickUs = 0;
  #iss = 0;
  #timestamp = 0;
  #wrote = 0;
  #heard = 0;
  #hostEnded = false;
  #hostHeardEnd = false;
  #isSending = false;
  #backoff = 0;
  /** How often the gateway ran out of patience and began again */
  timeouts = 0;

  constructor(cell: Cell) {
    this.#cell = cell;
    const { bytes, bufferBytes, seed, direction } = cell;
    if (stream.length !== bytes) stream = streamOf(bytes);
    this.#scale = bufferBytes > 0xffff ? 7 : 0;
    const mss = cell.family === 4 ? MSS4 : MSS6;
    const window = Math.min(bufferBytes, 0xffff << this.#scale);
    const isDown = direction === 'down';
    this.#receiver = new SimReceiver(isDown ? stream : NOTHING, window, mss);
    this.#sender = new SimSender(isDown ? 0 : bytes, mss, bufferBytes, (seq, count, fin) =>
      this.#say(seq, count, fin),
    );
    this.#toGuest = new Wire(cell, dice(seed));
    this.#fromGuest = new Wire(cell, dice(seed + 1));
    this.#port = this.#net.vm(A);
    this.#codec = new SegmentCodec(cell.family === 4, GUEST_PORT, SERVICE);
    this.#far = cell.family === 4 ? this.#forwarded() : this.#connected();
  }

  // --- how it begins: without faults, which are for the stream --------------------------------------------
  #forwarded(): number {
    const { near, far } = connectedPair('unix');
    const forward = { number: 1, port: this.#port, guestPort: GUEST_PORT, waitMs: 0 };
    this.#net.gateway.tcp.accept(forward, near);
    const [syn] = this.#read(this.#poll()) as [Segment];
    this.#iss = syn.seq;
    this.#timestamp = syn.timestamp;
    this.#deliver(this.#segment(SYN | ACK, 0, this.#synOptions()));
    return far;
  }

  /** The family forwards do not use: the guest connects to a service of the host's. */
  #connected(): number {
    const { fd, port } = listenOnLoopback();
    this.#net.services.set(NETWORK, [{ protocol: 'tcp', gatewayPort: SERVICE, hostPort: port }]);
    const answers = this.#read(this.#deliver(this.#segment(SYN, 0, this.#synOptions())));
    const far = check('accept', accept(fd));
    close(fd);
    const [answer] = (answers.length > 0 ? answers : this.#read(this.#poll())) as [Segment];
    this.#iss = answer.seq;
    this.#timestamp = answer.timestamp;
    this.#deliver(this.#segment(ACK, 1));
    return far;
  }

  #synOptions(): number[] {
    const mss = (this.#cell.family === 4 ? MSS4 : MSS6) + OPTION_BYTES;
    return [
      2,
      4,
      mss >>> 8,
      mss & 0xff,
      4,
      2,
      1,
      1,
      1,
      3,
      3,
      this.#scale,
      ...this.#timestamps().slice(2),
      1,
      1,
    ];
  }

  #timestamps(): number[] {
    return [1, 1, 8, 10, ...word32(Math.floor(this.#nowUs / 1000)), ...word32(this.#timestamp)];
  }

  // --- the guest ------------------------------------------------------------------------------------------
  #segment(flags: number, seq: number, options = this.#timestamps(), data = NOTHING): Uint8Array {
    const blocks = this.#receiver.acknowledged();
    const isSyn = (flags & SYN) !== 0;
    return this.#codec.frame({
      flags,
      seq: (GUEST_ISS + seq) | 0,
      ack: (flags & ACK) === 0 ? 0 : (this.#iss + this.#receiver.next) | 0,
      window: Math.min(0xffff, isSyn ? 0xffff : this.#cell.bufferBytes >> this.#scale),
      options,
      sack: isSyn ? [] : blocks.flat().map((edge) => (this.#iss + edge) | 0),
      data,
    });
  }

  /** The guest sends; the number after its last so far where it has nothing to say but an acknowledgment. */
  #say(seq: number, count: number, fin: boolean): void {
    const data = count > 0 ? stream.subarray(seq - 1, seq - 1 + count) : NOTHING;
    this.#put(this.#segment(fin ? ACK | FIN : ACK, seq, undefined, data));
  }

  #put(frame: Uint8Array): void {
    this.#fromGuest.send(frame, frame.length - VNET_BYTES, this.#nowUs);
  }

  #take({ flags, seq, ack, window, data, timestamp, sack }: Segment): void {
    if ((flags & RST) !== 0) throw new Error('the gateway reset the connection');
    const [from, acked] = [(seq - this.#iss) | 0, (ack - GUEST_ISS) | 0];
    if (from <= this.#receiver.next && ((timestamp - this.#timestamp) | 0) > 0) this.#timestamp = timestamp;
    this.#receiver.take(from, data, (flags & FIN) !== 0, this.#nowUs);
    if (!this.#isSending) return;
    const edges = sack.map((edge) => (edge - GUEST_ISS) | 0);
    this.#sender.acknowledged(acked, edges, acked + window * 128, this.#nowUs);
  }

  #beginSending(window: number): void {
    this.#isSending = true;
    this.#sender.acknowledged(1, [], 1 + window, this.#nowUs);
  }

  #guestTimers(): void {
    if (this.#sender.timerUs <= this.#nowUs) this.#sender.expire(this.#nowUs);
    if (this.#receiver.ackUs <= this.#nowUs) this.#put(this.#segment(ACK, this.#sender.nextNumber));
  }

  // --- the gateway and the host ---------------------------------------------------------------------------
  #read(sent: readonly Sent[]): Segment[] {
    const frames = sent.map(({ frame }) => frame).filter((frame) => this.#codec.isSegment(frame));
    return frames.flatMap((frame) => this.#codec.segments(frame));
  }

  #poll(): Sent[] {
    const sent = this.#net.poll();
    while (this.#net.gateway.busy) sent.push(...this.#net.poll());
    return sent;
  }

  #deliver(frame: Uint8Array): Sent[] {
    const { left, drops } = this.#net.from(this.#port).sendUnsound(frame);
    if (Object.keys(drops).length > 0) throw new Error(`dropped: ${JSON.stringify(drops)}`);
    return [...left, ...this.#poll()];
  }

  /** Puts what the gateway says on the wire, and lets the host do what it can. */
  #hear(sent: readonly Sent[]): void {
    let said = sent;
    do {
      for (const segment of this.#read(said)) {
        this.#toGuest.send(segment, HEADERS + segment.data.length, this.#nowUs);
      }
      said = this.#hostReads() || this.#hostWrites() ? this.#poll() : [];
    } while (said.length > 0);
  }

  get #flow() {
    return this.#net.gateway.tcp.flows.firstOf(this.#port);
  }

  /** As soon as the gateway has read everything the host writes more. */
  #hostWrites(): boolean {
    const flow = this.#flow;
    if (this.#hostEnded || flow === undefined) return false;
    const total = this.#cell.direction === 'down' ? stream.length : 0;
    if (this.#wrote === total) {
      if (total === 0 && !this.#hostHeardEnd) return false;
      check('shutdown', endWriting(this.#far));
      this.#hostEnded = true;
      return true;
    }
    if (((flow.sndEnd - this.#iss) | 0) !== this.#wrote + 1) return false;
    const chunk = stream.subarray(this.#wrote, this.#wrote + CHUNK);
    room.u8.set(chunk);
    const took = sendAt(this.#far, room.address, chunk.length, DONTWAIT_NOSIGNAL);
    if (took !== chunk.length) throw new Error(`the host's socket took ${took} of ${chunk.length}`);
    this.#wrote += took;
    return true;
  }

  #hostReads(): boolean {
    const before = this.#heard;
    while (!this.#hostHeardEnd) {
      const got = recvAt(this.#far, room.address, room.bytes, DONTWAIT_NOSIGNAL);
      if (got < 0) {
        if (errno() === EAGAIN) break;
        throw new Error(`the host's read failed: ${errno()}`);
      }
      if (got === 0) this.#hostHeardEnd = true;
      const wanted = stream.subarray(this.#heard, this.#heard + got);
      if (Buffer.compare(room.u8.subarray(0, got), wanted) !== 0)
        throw new Error('the host read wrong bytes');
      this.#heard += got;
    }
    return this.#heard > before;
  }

  // --- time -----------------------------------------------------------------------------------------------
  #step(): void {
    const tickUs = this.#tickUs + 1000;
    const guestUs = Math.min(this.#sender.timerUs, this.#receiver.ackUs);
    this.#nowUs = Math.min(tickUs, this.#toGuest.nextUs, this.#fromGuest.nextUs, guestUs);
    if (this.#nowUs === tickUs) {
      this.#tickUs = tickUs;
      this.#net.clock.pass(0.001);
      this.#hear(this.#poll());
      this.#countTimeouts();
    } else if (this.#nowUs === this.#fromGuest.nextUs) this.#hear(this.#deliver(this.#fromGuest.take()));
    else if (this.#nowUs === this.#toGuest.nextUs) this.#take(this.#toGuest.take());
    this.#guestTimers();
  }

  #countTimeouts(): void {
    const backoff = this.#flow?.backoff ?? 0;
    if (backoff > this.#backoff) this.timeouts++;
    this.#backoff = backoff;
  }

  #until(what: string, isDone: () => boolean): void {
    while (!isDone()) {
      if (this.#nowUs > LONGEST_US) throw new Error(`stalled: ${what}: ${JSON.stringify(this.state)}`);
      this.#step();
    }
  }

  /** How far it is, for who wonders. */
  get state() {
    const { state, sndUna, sndNxt, sndMax, sndEnd, cwnd, ssthresh, inRecovery, backoff } = this.#flow ?? {};
    const flow = { state, cwnd, ssthresh, inRecovery, backoff };
    const numbers = [sndUna, sndNxt, sndMax, sndEnd].map((at) => ((at ?? 0) - this.#iss) | 0);
    const { next } = this.#receiver;
    return { ms: this.#nowUs / 1000, next, heard: this.#heard, wrote: this.#wrote, numbers, flow };
  }

  /** Carries the stream and its end over, `us`; then ends the rest, and sees that nothing is left. */
  run(): number {
    const isDown = this.#cell.direction === 'down';
    if (isDown) this.#hear([]);
    else this.#beginSending(0xffff);
    this.#until('the stream', () => (isDown ? this.#receiver.ended : this.#hostHeardEnd));
    const took = this.#nowUs;
    const { timeouts } = this;
    if (!isDown && this.#heard !== stream.length) throw new Error(`the host heard ${this.#heard} bytes`);
    if (isDown) this.#beginSending(0xffff);
    else this.#hear([]);
    this.#until('the ends', () => this.#flow === undefined);
    const held = this.#net.gateway.tcp.bufferedBytes(this.#port);
    if (held !== 0) throw new Error(`${held} bytes are still held`);
    this.timeouts = timeouts;
    return took;
  }

  dispose(): void {
    close(this.#far);
    this.#net.gateway.close();
  }
}
