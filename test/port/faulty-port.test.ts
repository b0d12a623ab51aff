import { afterAll, describe, expect, test } from 'vitest';
import { FrameBatch, RECEIVED_TAGGED } from '../../src/port/batch.ts';
import { type FaultPlan, FaultyPort } from '../../src/port/faulty-port.ts';
import { PairPort } from '../../src/port/pair-port.ts';
import type { Port } from '../../src/port/port.ts';
import { allocateCounters, CounterBlock, CounterReader } from '../../src/telemetry/counters.ts';
import { framesOf, marked, received } from '../lib/batches.ts';
import { A, B, ipv4Udp } from '../lib/frames.ts';
import { dropped, TestSwitch } from '../lib/test-switch.ts';

const HELD_FRAMES = 4096;
const batch = new FrameBatch();

afterAll(() => batch.release());

function faulty(plan: FaultPlan, start = 5000) {
  const memory = allocateCounters(1, 2);
  const block = new CounterBlock(memory, 0, 2);
  const inner = new PairPort(1, block);
  let now = start;
  const port = new FaultyPort(inner, 1, plan, block, () => now);
  return {
    inner,
    port,
    pass: (ms: number) => {
      now = (now + ms) | 0;
    },
    lost: () => new CounterReader(memory, 2).read(1).drops['fault-injected'] ?? 0,
    /** Marks of the frames that come out after frames with these marks went in, in batches. */
    through: (marks: readonly number[]): number[] => {
      const out: number[] = [];
      for (let at = 0; at < marks.length; at += batch.capacity) {
        for (const mark of marks.slice(at, at + batch.capacity)) inner.feed(marked(mark));
        out.push(...received(port, batch).map((frame) => frame[10] as number));
      }
      return out;
    },
  };
}

const ONE_TO_200 = Array.from({ length: 200 }, (_, i) => i + 1);

describe('nothing planned', () => {
  test('frames -> pass as they are, in order, at once', () => {
    const { through, port, lost } = faulty({});
    expect(through(ONE_TO_200)).toEqual(ONE_TO_200);
    expect(lost()).toBe(0);
    expect(port.dueInMs()).toBe(-1);
  });

  test('the other direction -> straight to the port inside', () => {
    const { inner, port } = faulty({ loss: 1, corrupt: 1, delayMs: 1000 });
    const far = new PairPort(0, new CounterBlock(allocateCounters(1, 1), 0, 1));
    inner.connect(far);
    batch.place(0, marked(9).subarray(10));
    port.transmit(batch, Int32Array.of(0), 0, 1);
    expect(far.take()).toEqual(marked(9));
  });

  test('what was found wrong with a frame -> stays known', () => {
    const { inner, port } = faulty({});
    const tagging: Port = {
      fd: 42,
      receive: (into) => {
        const count = inner.receive(into);
        into.condition.fill(RECEIVED_TAGGED, 0, count);
        return count;
      },
      transmit: () => {},
      transmitPieces: () => {},
    };
    const block = new CounterBlock(allocateCounters(1, 2), 0, 2);
    const outer = new FaultyPort(tagging, 1, {}, block, () => 0);
    inner.feed(marked(1));
    batch.condition.fill(0);
    expect(outer.receive(batch)).toBe(1);
    expect(batch.condition[0]).toBe(RECEIVED_TAGGED);
    expect(outer.fd).toBe(42);
    expect(port.fd).toBe(-1);
  });
});

describe('the seed', () => {
  const plan = { loss: 0.2, duplicate: 0.2, reorder: 0.2, corrupt: 0.3 };
  const run = (seed?: number) => {
    const { inner, port, pass } = faulty(seed === undefined ? plan : { ...plan, seed });
    for (const mark of ONE_TO_200.slice(0, 60)) inner.feed(marked(mark));
    const first = received(port, batch);
    pass(1);
    return [...first, ...received(port, batch)].map((frame) => Buffer.from(frame).toString('hex'));
  };

  test('the same -> the same faults to the bit', () => {
    expect(run(7)).toEqual(run(7));
    expect(run()).toEqual(run(1));
  });

  test('another -> other faults', () => {
    expect(run(7)).not.toEqual(run(8));
  });
});

describe('loss', () => {
  test('of 30 % -> about that many missing, in order, each counted as fault-injected', () => {
    const { through, lost } = faulty({ loss: 0.3 });
    const out = through(ONE_TO_200);
    expect(lost()).toBe(200 - out.length);
    expect(lost()).toBeGreaterThan(30);
    expect(lost()).toBeLessThan(90);
    expect(out).toEqual([...out].sort((a, b) => a - b));
    expect(new Set(out).size).toBe(out.length);
  });

  test('of everything -> nothing comes', () => {
    const { through, lost } = faulty({ loss: 1 });
    expect(through([1, 2, 3])).toEqual([]);
    expect(lost()).toBe(3);
  });

  test('of a VM’s frames in the switch -> dropped as fault-injected', () => {
    const net = new TestSwitch({ mode: 'shared' });
    const [a] = [net.vm(A), net.vm(B)];
    net.wrap(a, (inner) => new FaultyPort(inner, a, { loss: 1 }, net.block, () => net.clock.ms));
    expect(net.from(a).send(ipv4Udp({ from: A, to: B }))).toEqual(dropped(a, 'fault-injected'));
  });
});

describe('duplicates', () => {
  test('of everything -> each frame twice, one behind the other', () => {
    expect(faulty({ duplicate: 1 }).through([1, 2])).toEqual([1, 1, 2, 2]);
  });

  test('of more than a batch holds -> the rest with the next batch, at once', () => {
    const { through, port } = faulty({ duplicate: 1 });
    const marks = ONE_TO_200.slice(0, 64);
    const first = through(marks);
    expect(first).toEqual(marks.slice(0, 32).flatMap((mark) => [mark, mark]));
    expect(port.dueInMs()).toBe(0);
    const second = received(port, batch).map((frame) => frame[10] as number);
    expect(second).toEqual(marks.slice(32).flatMap((mark) => [mark, mark]));
  });
});

describe('corruption', () => {
  test('of everything -> one bit of each frame, never in the virtio-net header, now here now there', () => {
    const { inner, port } = faulty({ corrupt: 1 });
    const places = new Set<number>();
    for (let i = 0; i < 64; i++) inner.feed(marked(0));
    for (const frame of received(port, batch)) {
      const bits = [...frame].flatMap((byte, at) => (byte === 0 ? [] : [{ at, byte }]));
      expect(bits).toHaveLength(1);
      expect(Math.log2(bits[0]!.byte) % 1).toBe(0);
      expect(bits[0]!.at).toBeGreaterThanOrEqual(10);
      places.add(bits[0]!.at);
    }
    expect(places.size).toBeGreaterThan(10);
  });

  test('of a frame without content -> as it was', () => {
    const { inner, port } = faulty({ corrupt: 1 });
    inner.feed(new Uint8Array(10));
    inner.feed(new Uint8Array(3));
    expect(received(port, batch)).toEqual([new Uint8Array(10), new Uint8Array(3)]);
  });
});

describe('delay', () => {
  test('of 20 ms -> held until then, and dueInMs tells when', () => {
    const { through, port, pass } = faulty({ delayMs: 20 });
    expect(through([1])).toEqual([]);
    expect(port.dueInMs()).toBe(20);
    pass(5);
    expect(through([2])).toEqual([]);
    pass(14);
    expect(through([])).toEqual([]);
    expect(port.dueInMs()).toBe(1);
    pass(1);
    expect(received(port, batch)).toEqual([marked(1)]);
    expect(port.dueInMs()).toBe(5);
    pass(50);
    expect(port.dueInMs()).toBe(0);
    expect(received(port, batch)).toEqual([marked(2)]);
    expect(port.dueInMs()).toBe(-1);
  });

  test('while the clock wraps -> held as long as ever, in order', () => {
    const { through, port, pass } = faulty({ delayMs: 20 }, 2 ** 31 - 10);
    through([1]);
    expect(port.dueInMs()).toBe(20);
    pass(15);
    through([2]);
    expect(port.dueInMs()).toBe(5);
    pass(5);
    expect(received(port, batch)).toEqual([marked(1)]);
    pass(15);
    expect(received(port, batch)).toEqual([marked(2)]);
  });

  test(`of more than ${HELD_FRAMES} frames -> the rest lost and counted`, () => {
    const { inner, port, lost, pass } = faulty({ delayMs: 10 });
    for (let sent = 0; sent < HELD_FRAMES + 64; sent += 64) {
      for (let i = 0; i < 64; i++) inner.feed(marked(1));
      port.receive(batch);
    }
    expect(lost()).toBe(64);
    pass(10);
    let come = 0;
    for (let count = port.receive(batch); count > 0; count = port.receive(batch)) come += count;
    expect(come).toBe(HELD_FRAMES);
  });
});

describe('reordering', () => {
  test('of some -> those come later than the ones behind them, none is lost', () => {
    const { through, pass, port } = faulty({ reorder: 0.3, reorderMs: 5, seed: 3 });
    const marks = ONE_TO_200.slice(0, 60);
    const first = through(marks);
    expect(first.length).toBeLessThan(60);
    expect(first).toEqual([...first].sort((a, b) => a - b));
    pass(4);
    expect(port.receive(batch)).toBe(0);
    pass(1);
    const late = framesOf(batch, port.receive(batch)).map((frame) => frame[10] as number);
    expect([...first, ...late].sort((a, b) => a - b)).toEqual(marks);
    expect(late[0]).toBeLessThan(first.at(-1)!);
  });

  test('without a time given -> a millisecond', () => {
    const { through, pass, port } = faulty({ reorder: 1 });
    expect(through([1])).toEqual([]);
    expect(port.dueInMs()).toBe(1);
    pass(1);
    expect(received(port, batch)).toEqual([marked(1)]);
  });
});
