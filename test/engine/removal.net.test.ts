import { afterEach, beforeEach, expect, test } from 'vitest';
import { guarded } from '../../src/port/guard.ts';
import { createNamespace } from '../../src/sys/netns.ts';
import { addressOf, openDescriptors, ping, Stage } from '../lib/engine-stage.ts';

let stage: Stage;

beforeEach(async () => {
  stage = new Stage();
  await stage.guest(11);
  await stage.guest(12);
});

afterEach(() => stage.end());

test('attach, detach and attach of one id at once: what succeeded is there, guarded and working', async () => {
  const sw = await stage.start();
  await sw.attach('b', stage.vm(12));
  const first = sw.attach('a', stage.vm(11));
  const removed = sw.detach('a');
  const again = removed.then(() => sw.attach('a', stage.vm(11)));
  await Promise.allSettled([first, removed]);
  await again;
  expect(sw.stats().vms.a?.plugged).toBe(true);
  expect(guarded('nftables', stage.host.path)).toContain('vm11');
  await sw.detach('a');
  expect(guarded('nftables', stage.host.path)).toEqual(['vm12']);
});

test('one TAP by two paths of its namespace: second attach -> TAP_IN_USE', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  const netns = stage.host.path.replace(`/proc/${process.pid}/`, '/proc/self/');
  await expect(sw.attach('b', { ...stage.vm(11), ip: addressOf(13), netns })).rejects.toMatchObject({
    code: 'TAP_IN_USE',
  });
});

test('VMs in namespaces that come and go: nothing of a namespace stays open', async () => {
  const sw = await stage.start({ fastPath: 'auto' });
  const round = async () => {
    const namespace = createNamespace();
    const inner = new Stage();
    const guest = await inner.guest(14);
    await sw.attach('j', { ...inner.vm(14), netns: inner.host.path });
    await sw.detach('j');
    await guest.stop();
    await inner.end();
    namespace.close();
  };
  await round();
  const before = openDescriptors();
  for (let i = 0; i < 3; i++) await round();
  expect(openDescriptors()).toEqual(before);
});

test('TAP that is renamed while attached: taken for gone, and back under its old name', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  await stage.run('ip', 'link', 'set', 'vm11', 'down');
  await stage.run('ip', 'link', 'set', 'vm11', 'name', 'other');
  await expect.poll(() => sw.stats().vms.a?.plugged).toBe(false);
  await stage.run('ip', 'link', 'set', 'other', 'name', 'vm11');
  await expect.poll(() => sw.stats().vms.a?.plugged).toBe(true);
  await expect.poll(async () => (await ping(stage.host.path, addressOf(11), 1)).received).toBe(1);
});

test('another name of an interface: attach -> refused, with its own name', async () => {
  const sw = await stage.start();
  await stage.run('ip', 'link', 'property', 'add', 'dev', 'vm11', 'altname', 'alias11');
  await expect(sw.attach('a', { ...stage.vm(11), tap: 'alias11' })).rejects.toThrow('vm11');
});

test('host port renamed and deleted: made again, and the datapath does not spin', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  await stage.run('ip', 'link', 'set', stage.hostPort, 'down');
  await stage.run('ip', 'link', 'set', stage.hostPort, 'name', 'foo');
  await stage.run('ip', 'link', 'del', 'foo');
  await expect.poll(async () => (await ping(stage.host.path, addressOf(11), 1)).received).toBe(1);
  const before = sw.stats().workers[0]?.heartbeat ?? 0;
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect((sw.stats().workers[0]?.heartbeat ?? 0) - before).toBeLessThan(200);
});
