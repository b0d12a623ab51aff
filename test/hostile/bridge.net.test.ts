/** The failures that made the switch necessary, each on a bridge that works until the fault is set. */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { SysError } from '../../src/sys/errno.ts';
import { A } from '../lib/frames.ts';
import { atTestEnd } from '../lib/net-cleanup.ts';
import type { Place } from '../lib/net-place.ts';
import { CURL_NO_CONNECTION, neighbour, ping } from '../lib/net-probe.ts';
import { GATEWAY_IP } from '../lib/net-switch.ts';
import { BRIDGE, type BridgeScene, bridgeScene, forgetNeighbours, plugIn } from './bridge-scene.ts';
import { EVERY_WAY, GUEST_TO_HOST, HOST_TO_GUEST, workingWays } from './paths.ts';

const waysOf = (scene: BridgeScene) => workingWays(scene, GATEWAY_IP);

/** States the neighbour table shows for an address while it is asked for, in order. */
async function statesWhileAsked(host: Place, address: string): Promise<string[]> {
  const states: string[] = [];
  let asking = true;
  const asked = ping(host, address, { count: 1 }).finally(() => {
    asking = false;
  });
  while (asking) {
    const state = (await neighbour(host, address)).split(/\s+/).at(-1);
    if (state && state !== states.at(-1)) states.push(state);
    await sleep(20);
  }
  await asked;
  return states;
}

async function vlanScene(): Promise<BridgeScene | undefined> {
  try {
    return await bridgeScene(atTestEnd(), { vlanFiltering: true });
  } catch (error) {
    if (error instanceof SysError && error.code === 'EOPNOTSUPP') return undefined;
    throw error;
  }
}

test('ebtables drops ARP on the bridge: Destination Host Unreachable, neighbour INCOMPLETE, No route to host', async () => {
  const scene = await bridgeScene(atTestEnd());
  const { host } = scene;
  expect(await waysOf(scene)).toEqual(EVERY_WAY);
  expect(await neighbour(host, A.ip)).toContain(`lladdr ${A.mac}`);

  await host.must(...['INPUT', 'FORWARD', 'OUTPUT'].map((chain) => `ebtables -A ${chain} -p ARP -j DROP`));
  await forgetNeighbours(scene);
  const states = await statesWhileAsked(host, A.ip);
  expect(states).toContain('INCOMPLETE');
  expect(['INCOMPLETE', 'FAILED']).toContain(states.at(-1));
  expect(await waysOf(scene)).toEqual([]);
  expect((await ping(host, A.ip)).output).toContain('Destination Host Unreachable');
  const { status, stderr } = await host.run(`curl -sv -m 5 http://${A.ip}:6080/`);
  expect(status).toBe(CURL_NO_CONNECTION);
  expect(stderr).toContain('No route to host');
});

test('bridge-nf-call-iptables and FORWARD DROP: guest <-> guest is dead, host <-> guest works', async ({
  skip,
}) => {
  const scene = await bridgeScene(atTestEnd());
  const { host } = scene;
  skip(!existsSync('/proc/sys/net/bridge'), 'the kernel module br_netfilter is not loaded');
  await host.set('bridge/bridge-nf-call-iptables', 1);
  expect(await waysOf(scene)).toEqual(EVERY_WAY);

  await host.must('iptables -P FORWARD DROP');
  expect(await waysOf(scene)).toEqual([...HOST_TO_GUEST, ...GUEST_TO_HOST]);

  await host.set('bridge/bridge-nf-call-iptables', 0);
  expect(await waysOf(scene)).toEqual(EVERY_WAY);
});

test('an nftables drop of the bridge family: nothing gets through', async () => {
  const scene = await bridgeScene(atTestEnd());
  const { host } = scene;
  expect(await waysOf(scene)).toEqual(EVERY_WAY);

  await host.must(
    'nft add table bridge hostile',
    "nft 'add chain bridge hostile everything { type filter hook prerouting priority 0; policy drop; }'",
  );
  expect(await waysOf(scene)).toEqual([]);
  await forgetNeighbours(scene);
  expect((await ping(host, A.ip)).output).toContain('Destination Host Unreachable');
});

test('VLAN filtering: works with a PVID; without one nothing gets through', async ({ skip }) => {
  const scene = await vlanScene();
  if (scene === undefined) return skip('this kernel is built without CONFIG_BRIDGE_VLAN_FILTERING');
  expect(await waysOf(scene)).toEqual(EVERY_WAY);

  await scene.host.must(`ip link del ${BRIDGE}`);
  await plugIn(scene, { vlanFiltering: true, defaultPvid: 0 });
  expect(await waysOf(scene)).toEqual([]);
  expect((await ping(scene.host, A.ip)).output).toContain('Destination Host Unreachable');
});
