import { expect, test } from 'vitest';
import { Undo } from '../../bench/rig.ts';

test('a step of the clean-up fails -> the others are done, and it is told', async () => {
  const undo = new Undo();
  const done: number[] = [];
  undo.push(() => void done.push(1));
  undo.push(() => {
    throw new Error('stuck');
  });
  undo.push(async () => void done.push(3));
  await expect(undo.run()).rejects.toThrow('stuck');
  expect(done).toEqual([3, 1]);
});
