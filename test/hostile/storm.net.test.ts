/** A VM that sends as fast as it can, beside others that must not notice. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { spawnIn } from '../../src/lab/process.ts';
import { FLOOD_BURST, FLOODS_PER_SECOND } from '../../src/switch/forwarder.ts';
import { A, B, C, EVERYBODY, GATEWAY, icmpEcho, ipv4Udp } from '../lib/frames.ts';
import { atTestEnd, type Cleanup } from '../lib/net-cleanup.ts';
import { kill, type Shell } from '../lib/net-place.ts';
import { answers, curl, ping } from '../lib/net-probe.ts';
import { listen } from '../lib/net-raw.ts';
import { HOST_PORT, port, tapOf } from '../lib/net-switch.ts';
import { threeGuests } from './three-guests.ts';

const STORM = fileURLToPath(new URL('../lib/net-storm.mjs', import.meta.url));
const BROADCAST = ipv4Udp({ from: C, to: EVERYBODY });
/** Frames that make a storm: far more than a VM may have flooded */
const MANY = 20 * FLOODS_PER_SECOND;

interface Storm {
  readonly frames: number;
  readonly seconds: number;
}

/** Lets a guest send a frame as fast as it can while `work` is done. */
async function during(
  cleanup: Cleanup,
  { namespace }: NetnsGuest,
  frame: Uint8Array,
  work: () => Promise<unknown>,
): Promise<Storm> {
  const hex = Buffer.from(frame).toString('hex');
  const child = spawnIn(namespace, [process.execPath, STORM, 'eth0', hex], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanup.add(() => kill(child));
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await expect.poll(() => output, { timeout: 5000 }).toContain('up\n');
  const start = performance.now();
  await work();
  const ended = once(child, 'close');
  child.kill('SIGTERM');
  await ended;
  return { frames: Number(output.split('\n')[1]), seconds: (performance.now() - start) / 1000 };
}

/** Twenty pings in a second and a half, and as many requests as find room meanwhile: nothing may fail. */
async function expectUndisturbed(from: Shell, address: string, pages: readonly string[]): Promise<void> {
  let pinging = true;
  const pinged = ping(from, address, { count: 20, interval: 0.08 }).finally(() => {
    pinging = false;
  });
  do {
    for (const page of pages) expect(await curl(from, page)).toMatchObject({ exit: 0 });
  } while (pinging && pages.length > 0);
  expect(await pinged).toMatchObject({ sent: 20, received: 20 });
}

const pageOf = ({ ip }: { ip: string }) => `http://${ip}:6080/`;

test('shared, a broadcast storm from one VM: others lose no ping and no request, the flood is held to its rate and counted', async () => {
  const cleanup = atTestEnd();
  const { host, a, c, running } = await threeGuests(cleanup, 'shared');
  expect(await answers(a, B.ip)).toBe(true);
  const { received } = listen(cleanup, a.namespace, 'eth0');
  const { frames, seconds } = await during(cleanup, c, BROADCAST, () =>
    Promise.all([
      expectUndisturbed(a, B.ip, [pageOf(B)]),
      expectUndisturbed(host, A.ip, [pageOf(A), pageOf(B)]),
    ]),
  );
  expect(frames).toBeGreaterThan(MANY);
  const flooded = received(C.mac);
  expect(flooded).toBeGreaterThanOrEqual(FLOOD_BURST);
  expect(flooded).toBeLessThanOrEqual(FLOOD_BURST + FLOODS_PER_SECOND * (seconds + 0.5));
  expect(port(running, tapOf(C)).drops['flood-limit']).toBeGreaterThan(MANY / 2);
});

test('isolated, a broadcast storm from one VM: nobody gets a frame of it, the host loses no ping and no request', async () => {
  const cleanup = atTestEnd();
  const { host, a, b, c, running } = await threeGuests(cleanup, 'isolated');
  expect(await answers(host, A.ip)).toBe(true);
  const listeners = [a, b].map(({ namespace }) => listen(cleanup, namespace, 'eth0'));
  listeners.push(listen(cleanup, host.path, HOST_PORT));
  const { frames } = await during(cleanup, c, BROADCAST, () =>
    expectUndisturbed(host, A.ip, [pageOf(A), pageOf(B)]),
  );
  expect(frames).toBeGreaterThan(MANY);
  expect(port(running, tapOf(C)).drops.isolated).toBeGreaterThan(MANY / 2);
  expect(listeners.map(({ received }) => received(C.mac))).toEqual([0, 0, 0]);
});

test('a storm of pings to the gateway from one VM: another loses none of its own', async () => {
  const cleanup = atTestEnd();
  const { a, c } = await threeGuests(cleanup, 'isolated');
  const echo = icmpEcho({ from: C, to: GATEWAY });
  const { frames } = await during(cleanup, c, echo, () => expectUndisturbed(a, GATEWAY.ip, []));
  expect(frames).toBeGreaterThan(MANY);
});
