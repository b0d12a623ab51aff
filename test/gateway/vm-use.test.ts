import { expect, test } from 'vitest';
import { allocateVmUse, USE_FLOWS, USE_RESTING, VmUse } from '../../src/gateway/vm-use.ts';

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
