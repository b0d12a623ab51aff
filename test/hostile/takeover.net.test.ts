/** A TAP that still belongs to the bridge the switch replaces. */
import { expect, test } from 'vitest';
import { createLabBridge } from '../../src/lab/bridge.ts';
import { A } from '../lib/frames.ts';
import { atTestEnd } from '../lib/net-cleanup.ts';
import { createPlace } from '../lib/net-place.ts';
import { answers, curl } from '../lib/net-probe.ts';
import { network, port, startSwitch, tapGuest, tapOf } from '../lib/net-switch.ts';

const ENSLAVED = `ip -br link show master br0`;

test('a TAP on a bridge: refused with TAP_ENSLAVED and left there; with takeover traffic flows and the bridge has lost the port', async () => {
  const cleanup = atTestEnd();
  const host = await createPlace(cleanup);
  const { guest } = await tapGuest(cleanup, host, A, { services: true });
  const tap = tapOf(A);
  createLabBridge(host.path, 'br0', [tap], '192.168.255.1/16');
  expect(await answers(host, A.ip)).toBe(true);
  await host.must('ip address del 192.168.255.1/16 dev br0', 'ip address add 10.88.0.1/24 dev br0');

  const running = await startSwitch(cleanup, { networks: { default: network(host, 'isolated') } });
  const vm = { tap, netns: host.path, ...A };
  await expect(running.attach(tap, vm)).rejects.toMatchObject({
    code: 'TAP_ENSLAVED',
    message: expect.stringContaining('br0'),
  });
  expect(await host.must(ENSLAVED)).toContain(tap);
  expect(await host.must('nft list ruleset')).toBe('');
  expect(running.stats().vms).toEqual({});

  await running.attach(tap, { ...vm, takeover: true });
  expect(await host.must(ENSLAVED)).toBe('');
  expect(await answers(host, A.ip)).toBe(true);
  expect((await curl(host, `http://${A.ip}:6080/`)).body).toContain(A.ip);
  expect((await guest.run(`ping -c 1 -W 1 192.168.0.1`)).status).toBe(0);
  // But for the multicasts of a guest that comes up.
  const reasons = Object.keys(port(running, tap).drops);
  expect(reasons.filter((reason) => reason !== 'isolated')).toEqual([]);
});

test('a TAP put on a bridge while it is attached: the bridge gets none of its frames, the switch goes on', async () => {
  const cleanup = atTestEnd();
  const host = await createPlace(cleanup);
  const { guest } = await tapGuest(cleanup, host, A);
  const tap = tapOf(A);
  const running = await startSwitch(cleanup, { networks: { default: network(host, 'isolated') } });
  await running.attach(tap, { tap, netns: host.path, ...A });
  createLabBridge(host.path, 'br0', [tap], '192.168.7.7/16');
  expect(await answers(host, A.ip)).toBe(true);
  expect((await guest.run('ping -c 1 -W 1 192.168.7.7')).status).not.toBe(0);
});
