/** The faulty port in the direction to the VM: what the switch sends goes through the bad cable. */
import { afterAll, describe, expect, test } from 'vitest';
import { FrameBatch } from '../../src/port/batch.ts';
import { type FaultPlan, FaultyPort } from '../../src/port/faulty-port.ts';
import { PairPort } from '../../src/port/pair-port.ts';
import { PieceQueue } from '../../src/port/piece-queue.ts';
import { mapMemory } from '../../src/sys/memory.ts';
import { allocateCounters, CounterBlock, CounterReader } from '../../src/telemetry/counters.ts';
import { marked, received } from '../lib/batches.ts';

const batch = new FrameBatch();
const pieces = new PieceQueue();
const payload = mapMemory(4096);
const HEADER_BYTES = 24;
const HELD_FRAMES = 4096;

afterAll(() => {
  batch.release();
  pieces.release();
});

function faulty(plan: FaultPlan) {
  const memory = allocateCounters(1, 2);
  const block = new CounterBlock(memory, 0, 2);
  const inner = new PairPort(1, block);
  const far = new PairPort(0, block);
  inner.connect(far);
  let now = 2 ** 31 - 10;
  const port = new FaultyPort(inner, 1, plan, block, () => now);
  const came = (): number[] => {
    const marks: number[] = [];
    for (let frame = far.take(); frame !== undefined; frame = far.take()) marks.push(frame[10] as number);
    return marks;
  };
  return {
    inner,
    far,
    port,
    came,
    pass: (ms: number) => {
      now = (now + ms) | 0;
      port.receive(batch);
    },
    lost: () => new CounterReader(memory, 2).read(1).drops['fault-injected'] ?? 0,
    /** Sends frames with these marks, one batch at a time. */
    send: (marks: readonly number[]): number[] => {
      for (let at = 0; at < marks.length; at += batch.capacity) {
        const some = marks.slice(at, at + batch.capacity);
        for (const [slot, mark] of some.entries()) batch.place(slot, marked(mark).subarray(10));
        port.transmit(
          batch,
          Int32Array.from(some, (_, slot) => slot),
          0,
          some.length,
        );
      }
      return came();
    },
    /** The same in two pieces; the second is the last bytes of the frame. */
    sendPieces: (marks: readonly number[]): number[] => {
      for (const [index, mark] of marks.entries()) {
        const frame = marked(mark);
        pieces.u8.set(frame.subarray(0, HEADER_BYTES), pieces.headers(index));
        payload.u8.fill(mark, index * 64, index * 64 + 64);
        pieces.set(index, HEADER_BYTES, payload.address + index * 64, frame.length - HEADER_BYTES);
      }
      port.transmitPieces(pieces, 0, marks.length);
      return came();
    },
  };
}

const ONE_TO_60 = Array.from({ length: 60 }, (_, i) => i + 1);

describe('direction sent', () => {
  test('nothing planned -> frames leave as they are, at once', () => {
    const { send, sendPieces, port } = faulty({ direction: 'sent' });
    expect(send(ONE_TO_60)).toEqual(ONE_TO_60);
    expect(sendPieces(ONE_TO_60)).toEqual(ONE_TO_60);
    expect(port.dueInMs()).toBe(-1);
  });

  test('a frame in two pieces -> whole, and copied: its memory is the sender’s again', () => {
    const { sendPieces, pass, far } = faulty({ direction: 'sent', delayMs: 5 });
    expect(sendPieces([7, 8])).toEqual([]);
    payload.u8.fill(0xff);
    pieces.u8.fill(0xff, 0, 400);
    pass(5);
    expect([far.take(), far.take()]).toEqual([marked(7), marked(8)]);
  });

  test('a frame of a batch -> copied, too', () => {
    const { send, pass, far } = faulty({ direction: 'sent', delayMs: 5 });
    send([7]);
    batch.u8.fill(0xff, batch.start[0], (batch.start[0] as number) + 100);
    pass(5);
    expect(far.take()).toEqual(marked(7));
  });

  test('what the VM sends -> untouched', () => {
    const { inner, port, lost } = faulty({ direction: 'sent', loss: 1, corrupt: 1, delayMs: 1000 });
    inner.feed(marked(9));
    expect(received(port, batch)).toEqual([marked(9)]);
    expect(lost()).toBe(0);
  });

  test.each(['send', 'sendPieces'] as const)(
    'loss of 30 %%: %s -> about that many missing, counted, not refused',
    (way) => {
      const faults = faulty({ direction: 'sent', loss: 0.3 });
      const out = faults[way](ONE_TO_60);
      expect(faults.lost()).toBe(60 - out.length);
      expect(faults.lost()).toBeGreaterThan(5);
      expect(faults.lost()).toBeLessThan(35);
      expect(out).toEqual([...out].sort((a, b) => a - b));
      if (way === 'sendPieces') expect([...pieces.refused.subarray(0, 60)]).toEqual(new Array(60).fill(0));
    },
  );

  test('duplicates of everything, more than are released at once -> each twice', () => {
    const { send } = faulty({ direction: 'sent', duplicate: 1 });
    expect(send(ONE_TO_60)).toEqual(ONE_TO_60.flatMap((mark) => [mark, mark]));
  });

  test('corruption -> one bit of each frame', () => {
    const { port, far } = faulty({ direction: 'sent', corrupt: 1 });
    batch.place(0, marked(0).subarray(10));
    port.transmit(batch, Int32Array.of(0), 0, 1);
    const bits = [...far.take()!].filter((byte) => byte !== 0);
    expect(bits).toHaveLength(1);
    expect(Math.log2(bits[0]!) % 1).toBe(0);
  });

  test('delay of 20 ms while the clock wraps -> held until then, and dueInMs tells when', () => {
    const { send, pass, came, port } = faulty({ direction: 'sent', delayMs: 20 });
    expect(send([1])).toEqual([]);
    expect(port.dueInMs()).toBe(20);
    pass(19);
    expect(came()).toEqual([]);
    expect(port.dueInMs()).toBe(1);
    pass(1);
    expect(came()).toEqual([1]);
    expect(port.dueInMs()).toBe(-1);
  });

  test('reordering -> overtaken by what comes behind, none is lost', () => {
    const { send, pass, came } = faulty({ direction: 'sent', reorder: 0.3, reorderMs: 5, seed: 3 });
    const first = send(ONE_TO_60);
    expect(first.length).toBeLessThan(60);
    pass(5);
    const late = came();
    expect([...first, ...late].sort((a, b) => a - b)).toEqual(ONE_TO_60);
    expect(late[0]).toBeLessThan(first.at(-1)!);
  });

  test(`more than ${HELD_FRAMES} on their way -> the rest lost and counted`, () => {
    const { send, lost } = faulty({ direction: 'sent', delayMs: 10 });
    for (let sent = 0; sent < HELD_FRAMES + 64; sent += 64) send(new Array(64).fill(1));
    expect(lost()).toBe(64);
  });
});

describe('direction both', () => {
  test('-> each way its own faults; the earlier of both is due', () => {
    const { inner, port, send, pass, came } = faulty({ direction: 'both', delayMs: 20 });
    send([1]);
    pass(5);
    inner.feed(marked(2));
    expect(received(port, batch)).toEqual([]);
    expect(port.dueInMs()).toBe(15);
    pass(15);
    expect(came()).toEqual([1]);
    expect(port.dueInMs()).toBe(5);
    pass(4);
    expect(port.dueInMs()).toBe(1);
  });

  test('the same seed -> the same faults of one way, whatever goes the other', () => {
    const plan: FaultPlan = { direction: 'both', loss: 0.3, seed: 5 };
    const [quiet, busy] = [faulty(plan), faulty(plan)];
    const expected = quiet.send(ONE_TO_60);
    const out: number[] = [];
    for (const mark of ONE_TO_60) {
      busy.inner.feed(marked(mark));
      busy.port.receive(batch);
      out.push(...busy.send([mark]));
    }
    expect(out).toEqual(expected);
  });
});
