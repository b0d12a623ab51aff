/** What the host port cannot do: win against the host's own routes, on which port forwards do not depend. */
import { expect, test } from 'vitest';
import { A, B } from '../lib/frames.ts';
import { atTestEnd } from '../lib/net-cleanup.ts';
import { createPlace } from '../lib/net-place.ts';
import { answers, curl } from '../lib/net-probe.ts';
import { GATEWAY_IP, network, port, startSwitch, tapOf, vethGuest } from '../lib/net-switch.ts';

test("a more specific route of the host shadows the subnet: the host port cannot reach the guest, the guest's gateway goes on", async () => {
  const cleanup = atTestEnd();
  const host = await createPlace(cleanup);
  const guest = await vethGuest(cleanup, host, A, { services: true });
  const running = await startSwitch(cleanup, { networks: { default: network(host, 'isolated') } });
  await running.attach(tapOf(A), { tap: tapOf(A), netns: host.path, ...A });
  const url = `http://${A.ip}:6080/`;
  expect(await answers(host, A.ip)).toBe(true);
  expect((await curl(host, url)).exit).toBe(0);

  await host.must(
    'ip link add shadow0 type veth peer name shadow1',
    'ip link set shadow0 up',
    'ip link set shadow1 up',
    'ip route add 192.168.0.0/24 dev shadow0',
  );
  expect(await host.must(`ip route get ${A.ip}`)).toContain('dev shadow0');
  const before = port(running, tapOf(A)).txFrames;
  expect(await answers(host, A.ip, 1)).toBe(false);
  expect((await curl(host, url, 1)).exit).not.toBe(0);
  expect(port(running, tapOf(A)).txFrames).toBe(before);
  expect(await answers(guest, GATEWAY_IP)).toBe(true);

  await host.must('ip route del 192.168.0.0/24 dev shadow0');
  expect(await answers(host, A.ip)).toBe(true);
});

test('a route of the host for half of the subnet: guests in the other half are reached', async () => {
  const cleanup = atTestEnd();
  const host = await createPlace(cleanup);
  const outside = { ...B, ip: '192.168.200.15' };
  await vethGuest(cleanup, host, outside);
  const running = await startSwitch(cleanup, { networks: { default: network(host, 'isolated') } });
  await running.attach(tapOf(outside), { tap: tapOf(outside), netns: host.path, ...outside });
  await host.must('ip link add shadow0 type veth peer name shadow1', 'ip link set shadow0 up');
  await host.must('ip link set shadow1 up', 'ip route add 192.168.0.0/17 dev shadow0');
  expect(await answers(host, outside.ip)).toBe(true);
});
