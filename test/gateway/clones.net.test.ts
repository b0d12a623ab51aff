/** VMs restored from one snapshot: the same MAC and IP, told apart by their ports alone. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type NetnsGuest, startNetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { GATEWAY } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const CLONES = 20;
const IP = '10.1.0.9';
const MAC = '06:00:00:00:00:09';

let stage: GatewayStage;
const guests: NetnsGuest[] = [];

beforeEach(async () => {
  stage = new GatewayStage();
  guests.length = 0;
  for (let i = 0; i < CLONES; i++) {
    const guest = await startNetnsGuest({
      name: `clone${i}`,
      hostNamespace: stage.host.path,
      interfaceName: `clone${i}`,
      mac: MAC,
      ip: IP,
      prefix: 24,
      gateway: GATEWAY,
    });
    stage.atEnd(() => guest.stop());
    guests.push(guest);
  }
});

afterEach(() => stage.end());

test(`${CLONES} clones: each by its own forward and identity -> itself; out -> the host; none hears another`, async () => {
  const networks = { default: stage.network({ clones: true, hostServices: ['5400'] }) };
  const sw = await stage.start({ networks });
  for (const [i, guest] of guests.entries()) {
    const forwards = [`${15_300 + i}:5300`];
    await sw.attach(`clone${i}`, { tap: `clone${i}`, ip: IP, mac: MAC, forwards });
    await stage.serve(guest.namespace, 'name', 5300, `I am ${i}`);
  }
  await stage.serve(stage.host.path, 'echo', 5400);
  const before = guests.map((_, i) => sw.stats().vms[`clone${i}`]?.txFrames as number);
  await Promise.all(
    guests.map(async (guest, i) => {
      const loopback = sw.stats().vms[`clone${i}`]?.loopback as string;
      expect((await stage.probe(stage.host.path, '127.0.0.1', 15_300 + i)).result).toBe(`heard I am ${i}`);
      expect((await stage.probe(stage.host.path, loopback, 5300)).result).toBe(`heard I am ${i}`);
      expect((await stage.probe(guest.namespace, GATEWAY, 5400)).result).toBe('heard hello');
    }),
  );
  expect(before).toHaveLength(CLONES);
  const others = guests.slice(1);
  const counted = others.map((_, i) => sw.stats().vms[`clone${i + 1}`]?.txFrames);
  const ping = ['ping', '-n', '-c', '3', '-i', '0.05', '-W', '1', '-b', '10.1.0.255'];
  await runIn(guests[0]?.namespace, ping);
  await runIn(guests[0]?.namespace, ['ping', '-n', '-c', '1', '-W', '1', '10.1.0.10']);
  expect(others.map((_, i) => sw.stats().vms[`clone${i + 1}`]?.txFrames)).toEqual(counted);
  expect(sw.stats().vms.clone0?.drops.isolated).toBeGreaterThan(0);
});
