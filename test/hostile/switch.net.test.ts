/** The switch on a host where a Linux bridge is dead. */
import type { Switch } from 'tapswitch';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { A, B } from '../lib/frames.ts';
import { atTestEnd, Cleanup } from '../lib/net-cleanup.ts';
import type { Place } from '../lib/net-place.ts';
import { answers, CURL_NO_CONNECTION, CURL_TIMEOUT, curl, neighbour, ping } from '../lib/net-probe.ts';
import { serveWeb } from '../lib/net-services.ts';
import {
  GATEWAY_IP,
  HOST_IP,
  network,
  port,
  startSwitch,
  tapGuest,
  tapOf,
  vethGuest,
} from '../lib/net-switch.ts';
import { OTHER_ADDRESSES, peacefulHost, turnHostile } from './hostile-host.ts';
import { EVERY_WAY, GUEST_TO_HOST, HOST_TO_GUEST, workingWays } from './paths.ts';

interface Scene {
  readonly host: Place;
  /** Behind a TAP that a process holds */
  readonly a: NetnsGuest;
  /** Behind a veth */
  readonly b: NetnsGuest;
  readonly running: Switch;
}

/** The switch and two guests on a host whose bridge worked and then did not. */
async function scene(cleanup: Cleanup, mode: 'isolated' | 'shared'): Promise<Scene> {
  const hostile = await peacefulHost(cleanup);
  const { host, bridgedGuest } = hostile;
  expect(await answers(host, bridgedGuest)).toBe(true);
  await turnHostile(hostile);
  expect(await answers(host, bridgedGuest, 1)).toBe(false);

  const { guest: a } = await tapGuest(cleanup, host, A, { services: true });
  const b = await vethGuest(cleanup, host, B, { services: true });
  await serveWeb(host, cleanup, 7000, 7001);
  const running = await startSwitch(cleanup, { networks: { default: network(host, mode, ['tcp/7000']) } });
  for (const station of [A, B]) {
    await running.attach(tapOf(station), { tap: tapOf(station), netns: host.path, ...station });
  }
  return { host, a, b, running };
}

const isRefused = (exit: number) => exit === CURL_NO_CONNECTION || exit === CURL_TIMEOUT;

describe.each(['isolated', 'shared'] as const)('every fault at once, %s', (mode) => {
  const expected = mode === 'shared' ? EVERY_WAY : [...HOST_TO_GUEST, ...GUEST_TO_HOST];
  const cleanup = new Cleanup();
  let played: Scene;
  beforeAll(async () => {
    played = await scene(cleanup, mode);
  });
  afterAll(() => cleanup.run());

  test(`ARP is resolved; these ways work and no other: ${expected.join(', ')}`, async () => {
    const { host, a, running } = played;
    expect(await workingWays({ host, a }, GATEWAY_IP)).toEqual(expected);
    expect(await neighbour(host, A.ip)).toContain(`lladdr ${A.mac}`);
    expect(await neighbour(a, GATEWAY_IP)).toMatch(/lladdr .*(REACHABLE|STALE|DELAY)/);
    if (mode === 'isolated') expect(port(running, tapOf(A)).drops.isolated).toBeGreaterThan(0);
    else expect(port(running, tapOf(A)).drops).toEqual({});
  });

  test('host -> guest: HTTP on 6080 and 8080, behind a TAP and behind a veth', async () => {
    const { host } = played;
    for (const { ip } of [A, B]) {
      expect((await curl(host, `http://${ip}:6080/`)).body).toContain(ip);
      expect(JSON.parse((await curl(host, `http://${ip}:8080/health`)).body)).toMatchObject({ status: 'ok' });
    }
  });

  test('guest -> host: HTTP on the port of allowFromGuests; another port, though served, is not reached', async () => {
    const { host, a, b, running } = played;
    expect((await curl(host, `http://${HOST_IP}:7001/`)).body).toBe('this is 7001');
    for (const guest of [a, b]) {
      expect((await curl(guest, `http://${HOST_IP}:7000/`)).body).toBe('this is 7000');
      expect((await curl(guest, `http://${HOST_IP}:7001/`, 1)).exit).toSatisfy(isRefused);
    }
    expect(port(running, tapOf(A)).drops['host-flow-denied']).toBeGreaterThan(0);
  });

  test("guest -> the host's other addresses: refused, also on the allowed port", async () => {
    const { host, a, running } = played;
    for (const address of OTHER_ADDRESSES) {
      expect((await curl(host, `http://${address}:7000/`)).body).toBe('this is 7000');
      expect((await curl(a, `http://${address}:7000/`, 1)).exit).toSatisfy(isRefused);
      expect((await ping(a, address, { count: 1 })).received).toBe(0);
    }
    expect(port(running, tapOf(A)).drops['egress-denied']).toBeGreaterThan(0);
  });
});

test("every fault at once: the process that holds a guest's TAP dies -> the host is told at once, the rest goes on", async () => {
  const cleanup = atTestEnd();
  const hostile = await peacefulHost(cleanup);
  await turnHostile(hostile);
  const { host } = hostile;
  const vm = await tapGuest(cleanup, host, A);
  await vethGuest(cleanup, host, B);
  const running = await startSwitch(cleanup, { networks: { default: network(host, 'isolated') } });
  for (const station of [A, B]) {
    await running.attach(tapOf(station), { tap: tapOf(station), netns: host.path, ...station });
  }
  expect(await answers(host, A.ip)).toBe(true);
  await vm.killVmm();
  await expect.poll(() => port(running, tapOf(A)).carrier).toBe(false);
  const { output } = await ping(host, A.ip, { count: 1 });
  expect(output).toContain(`From ${GATEWAY_IP} icmp_seq=1 Destination Host Unreachable`);
  expect(await answers(host, B.ip)).toBe(true);
});
