import { expect, test } from 'vitest';
import type { Load } from '../../bench/loads.ts';
import { besideNeighbour } from '../../bench/loads-beside.ts';
import { SMOKE } from '../../bench/pace.ts';
import type { Rig } from '../../bench/rig.ts';

const rig: Rig = { name: 'beside-flood', client: '', server: '', address: '', pid: undefined };

function stage(run: () => number) {
  const steps: string[] = [];
  const load: Load = {
    id: 'load',
    unit: 'Gbit/s',
    run: async () => {
      steps.push('load');
      return { value: run(), detail: { retransmits: 1 } };
    },
  };
  const end = async () => {
    steps.push('end');
    return { neighbourFrames: 7 };
  };
  const misbehave = async () => {
    steps.push('begin');
    return end;
  };
  return { steps, load: besideNeighbour(load), misbehaving: { ...rig, misbehave } };
}

test('neighbour that misbehaves -> from before the load until after it, told beside the figures', async () => {
  const { steps, load, misbehaving } = stage(() => 3);
  const sample = await load.run(misbehaving, SMOKE);
  expect(sample).toEqual({ value: 3, detail: { retransmits: 1, neighbourFrames: 7 } });
  expect(steps).toEqual(['begin', 'load', 'end']);
});

test('load fails -> the misbehaviour is ended all the same', async () => {
  const { steps, load, misbehaving } = stage(() => {
    throw new Error('no route');
  });
  await expect(load.run(misbehaving, SMOKE)).rejects.toThrow('no route');
  expect(steps).toEqual(['begin', 'load', 'end']);
});

test('no such neighbour -> the load alone', async () => {
  const { steps, load } = stage(() => 3);
  expect(await load.run(rig, SMOKE)).toEqual({ value: 3, detail: { retransmits: 1 } });
  expect(steps).toEqual(['load']);
});
