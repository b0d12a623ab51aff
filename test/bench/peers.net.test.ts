/** What a peer's figure is of: which way its bytes go. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { framesFrom } from '../../bench/host.ts';
import { tcp } from '../../bench/loads.ts';
import { SMOKE } from '../../bench/pace.ts';
import { isInstalled } from '../../bench/peers.ts';
import { type RigName, Undo } from '../../bench/rig.ts';
import { buildRig } from '../../bench/rigs.ts';
import { scratchFolders } from './run.ts';

/** pasta names the guest's TAP as the host's interface is named */
const TAP = 'outside0';
/** A stream of 16 MB is more than these, what else a guest says is less */
const MANY_FRAMES = 100;

let undo: Undo;
let before: string[];

beforeEach(() => {
  undo = new Undo();
  before = scratchFolders();
});
afterEach(async () => {
  await undo.run();
  expect(scratchFolders()).toEqual(before);
});

async function stream(name: RigName) {
  const rig = await buildRig(name, undo, SMOKE);
  const { value } = await tcp(1).run(rig, SMOKE);
  expect(value).toBeGreaterThan(0);
  return rig.server;
}

test.skipIf(!isInstalled('pasta'))('pasta from outside -> over the TAP', async () => {
  expect(framesFrom(await stream('pasta-tap'), TAP)).toBeGreaterThan(MANY_FRAMES);
});

test.skipIf(!isInstalled('pasta'))('pasta from the host -> spliced, past the TAP', async () => {
  const guest = await stream('pasta');
  expect(framesFrom(guest, TAP)).toBeLessThan(MANY_FRAMES);
  expect(framesFrom(guest, 'lo')).toBeGreaterThan(MANY_FRAMES);
});

test('loopback -> over the loopback of the host', async () => {
  expect(framesFrom(await stream('loopback'), 'lo')).toBeGreaterThan(MANY_FRAMES);
});
