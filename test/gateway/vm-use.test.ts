import { expect, test } from 'vitest';
import {
  allocateVmUse,
  LIMIT_BUFFER_BYTES,
  LIMIT_DATAGRAM_FLOWS,
  LIMIT_FLOWS,
  USE_FLOWS,
  USE_RESTING,
  VmUse,
} from '../../src/gateway/vm-use.ts';

test('two workers -> each counts its own, the total is of both', () => {
  const memory = allocateVmUse(2);
  const [first, second] = [new VmUse(memory, 0), new VmUse(memory, 1)];
  first.add(USE_FLOWS, 7, 3);
  second.add(USE_FLOWS, 7, 2);
  second.add(USE_FLOWS, 8, 1);
  second.add(USE_RESTING, 7, 9);
  expect([first.total(USE_FLOWS, 7), second.total(USE_FLOWS, 7)]).toEqual([5, 5]);
  expect([first.of(0, USE_FLOWS, 7), first.of(1, USE_FLOWS, 7)]).toEqual([3, 2]);
});

test('worker that died: cleared -> what the others have stays', () => {
  const memory = allocateVmUse(2);
  const [first, second] = [new VmUse(memory, 0), new VmUse(memory, 1)];
  first.add(USE_FLOWS, 7, 3);
  second.add(USE_FLOWS, 7, 2);
  first.clear(1);
  expect(first.total(USE_FLOWS, 7)).toBe(3);
  first.add(USE_FLOWS, 7, -1);
  expect(second.total(USE_FLOWS, 7)).toBe(2);
});

test('limits set for a VM -> all workers have them, another VM has what is usual', () => {
  const memory = allocateVmUse(2);
  const [control, worker] = [new VmUse(memory), new VmUse(memory, 1)];
  control.setLimits(3, { tcpFlows: 5, halfOpenFlows: 2, udpFlows: 7, bufferBytes: 1 << 20 });
  expect(worker.limit(LIMIT_FLOWS, 3, 100)).toBe(5);
  expect(worker.limit(LIMIT_DATAGRAM_FLOWS, 3, 100)).toBe(7);
  expect(worker.limit(LIMIT_FLOWS, 4, 100)).toBe(100);
  // They are no counts
  worker.add(USE_FLOWS, 3, 1);
  worker.clear(1);
  expect([control.total(USE_FLOWS, 3), control.limit(LIMIT_BUFFER_BYTES, 3, 0)]).toEqual([0, 1 << 20]);
});
