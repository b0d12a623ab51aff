/** The kinds of links that rows of the l2 set are about, as the kernel sees them. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BenchGuest, twoGuests, vethGuest } from '../../bench/guests.ts';
import { withMtu, withoutOffloads } from '../../bench/links.ts';
import { Undo } from '../../bench/rig.ts';
import { runIn } from '../../src/lab/process.ts';
import { createNamespace } from '../../src/sys/netns.ts';

let undo: Undo;
let host: string;
let guests: BenchGuest[];

beforeEach(async () => {
  undo = new Undo();
  const namespace = createNamespace();
  undo.push(() => namespace.close());
  host = namespace.path;
  guests = await twoGuests(vethGuest, host, undo);
});
afterEach(() => undo.run());

async function mtuOf(namespace: string, name: string): Promise<number> {
  const { stdout } = await runIn(namespace, ['ip', '-j', 'link', 'show', name]);
  return JSON.parse(stdout)[0].mtu;
}

test('an MTU -> at both ends of each link', async () => {
  await withMtu(9000)(host, guests);
  for (const { namespace, interfaceName } of guests) {
    expect(await mtuOf(namespace, 'eth0')).toBe(9000);
    expect(await mtuOf(host, interfaceName)).toBe(9000);
  }
});

test('without offloads -> the guests have none of them, having had them', async () => {
  const features = async () => (await runIn(guests[0]!.namespace, ['ethtool', '-k', 'eth0'])).stdout;
  const OFFLOADS = ['tcp-segmentation-offload', 'generic-segmentation-offload', 'tx-checksumming'];
  const before = await features();
  for (const each of OFFLOADS) expect(before).toContain(`${each}: on`);
  await withoutOffloads(host, guests);
  const after = await features();
  for (const each of [...OFFLOADS, 'generic-receive-offload']) expect(after).toContain(`${each}: off`);
});
