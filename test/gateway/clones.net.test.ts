/** VMs restored from one snapshot: the same MAC and IP, told apart by their ports alone. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type NetnsGuest, startNetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { GATEWAY } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const CLONES = 200;
/** Clones that also begin connections, each a program of its own */
const CALLERS = 10;
const IP = '10.1.0.9';
const MAC = '06:00:00:00:00:09';

let stage: GatewayStage;
let sw: Switch;
const guests: NetnsGuest[] = [];

beforeEach(async () => {
  stage = new GatewayStage();
  const networks = { default: stage.network({ clones: true, hostServices: ['5400'] }) };
  sw = await stage.start({ networks });
  guests.length = 0;
  for (let i = 0; i < CLONES; i++) {
    const hostNamespace = stage.host.path;
    const addresses = { mac: MAC, ip: IP, prefix: 24, gateway: GATEWAY };
    const guest = await startNetnsGuest({
      name: `clone${i}`,
      hostNamespace,
      interfaceName: `clone${i}`,
      ...addresses,
    });
    stage.atEnd(() => guest.stop());
    guests.push(guest);
    const server = createServer((socket) => socket.resume().end(`I am ${i}`));
    // Without an address to look up the socket is made at once, while this thread is in the clone's namespace.
    inNamespace(guest.namespace, () => server.listen(5300));
    stage.atEnd(() => server.close());
    await sw.attach(`clone${i}`, { tap: `clone${i}`, ip: IP, mac: MAC, forwards: [`${15_300 + i}:5300`] });
  }
});

afterEach(() => stage.end());

/** What a server says to a connection. */
async function heardAt(host: string, port: number): Promise<string> {
  const socket = connect(port, host).setEncoding('utf8');
  let heard = '';
  socket.on('data', (text) => {
    heard += text;
  });
  socket.end();
  await once(socket, 'close');
  return heard;
}

const framesOf = (i: number): number => sw.stats().vms[`clone${i}`]?.txFrames as number;

test(`${CLONES} clones: each by its own forward and identity -> itself; out -> the host; none hears another`, async () => {
  await stage.serve(stage.host.path, 'echo', 5400);
  const { vms } = sw.stats();
  await Promise.all(
    guests.map(async (_, i) => {
      expect(await heardAt('127.0.0.1', 15_300 + i)).toBe(`I am ${i}`);
      expect(await heardAt(vms[`clone${i}`]?.loopback as string, 5300)).toBe(`I am ${i}`);
    }),
  );
  for (const { namespace } of guests.slice(0, CALLERS)) {
    expect((await stage.probe(namespace, GATEWAY, 5400)).result).toBe('heard hello');
  }
  const others = guests.map((_, i) => i).slice(1);
  const before = others.map(framesOf);
  expect(before.every((count) => count > 5)).toBe(true);
  const from = guests[0]?.namespace;
  await runIn(from, ['ping', '-n', '-c', '3', '-i', '0.05', '-W', '1', '-b', '10.1.0.255']);
  await runIn(from, ['ping', '-n', '-c', '1', '-W', '1', '10.1.0.10']);
  // A guest's own questions are answered meanwhile, one or two; what leaked would be three frames more.
  const more = others.map((i, at) => framesOf(i) - (before[at] as number));
  expect(more.filter((frames) => frames >= 3)).toEqual([]);
  expect(sw.stats().vms.clone0?.drops.isolated).toBeGreaterThan(2);
});
