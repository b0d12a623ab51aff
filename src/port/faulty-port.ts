/**
 * A port behind a bad cable: what passes the wrapped port is lost, doubled, damaged, delayed or overtaken, with given
 * probabilities and a seeded generator, so that a run can be repeated. For tests and experiments; it copies every
 * frame of the directions it impairs.
 *
 * What the switch sends counts as sent when it enters the cable: like any sender it is not told of a loss there. It
 * comes out when the port is next used, which the datapath does when {@link FaultyPort.dueInMs} is over.
 */
import type { CounterBlock } from '../telemetry/counters.ts';
import { DROP } from '../telemetry/drops.ts';
import { FrameBatch } from './batch.ts';
import { type Faults, Impairment } from './impairment.ts';
import type { PieceQueue } from './piece-queue.ts';
import type { Port } from './port.ts';

export interface FaultPlan extends Faults {
  /** What is impaired: what comes from the VM (the default), what the switch sends it, or both, each by itself */
  readonly direction?: 'received' | 'sent' | 'both';
}

/** Frames that leave the cable for the VM by one call */
const RELEASED_FRAMES = 16;
const SLOTS = Int32Array.from({ length: RELEASED_FRAMES }, (_, slot) => slot);

/** Where frames lie that leave for their VMs: one for a thread, since it is large and holds nothing between two uses. */
let release: FrameBatch | undefined;

export class FaultyPort implements Port {
  readonly #inner: Port;
  readonly #now: () => number;
  readonly #received: Impairment | undefined;
  readonly #sent: Impairment | undefined;

  /** @param now milliseconds as sys/clock counts them: int32 that wraps */
  constructor(inner: Port, number: number, plan: FaultPlan, counters: CounterBlock, now: () => number) {
    this.#inner = inner;
    this.#now = now;
    const { direction = 'received', ...faults } = plan;
    const lose = () => counters.dropped(number, DROP['fault-injected'], 1);
    // Each way rolls its own dice: what happens to one does not depend on when the other is used.
    if (direction !== 'sent') this.#received = new Impairment(faults, lose);
    if (direction !== 'received') this.#sent = new Impairment({ ...faults, seed: ~(faults.seed ?? 1) }, lose);
  }

  get fd(): number {
    return this.#inner.fd;
  }

  receive(batch: FrameBatch): number {
    this.#release();
    const arrived = this.#inner.receive(batch);
    const cable = this.#received;
    if (cable === undefined) return arrived;
    const now = this.#now();
    for (let i = 0; i < arrived; i++) enter(cable, batch, i, now);
    let count = 0;
    for (; count < batch.capacity; count++) {
      const frame = cable.leave(now);
      if (frame === undefined) break;
      batch.u8.set(frame.bytes, batch.start[count]);
      batch.length[count] = frame.bytes.length;
      batch.condition[count] = frame.condition;
    }
    return count;
  }

  transmit(batch: FrameBatch, slots: Int32Array, first: number, count: number): void {
    const cable = this.#sent;
    if (cable === undefined) {
      this.#inner.transmit(batch, slots, first, count);
      return;
    }
    for (let i = first; i < first + count; i++) enter(cable, batch, slots[i] as number, this.#now());
    this.#release();
  }

  transmitPieces(queue: PieceQueue, first: number, count: number): void {
    const cable = this.#sent;
    if (cable === undefined) {
      this.#inner.transmitPieces(queue, first, count);
      return;
    }
    for (let i = first; i < first + count; i++) {
      if (!cable.loses()) cable.enter(queue.copy(i), 0, this.#now());
    }
    this.#release();
  }

  /** Sends the VM what is due. */
  #release(): void {
    const cable = this.#sent;
    if (cable === undefined) return;
    const now = this.#now();
    let frame = cable.leave(now);
    while (frame !== undefined) {
      release ??= new FrameBatch(RELEASED_FRAMES);
      let count = 0;
      for (; frame !== undefined && count < RELEASED_FRAMES; count++) {
        release.u8.set(frame.bytes, release.start[count]);
        release.length[count] = frame.bytes.length;
        release.condition[count] = frame.condition;
        frame = cable.leave(now);
      }
      this.#inner.transmit(release, SLOTS, 0, count);
    }
  }

  dueInMs(): number {
    const now = this.#now();
    const received = this.#received?.dueInMs(now) ?? -1;
    const sent = this.#sent?.dueInMs(now) ?? -1;
    return received < 0 || sent < 0 ? Math.max(received, sent) : Math.min(received, sent);
  }
}

/** Lets a copy of the frame in a slot enter the cable, unless it is lost there. */
function enter(cable: Impairment, batch: FrameBatch, slot: number, nowMs: number): void {
  if (cable.loses()) return;
  const start = batch.start[slot] as number;
  const bytes = batch.u8.slice(start, start + (batch.length[slot] as number));
  cable.enter(bytes, batch.condition[slot] as number, nowMs);
}
