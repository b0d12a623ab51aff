import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TcpFlow } from '../../../src/gateway/tcp/flow.ts';
import { ReadyQueue } from '../../../src/gateway/tcp/ready-queue.ts';

const QUANTUM = 256 * 1024;

const NOBODY = { hostReady() {}, timerExpired() {}, acknowledgeLate() {}, frameRefused() {} };

function flowOf(port: number): TcpFlow {
  const flow = new TcpFlow(NOBODY);
  flow.port = port;
  return flow;
}

/** Flows with so many bytes each to read, and what each has read. */
function bench(wants: readonly { port: number; bytes: number }[]) {
  const queue = new ReadyQueue();
  const left = new Map<TcpFlow, number>();
  const read = new Map<number, number>();
  for (const { port, bytes } of wants) {
    const flow = flowOf(port);
    left.set(flow, bytes);
    queue.add(flow);
  }
  const order: number[] = [];
  const round = () => {
    queue.round((flow, most) => {
      expect(most).toBeGreaterThan(0);
      const wanted = left.get(flow) as number;
      const bytes = Math.min(wanted, most);
      left.set(flow, wanted - bytes);
      read.set(flow.port, (read.get(flow.port) ?? 0) + bytes);
      order.push(flow.port);
      if (wanted > bytes) queue.add(flow);
      return bytes;
    });
  };
  return { queue, read, order, left, round };
}

const GREEDY = 100 * QUANTUM;

describe('between VMs', () => {
  test.each([
    ['each greedy', GREEDY, 1000],
    ['each with little', 1000, 10_000],
  ])(
    'one with very many flows, %s, one with a single flow -> the same for both, each round',
    (_, bytes, flows) => {
      const many = Array.from({ length: flows }, () => ({ port: 1, bytes }));
      const { round, read } = bench([...many, { port: 2, bytes: GREEDY }]);
      for (let i = 1; i <= 10; i++) {
        round();
        expect([read.get(1), read.get(2)]).toEqual([i * QUANTUM, i * QUANTUM]);
      }
    },
  );

  test('one with little -> has it in its first round, whoever else waits', () => {
    const greedy = Array.from({ length: 5 }, (_, port) => ({ port: port + 1, bytes: GREEDY }));
    const { round, read } = bench([...greedy, { port: 9, bytes: 100 }]);
    round();
    expect(read.get(9)).toBe(100);
  });

  test('any wishes -> all is read; nobody has more than a quantum a round, nor less and still wants', () => {
    const want = fc.record({
      port: fc.integer({ min: 1, max: 5 }),
      bytes: fc.integer({ min: 1, max: 3 * QUANTUM }),
    });
    fc.assert(
      fc.property(fc.array(want, { maxLength: 20 }), (wants) => {
        const { queue, round, read, left } = bench(wants);
        for (let rounds = 0; !queue.isEmpty; rounds++) {
          expect(rounds).toBeLessThan(200);
          const before = new Map(read);
          round();
          const wanting = new Set([...left].filter(([, bytes]) => bytes > 0).map(([flow]) => flow.port));
          for (const [port, bytes] of read) {
            const had = bytes - (before.get(port) ?? 0);
            if (wanting.has(port)) expect(had).toBe(QUANTUM);
            else expect(had).toBeLessThanOrEqual(QUANTUM);
          }
        }
        expect([...left.values()].every((bytes) => bytes === 0)).toBe(true);
      }),
    );
  });

  test('a VM that waits -> is never passed over', () => {
    const { round, order } = bench([1, 2, 3].map((port) => ({ port, bytes: GREEDY })));
    for (let i = 0; i < 4; i++) round();
    expect(order).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
  });
});

describe('between flows of a VM', () => {
  test('first come, first served, each a turn before any has its second', () => {
    const queue = new ReadyQueue();
    const flows = Array.from({ length: 5 }, () => flowOf(1));
    for (const flow of flows) queue.add(flow);
    const seen: number[] = [];
    for (let i = 0; i < 5; i++) {
      queue.round((flow) => {
        seen.push(flows.indexOf(flow));
        queue.add(flow);
        return QUANTUM / 2;
      });
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
  });

  test('added twice -> one turn', () => {
    const queue = new ReadyQueue();
    const flow = flowOf(1);
    queue.add(flow);
    queue.add(flow);
    let turns = 0;
    queue.round(() => {
      turns++;
      return 0;
    });
    expect(turns).toBe(1);
    expect(queue.isEmpty).toBe(true);
  });

  test('one that reads nothing -> the next has its turn in the same round', () => {
    const queue = new ReadyQueue();
    const flows = [flowOf(1), flowOf(1), flowOf(1)];
    for (const flow of flows) queue.add(flow);
    const seen: number[] = [];
    queue.round((flow) => {
      seen.push(flows.indexOf(flow));
      return 0;
    });
    expect(seen).toEqual([0, 1, 2]);
  });
});
