import { beforeEach, expect, test } from 'vitest';
import { FlowShare } from '../../../src/gateway/flow-share.ts';
import { allocateHandover, Handover } from '../../../src/gateway/tcp/handover.ts';
import type { TcpForward } from '../../../src/gateway/tcp/opening.ts';
import { allocateVmUse, USE_FLOWS, VmUse } from '../../../src/gateway/vm-use.ts';

const PORT = 5;
const FORWARD: TcpForward = { number: 12, port: PORT, guestPort: 6080, waitMs: 30_000 };

let woken: number[];
let uses: VmUse[];
let workers: Handover[];

function setUp(spread = true): void {
  const [memory, use] = [allocateHandover(3), allocateVmUse(3)];
  woken = [];
  uses = [0, 1, 2].map((worker) => new VmUse(use, worker));
  workers = [0, 1, 2].map((worker) => {
    const share = new FlowShare(worker, 3);
    share.setSpread(PORT, spread);
    return new Handover(memory, share, uses[worker] as VmUse, (other) => woken.push(other));
  });
}

beforeEach(() => setUp());

function takenBy(worker: number): [TcpForward, number][] {
  const taken: [TcpForward, number][] = [];
  workers[worker]?.take((forward, fd) => taken.push([forward, fd]));
  return taken;
}

test('no flow, or one more than the others: -> the worker keeps the connection', () => {
  expect(workers[0]?.pass(FORWARD, 40)).toBe(false);
  uses[0]?.add(USE_FLOWS, PORT, 1);
  expect(workers[0]?.pass(FORWARD, 40)).toBe(false);
  expect(woken).toEqual([]);
});

test('two flows more than another: -> that one is woken and takes the connection, once', () => {
  uses[0]?.add(USE_FLOWS, PORT, 3);
  uses[1]?.add(USE_FLOWS, PORT, 2);
  uses[2]?.add(USE_FLOWS, PORT, 1);
  expect(workers[0]?.pass(FORWARD, 40)).toBe(true);
  expect(woken).toEqual([2]);
  expect(takenBy(1)).toEqual([]);
  expect(takenBy(2)).toEqual([[FORWARD, 40]]);
  expect(takenBy(2)).toEqual([]);
});

test('VM whose frames all come to one worker: -> kept there, however many flows it has', () => {
  setUp(false);
  uses[0]?.add(USE_FLOWS, PORT, 100);
  expect(workers[0]?.pass(FORWARD, 40)).toBe(false);
});

test('ring that is full: -> the connection is kept; taken, there is room again, in order', () => {
  uses[0]?.add(USE_FLOWS, PORT, 1000);
  let passed = 0;
  while (passed < 10_000 && workers[0]?.pass(FORWARD, passed)) passed++;
  // The first ring to have no room ends it: nobody counts what was passed here.
  expect(passed).toBe(256);
  const other = woken[0] as number;
  expect(takenBy(other).map(([, fd]) => fd)).toEqual(Array.from({ length: 256 }, (_, i) => i));
  expect(workers[0]?.pass(FORWARD, 7)).toBe(true);
});
