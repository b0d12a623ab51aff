import { afterEach, expect, test } from 'vitest';
import { createLabBridge } from '../../src/lab/bridge.ts';
import { httpGet } from '../../src/lab/http.ts';
import { type NetnsGuest, startNetnsGuest, withRoutes } from '../../src/lab/netns-guest.ts';
import { createNamespace, type Namespace } from '../../src/sys/netns.ts';

const undo: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
});

function host(): Namespace {
  const namespace = createNamespace();
  undo.push(() => namespace.close());
  return namespace;
}

async function guest(hostNamespace: string, number: number, services = false): Promise<NetnsGuest> {
  const started = await startNetnsGuest({
    name: `vm-${number}`,
    hostNamespace,
    interfaceName: `fc-vm-${number}`,
    mac: `06:00:0a:42:00:0${number}`,
    ip: `10.66.0.${number}`,
    prefix: 24,
    gateway: '10.66.0.1',
    services,
  });
  undo.push(() => started.stop());
  return started;
}

test('two guests on a lab bridge: they and the host reach each other', async () => {
  const { path } = host();
  const first = await guest(path, 2);
  const second = await guest(path, 3, true);
  createLabBridge(path, 'br0', ['fc-vm-2', 'fc-vm-3'], '10.66.0.1/24');
  await Promise.all([first.ready(), second.ready()]);
  expect(await first.run('ping -c 1 -W 2 10.66.0.3')).toMatchObject({ status: 0 });
  expect(await first.run('ping -c 1 -W 2 10.66.0.1')).toMatchObject({ status: 0 });
  const page = await httpGet(path, 'http://10.66.0.3:6080/');
  expect(page).toMatchObject({ status: 200, body: expect.stringContaining('<h1>vm-3</h1>') });
  const health = await httpGet(first.namespace, 'http://10.66.0.3:8080/health');
  expect(JSON.parse(health.body ?? '')).toEqual({ status: 'ok', name: 'vm-3', address: '10.66.0.3' });
});

test('a stopped guest: its link is gone at once, stopping again is fine, running is refused', async () => {
  const { path } = host();
  const stopped = await guest(path, 2, true);
  await stopped.ready();
  await stopped.stop();
  await stopped.stop();
  expect(withRoutes(path, (routes) => routes.linkByName('fc-vm-2'))).toBeUndefined();
  await expect(stopped.run('true')).rejects.toThrow('has ended');
});

test('a name that is taken: the guest is refused', async () => {
  const { path } = host();
  await guest(path, 2);
  await expect(guest(path, 2)).rejects.toMatchObject({ code: 'EEXIST' });
});

test('a command that takes too long: status 137', async () => {
  const { path } = host();
  const slow = await guest(path, 2);
  expect(await slow.run('exec sleep 10', 200)).toMatchObject({ status: 137 });
});
