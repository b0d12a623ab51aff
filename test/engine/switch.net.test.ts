import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { defaultWorkers } from '../../src/config/resolve.ts';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { addressOf, GATEWAY, HOST_ADDRESS, openDescriptors, ping, Stage } from '../lib/engine-stage.ts';

let stage: Stage;

beforeEach(() => {
  stage = new Stage();
});

afterEach(() => stage.end());

const guarded = async () => (await stage.run('nft', 'list', 'ruleset')).match(/chain \w+/g) ?? [];

test('two guests attached, shared: traffic -> host, guests and gateway reach each other, and stats tell', async () => {
  const [one, two] = [await stage.guest(11), await stage.guest(12)];
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  await sw.attach('b', stage.vm(12));
  expect(await ping(one.namespace, addressOf(12))).toMatchObject({ received: 3 });
  expect(await ping(two.namespace, GATEWAY)).toMatchObject({ received: 3 });
  expect(await ping(stage.host.path, addressOf(11))).toMatchObject({ received: 3 });
  const { guard, vms, hostPorts, workers } = sw.stats();
  expect(guard).toBe('nftables');
  expect(vms.a).toMatchObject({ interface: 'vm11', network: 'default', plugged: true, carrier: true });
  expect(vms.a).toMatchObject({
    ip: addressOf(11),
    mac: expect.stringMatching(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/),
  });
  expect(vms.a?.rxFrames).toBeGreaterThanOrEqual(6);
  expect(vms.a?.txBytes).toBeGreaterThan(6 * 84);
  expect(hostPorts.default).toMatchObject({ interface: stage.hostPort, ip: HOST_ADDRESS, carrier: true });
  expect(workers.length).toBe(defaultWorkers());
  for (const worker of workers) expect(worker).toEqual({ heartbeat: expect.any(Number), replaced: 0 });
});

test('a worker with nothing to do: a second passes -> its heartbeat advances', async () => {
  const sw = await stage.start();
  const before = sw.stats().workers[0]?.heartbeat ?? 0;
  await vi.waitFor(() => expect(sw.stats().workers[0]?.heartbeat).toBeGreaterThan(before), { timeout: 1500 });
});

test('attached VM: detach -> guard lifted, TAP left alone, id and addresses free again', async () => {
  const guest = await stage.guest(11);
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  expect(await guarded()).toEqual(['chain vm11']);
  await sw.detach('a');
  expect(await guarded()).toEqual([]);
  expect(sw.stats().vms).toEqual({});
  expect((await ping(guest.namespace, GATEWAY, 1)).received).toBe(0);
  await sw.attach('a', stage.vm(11));
  expect((await ping(guest.namespace, GATEWAY)).received).toBe(3);
  expect(sw.stats().vms.a?.rxFrames).toBeLessThan(20);
});

test('unknown id: detach -> VM_UNKNOWN; closed switch: any call -> SWITCH_CLOSED, close again -> nothing', async () => {
  const sw = await stage.start();
  await expect(sw.detach('nobody')).rejects.toMatchObject({ code: 'VM_UNKNOWN' });
  await sw.close();
  await sw.close();
  await expect(sw.attach('a', stage.vm(11))).rejects.toMatchObject({ code: 'SWITCH_CLOSED' });
  await expect(sw.detach('a')).rejects.toMatchObject({ code: 'SWITCH_CLOSED' });
  expect(() => sw.stats()).toThrow(expect.objectContaining({ code: 'SWITCH_CLOSED' }));
});

test('close: -> guard, TAP and host port stay, frames stop', async () => {
  const guest = await stage.guest(11);
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  await sw.close();
  expect(await guarded()).toEqual(['chain vm11']);
  expect(withRoutes(stage.host.path, (routes) => routes.linkByName(stage.hostPort))).toMatchObject({
    up: true,
  });
  expect((await ping(guest.namespace, GATEWAY, 1)).received).toBe(0);
});

test('attached TAP: its interface -> no ARP, no IPv6 address of its own, queue of 1000 at least', async () => {
  await stage.guest(11);
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  const [link] = JSON.parse(await stage.run('ip', '-j', '-d', 'link', 'show', 'vm11'));
  expect(link.flags).toContain('NOARP');
  expect(link.inet6_addr_gen_mode).toBe('none');
  expect(link.txqlen).toBeGreaterThanOrEqual(1000);
});

test('rounds of start, attach, traffic, detach, close: -> no descriptor more than before', async () => {
  const [one] = [await stage.guest(11), await stage.guest(12)];
  const round = async () => {
    const sw = await stage.start({ workers: 2 });
    await sw.attach('a', stage.vm(11));
    await sw.attach('b', stage.vm(12));
    expect((await ping(one.namespace, addressOf(12), 1)).received).toBe(1);
    await sw.detach('a');
    await sw.close();
  };
  await round();
  const before = openDescriptors();
  for (let i = 0; i < 4; i++) await round();
  expect(openDescriptors()).toEqual(before);
});

test('TAP on a bridge, takeover: attach -> released from it, and traffic flows', async () => {
  const guest = await stage.guest(11);
  withRoutes(stage.host.path, (routes) => {
    routes.createBridge('br0');
    routes.changeLink(indexOf(routes, 'vm11'), { master: indexOf(routes, 'br0') });
  });
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11, { takeover: true }));
  expect(withRoutes(stage.host.path, (routes) => routes.linkByName('vm11'))).toMatchObject({ master: 0 });
  expect((await ping(guest.namespace, GATEWAY)).received).toBe(3);
});

test('isolated network: guest to guest -> nothing, host to both -> answered', async () => {
  const [one] = [await stage.guest(11), await stage.guest(12)];
  const sw = await stage.start({ networks: { default: stage.network({ mode: 'isolated' }) } });
  await sw.attach('a', stage.vm(11));
  await sw.attach('b', stage.vm(12));
  expect((await ping(one.namespace, addressOf(12), 1)).received).toBe(0);
  for (const n of [11, 12]) expect((await ping(stage.host.path, addressOf(n), 1)).received).toBe(1);
});

test('VMs of the configuration: createSwitch -> attached when it resolves', async () => {
  const guest = await stage.guest(11);
  await stage.start({ vms: { a: stage.vm(11) } });
  expect((await runIn(guest.namespace, ['ping', '-c', '1', '-W', '1', GATEWAY])).status).toBe(0);
});
