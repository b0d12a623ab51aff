import { describe, expect, test } from 'vitest';
import { RECEIVE_QUANTUM_BYTES, ReceiveTurns } from '../../src/engine/receive-turns.ts';
import { allocateCounters, CounterBlock } from '../../src/telemetry/counters.ts';

const PORTS = 8;
const FRAMES = 64;
/** What one batch can have at most, about */
const LONG = FRAMES * 65_549;
const SHORT = FRAMES * 1514;

function stage() {
  const counters = new CounterBlock(allocateCounters(1, PORTS), 0, PORTS);
  const turns = new ReceiveTurns(counters);
  const received: number[] = new Array(PORTS).fill(0);
  const batches: number[] = new Array(PORTS).fill(0);
  return {
    counters,
    turns,
    received,
    batches,
    /** Rounds in which each of these ports has a batch of so many bytes waiting. */
    rounds(count: number, waiting: Readonly<Record<number, number>>): void {
      const ports = Object.entries(waiting).map(([port, bytes]) => ({ port: Number(port), bytes }));
      for (let i = 0; i < count; i++) {
        for (const { port, bytes } of ports) {
          if (!turns.take(port, ports.length === 1)) continue;
          counters.received(port, FRAMES, bytes);
          received[port] = (received[port] as number) + bytes;
          batches[port] = (batches[port] as number) + 1;
        }
      }
    },
  };
}

describe('rounds of the datapath', () => {
  test('ports with short frames -> each in each round', () => {
    const { rounds, batches } = stage();
    rounds(100, { 1: SHORT, 2: SHORT, 3: 60 * FRAMES });
    expect(batches.slice(1, 4)).toEqual([100, 100, 100]);
  });

  test('one with batches of the longest frames -> a quantum a round, another in each round', () => {
    const { rounds, batches, received } = stage();
    rounds(1000, { 1: LONG, 2: SHORT });
    expect(batches[2]).toBe(1000);
    expect(received[1]).toBeGreaterThan(1000 * RECEIVE_QUANTUM_BYTES * 0.99);
    expect(received[1]).toBeLessThanOrEqual(1000 * RECEIVE_QUANTUM_BYTES + LONG);
  });

  test('one with the longest frames alone -> in each round; another comes -> nothing held against the first', () => {
    const { rounds, batches } = stage();
    rounds(100, { 1: LONG });
    expect(batches[1]).toBe(100);
    rounds(1, { 1: SHORT, 2: SHORT });
    expect(batches.slice(1, 3)).toEqual([100, 1]);
    rounds(10, { 1: SHORT, 2: SHORT });
    expect(batches[1]).toBeGreaterThan(100);
  });

  test('silence -> saves up a quantum, and no more', () => {
    const { rounds, batches } = stage();
    rounds(1, { 1: SHORT, 2: SHORT });
    rounds(100, { 2: SHORT });
    rounds(8, { 1: LONG, 2: SHORT });
    expect(batches[1]).toBe(2);
    rounds(8, { 1: LONG, 2: SHORT });
    expect(batches[1]).toBe(3);
  });

  test('two with long batches -> as much for either', () => {
    const { rounds, received } = stage();
    rounds(1000, { 1: LONG, 2: LONG / 2, 3: SHORT });
    const [, one = 0, two = 0] = received;
    expect(Math.abs(one - two)).toBeLessThanOrEqual(0.1 * one);
  });

  test('a port that has counted much before it is added -> has its turn at once', () => {
    const { rounds, counters, turns, batches } = stage();
    counters.received(1, 1e9, 1e12);
    turns.add(1);
    rounds(3, { 1: SHORT, 2: SHORT });
    expect(batches[1]).toBe(3);
  });
});
