import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createSwitch } from 'tapswitch';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { spawnIn } from '../../src/lab/process.ts';
import { DIST } from '../lib/engine-command.ts';
import { addressOf, openDescriptors, ping, Stage } from '../lib/engine-stage.ts';

let stage: Stage;
const children: ChildProcess[] = [];

beforeEach(async () => {
  stage = new Stage();
  await stage.guest(11);
  await stage.guest(12);
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  await stage.end();
});

/** The error of a promise that must reject: one line, with a next step. */
async function refusal(promise: Promise<unknown>) {
  const error = await promise.then(
    () => expect.unreachable('was not refused'),
    (thrown: { code: string; message: string; nextStep: string }) => thrown,
  );
  expect(error.message).not.toContain('\n');
  expect(error.nextStep).toMatch(/^[A-Z].*\.$/);
  return { code: error.code, message: error.message };
}

const ruleset = () => stage.run('nft', 'list', 'ruleset');

test.each([
  ['TAP that is not there', { tap: 'nothere' }, 'TAP_MISSING', 'nothere'],
  ['loopback', { tap: 'lo' }, 'TAP_NOT_ETHERNET', 'lo is not an Ethernet interface'],
  ['bridge', { tap: 'br0' }, 'TAP_NOT_ETHERNET', 'br0 is a bridge'],
  ['TAP of a bridge', { tap: 'vm12' }, 'TAP_ENSLAVED', 'vm12 belongs to br0'],
  ['TAP of another VM', { tap: 'vm11' }, 'TAP_IN_USE', 'vm11'],
  ['the host port', { tap: 'HOST_PORT' }, 'TAP_IN_USE', 'host port'],
  ['address of another VM', { tap: 'free', ip: addressOf(11) }, 'ADDRESS_IN_USE', addressOf(11)],
  ['MAC of another VM', { tap: 'free', mac: '06:00:00:00:00:0b' }, 'MAC_IN_USE', '06:00:00:00:00:0b'],
  ['address outside the subnet', { tap: 'free', ip: '10.2.0.1' }, 'ADDRESS_OUTSIDE_SUBNET', '10.2.0.1'],
  ['unknown network', { tap: 'free', network: 'other' }, 'NETWORK_UNKNOWN', 'other'],
  ['namespace that is not there', { tap: 'x', netns: '/run/netns/nothere' }, 'NAMESPACE_MISSING', 'nothere'],
  ['namespace that is a file', { tap: 'x', netns: '/etc/hostname' }, 'NAMESPACE_MISSING', '/etc/hostname'],
  ['key that does not exist', { tap: 'x', ipp: '10.1.0.3' }, 'CONFIG_INVALID', 'ipp'],
])(
  '%s: attach -> refused by name, nothing left behind, the others undisturbed',
  async (_, input, code, word) => {
    withRoutes(stage.host.path, (routes) => {
      routes.createBridge('br0');
      routes.changeLink(indexOf(routes, 'vm12'), { master: indexOf(routes, 'br0') });
    });
    const sw = await stage.start();
    await sw.attach('a', {
      tap: 'vm11',
      netns: stage.host.path,
      ip: addressOf(11),
      mac: '06:00:00:00:00:0b',
    });
    const [rules, descriptors] = [await ruleset(), openDescriptors()];
    const tap = input.tap === 'HOST_PORT' ? stage.hostPort : input.tap;
    const found = await refusal(sw.attach('b', { netns: stage.host.path, ...input, tap }));
    expect(found).toEqual({ code, message: expect.stringContaining(word) });
    expect(Object.keys(sw.stats().vms)).toEqual(['a']);
    expect(openDescriptors()).toEqual(descriptors);
    expect(await ruleset()).toBe(rules);
  },
);

test('id of a VM that is there: attach -> VM_EXISTS', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  const { code } = await refusal(sw.attach('a', stage.vm(12)));
  expect(code).toBe('VM_EXISTS');
  expect((await ping(stage.host.path, addressOf(11), 1)).received).toBe(1);
});

test('refused VM: attach again once the cause is gone -> works', async () => {
  const sw = await stage.start();
  await refusal(sw.attach('c', stage.vm(13)));
  await stage.guest(13);
  await sw.attach('c', stage.vm(13));
  expect((await ping(stage.host.path, addressOf(13))).received).toBe(3);
});

test('host port held by another process: createSwitch -> TAP_HELD naming its pid, nothing left', async () => {
  const script = `
    import { openPersistentTap } from '${DIST}sys/tun.js';
    openPersistentTap('${stage.hostPort}');
    process.stdout.write('held');
    setInterval(() => {}, 1e6);
  `;
  const holder = spawnIn(stage.host.path, [process.execPath, '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(holder);
  await once(holder.stdout as NodeJS.ReadableStream, 'data');
  const descriptors = openDescriptors();
  const { code, message } = await refusal(stage.start());
  expect(code).toBe('TAP_HELD');
  expect(message).toBe(`${stage.hostPort} is held by process ${holder.pid} (node)`);
  expect(openDescriptors()).toEqual(descriptors);
});

test('host port that is a veth: createSwitch -> refused, nothing left', async () => {
  const descriptors = openDescriptors();
  const networks = {
    default: stage.network({ hostPort: { name: 'vm11', address: addressOf(9), netns: stage.host.path } }),
  };
  const { code, message } = await refusal(stage.start({ networks }));
  expect(code).toBe('TAP_IN_USE');
  expect(message).toContain('vm11');
  expect(openDescriptors()).toEqual(descriptors);
});

test('namespace of the host port missing: createSwitch -> NAMESPACE_MISSING', async () => {
  const hostPort = { address: addressOf(9), netns: '/run/netns/nothere' };
  const { code } = await refusal(createSwitch({ networks: { default: stage.network({ hostPort }) } }));
  expect(code).toBe('NAMESPACE_MISSING');
});

test('one of two VMs of the configuration missing: createSwitch -> refused, nothing left', async () => {
  const descriptors = openDescriptors();
  const { code } = await refusal(stage.start({ vms: { a: stage.vm(11), b: stage.vm(13) } }));
  expect(code).toBe('TAP_MISSING');
  expect(openDescriptors()).toEqual(descriptors);
});

test('nftables table of our name owned by somebody else: attach -> refused; guard off -> attached', async () => {
  const nft = spawn('nsenter', [`--net=${stage.host.path}`, 'nft', '-i'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  children.push(nft);
  nft.stdin.write('add table netdev tapswitch { flags owner; }\n');
  await expect.poll(ruleset).toContain('tapswitch');
  const sw = await stage.start();
  const error = await refusal(sw.attach('a', stage.vm(11)));
  expect(error.code).toBe('GUARD_UNAVAILABLE');
  await sw.close();
  const open = await stage.start({ guard: 'off' });
  await open.attach('a', stage.vm(11));
  expect(open.stats().guard).toBe('off');
  expect((await ping(stage.host.path, addressOf(11))).received).toBe(3);
});
