/** A VM that claims to be another, or the gateway, or the host. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  A,
  arpReply,
  arpRequest,
  B,
  C,
  EVERYBODY,
  GATEWAY,
  HOST,
  ipv4Udp,
  type Station,
} from '../lib/frames.ts';
import { atTestEnd, Cleanup } from '../lib/net-cleanup.ts';
import { answers, neighbour } from '../lib/net-probe.ts';
import { listen, sendFrames } from '../lib/net-raw.ts';
import { HOST_PORT, port, tapOf } from '../lib/net-switch.ts';
import { type ThreeGuests, threeGuests } from './three-guests.ts';

/** Frames of every kind with which `claimed` would be believed. */
function lies(claimed: Station, host: Station): Uint8Array[] {
  const datagrams = [A, host, GATEWAY, EVERYBODY].map((to) => ipv4Udp({ from: claimed, to }));
  const replies = [A, host].map((to) => arpReply({ from: claimed, to }));
  return [
    ...datagrams,
    ...replies,
    arpRequest({ from: claimed, about: A }),
    arpRequest({ from: claimed, about: claimed }),
  ];
}

describe.each(['isolated', 'shared'] as const)('%s', (mode) => {
  const scene = new Cleanup();
  let guests: ThreeGuests;
  beforeAll(async () => {
    guests = await threeGuests(scene, mode);
  });
  afterAll(() => scene.run());

  test.each([
    { claim: "another VM's MAC", from: { mac: B.mac, ip: C.ip }, reason: 'spoofed-mac' },
    { claim: "another VM's MAC and IP", from: B, reason: 'spoofed-mac' },
    { claim: "the gateway's MAC and IP", from: GATEWAY, reason: 'spoofed-mac' },
    { claim: "another VM's IP", from: { mac: C.mac, ip: B.ip }, reason: 'spoofed-ip' },
    { claim: "the gateway's IP", from: { mac: C.mac, ip: GATEWAY.ip }, reason: 'spoofed-ip' },
    { claim: "the host's IP", from: { mac: C.mac, ip: HOST.ip }, reason: 'spoofed-ip' },
    { claim: 'an address of nobody', from: { mac: C.mac, ip: '8.8.8.8' }, reason: 'spoofed-ip' },
  ] as const)(
    '$claim: every frame is counted as $reason, nobody gets any, nobody believes it',
    async ({ from, reason }) => {
      const cleanup = atTestEnd();
      const { host, a, b, c, running } = guests;
      const count = () => port(running, tapOf(C)).drops[reason] ?? 0;
      expect(await answers(host, B.ip)).toBe(true);
      const known = await neighbour(host, B.ip);
      const before = count();
      const listeners = [a, b].map(({ namespace }) => listen(cleanup, namespace, 'eth0'));
      listeners.push(listen(cleanup, host.path, HOST_PORT));

      const hostStation = { ...HOST, mac: running.stats().hostPorts.default?.mac as string };
      const frames = lies(from, hostStation);
      sendFrames(c.namespace, 'eth0', frames);
      await expect.poll(count).toBe(before + frames.length);
      await sleep(50);
      expect(listeners.map(({ received }) => received(from.mac))).toEqual([0, 0, 0]);
      expect((await neighbour(host, B.ip)).replace(/ \S+$/, '')).toBe(known.replace(/ \S+$/, ''));
      expect(await answers(host, B.ip)).toBe(true);
    },
  );
});

test('shared, its own MAC and IP: the same frames pass, and others hear them', async () => {
  const cleanup = atTestEnd();
  const { a, b, c, running } = await threeGuests(cleanup, 'shared');
  const [atA, atB] = [a, b].map(({ namespace }) => listen(cleanup, namespace, 'eth0'));
  sendFrames(c.namespace, 'eth0', lies(C, HOST));
  // To A: a datagram, one to everybody, a reply, an announcement; its question is the switch's to answer
  await expect.poll(() => atA?.received(C.mac)).toBeGreaterThanOrEqual(4);
  await expect.poll(() => atB?.received(C.mac)).toBeGreaterThanOrEqual(2);
  const { drops } = port(running, tapOf(C));
  expect([drops['spoofed-mac'], drops['spoofed-ip']]).toEqual([undefined, undefined]);
});
