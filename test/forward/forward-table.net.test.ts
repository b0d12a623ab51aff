import { createServer } from 'node:net';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Allocations } from '../../src/config/allocations.ts';
import { derivedPorts } from '../../src/forward/derived-port.ts';
import { ForwardTable } from '../../src/forward/forward-table.ts';
import type { ForwardState, ForwardWorkers } from '../../src/forward/vm-forwards.ts';
import type { ForwardBinding } from '../../src/gateway/forward-binding.ts';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { createNamespace, enterNamespace } from '../../src/sys/netns.ts';
import { openDescriptors } from '../lib/engine-stage.ts';
import { forwardsOf, listens, refusalOf } from './fixtures.ts';

/** Remembers what it is told, and may refuse. */
class FakeWorkers implements ForwardWorkers {
  readonly told = new Map<number, ForwardBinding>();
  readonly ended: { guestPort: number; reset: boolean }[] = [];
  refuses = false;

  async forward(binding: ForwardBinding): Promise<void> {
    if (this.refuses) throw new Error('stuck');
    if (this.told.has(binding.number)) throw new Error('a number twice');
    this.told.set(binding.number, binding);
  }

  async unforward({ number, guestPort }: ForwardBinding, reset: boolean): Promise<void> {
    this.told.delete(number);
    this.ended.push({ guestPort, reset });
  }
}

const undo: (() => void)[] = [];
let workers: FakeWorkers;
let kept: Allocations;
let table: ForwardTable;
let log: { msg: string; [key: string]: unknown }[];
let before: string[];

beforeEach(() => {
  const namespace = createNamespace();
  undo.push(() => namespace.close());
  withRoutes(namespace.path, (routes) => routes.changeLink(indexOf(routes, 'lo'), { up: true }));
  undo.push(enterNamespace(namespace.path));
  workers = new FakeWorkers();
  log = [];
  kept = new Allocations();
  table = new ForwardTable(
    workers,
    kept,
    pino({ base: null }, { write: (line) => void log.push(JSON.parse(line)) }),
  );
  before = openDescriptors();
});

afterEach(async () => {
  for (const id of ['vm-1', 'vm-2']) await table.close(id);
  expect(openDescriptors()).toEqual(before);
  expect(workers.told.size).toBe(0);
  for (const step of undo.splice(0).reverse()) step();
});

const openVm = (id: string, ...texts: string[]) =>
  table.open(id, Number(id.slice(3)), texts.flatMap(forwardsOf));
const hosts = (id: string) => table.states(id).map(({ host }: ForwardState) => host);
const identity = (id: string) => table.stateOf(id).loopback as string;
const warnings = (word: string) => log.filter(({ msg }) => msg.includes(word));

describe('open', () => {
  test('VM with a forward: -> served there and at its identity under its own number', async () => {
    await openVm('vm-1', '16080:6080');
    expect(identity('vm-1')).toMatch(/^127\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./);
    expect(table.states('vm-1')).toEqual([
      { protocol: 'tcp', host: '127.0.0.1:16080', guestPort: 6080, exposed: false },
      { protocol: 'tcp', host: `${identity('vm-1')}:6080`, guestPort: 6080, exposed: false, identity: true },
    ]);
    for (const host of hosts('vm-1')) expect(await listens(host)).toBe(true);
    const [first, second] = [...workers.told.values()];
    expect(first).toEqual({
      number: expect.any(Number),
      fd: expect.any(Number),
      protocol: 'tcp',
      port: 1,
      guestPort: 6080,
      waitMs: 30_000,
    });
    expect(second).toMatchObject({ port: 1, guestPort: 6080 });
  });

  test('two forwards to one port, another by path: -> one port of the identity', async () => {
    const path = `/tmp/tapswitch-${process.pid}.sock`;
    await openVm('vm-1', '16080:6080', '17080:6080', `unix:${path}:7000`);
    expect(hosts('vm-1')).toEqual([
      '127.0.0.1:16080',
      '127.0.0.1:17080',
      `unix:${path}`,
      `${identity('vm-1')}:6080`,
    ]);
  });

  test('exposed forward: -> a warning that names it', async () => {
    await openVm('vm-1', '0.0.0.0:16080:6080');
    expect(warnings('exposed')).toMatchObject([
      { level: 40, vm: 'vm-1', host: '0.0.0.0:16080', guestPort: 6080 },
    ]);
    expect(table.states('vm-1')[0]?.exposed).toBe(true);
  });

  test('identity`s port is somebody`s on all addresses: -> a warning, the forward served', async () => {
    const server = createServer().listen(6080, '0.0.0.0');
    await new Promise((resolve) => server.once('listening', resolve));
    await openVm('vm-1', '16080:6080');
    expect(hosts('vm-1')).toEqual(['127.0.0.1:16080']);
    expect(warnings('loopback identity')).toMatchObject([{ level: 40, vm: 'vm-1' }]);
    server.close();
  });

  test('forward that covers the identity`s port: -> no second socket, no warning of it', async () => {
    await openVm('vm-1', '0.0.0.0:6080:6080');
    expect(hosts('vm-1')).toEqual(['0.0.0.0:6080']);
    expect(warnings('identity')).toEqual([]);
    expect(await listens(`${identity('vm-1')}:6080`)).toBe(true);
  });

  test('second forward cannot be had: -> refused, the first is closed again', async () => {
    const said = await refusalOf(() => openVm('vm-1', '16080:6080', '192.0.2.1:80:80'));
    expect(said).toMatch(/^FORWARD_UNAVAILABLE/);
    expect(openDescriptors()).toEqual(before);
    expect(await refusalOf(() => table.states('vm-1'))).toMatch(/^VM_UNKNOWN/);
  });

  test('datapath that fails: -> everything closed again', async () => {
    workers.refuses = true;
    await expect(openVm('vm-1', '16080:6080')).rejects.toThrow('stuck');
    expect(openDescriptors()).toEqual(before);
  });

  test('forward at every address, with another VM`s identity in the way: -> the identity gives way', async () => {
    await openVm('vm-1', '16080:6080', '16081:6081');
    await openVm('vm-2', '0.0.0.0:6080:80');
    expect(hosts('vm-1')).toEqual(['127.0.0.1:16080', '127.0.0.1:16081', `${identity('vm-1')}:6081`]);
    expect(hosts('vm-2')).toContain('0.0.0.0:6080');
    expect(warnings('gives way')).toMatchObject([{ vm: 'vm-1' }]);
    expect(workers.ended).toEqual([{ guestPort: 6080, reset: false }]);
  });
});

describe('at run time', () => {
  beforeEach(() => openVm('vm-1', '16080:6080'));

  test('add: -> served beside the others, which are not told of it', async () => {
    const [first] = [...workers.told.keys()];
    expect(await table.add('vm-1', { listen: '0:7000-7000', wait: 2 })).toMatchObject([
      { protocol: 'tcp', guestPort: 7000, host: expect.stringMatching(/^127\.0\.0\.1:2\d{4}$/) },
    ]);
    expect([...workers.told.keys()][0]).toBe(first);
    expect([...workers.told.values()].map(({ waitMs }) => waitMs)).toEqual([30_000, 30_000, 2000, 2000]);
    expect(workers.ended).toEqual([]);
  });

  test.each([
    ['where another VM has one', '16080:1', 'FORWARD_IN_USE'],
    ['overlapping another VM`s', '0.0.0.0:16080:1', 'FORWARD_IN_USE'],
    ['that is no forward', 'nonsense', 'CONFIG_INVALID'],
    ['of a wrong type', 7 as unknown as string, 'CONFIG_INVALID'],
    ['with too many ports', '20000-21000:2000-3000', 'CONFIG_INVALID'],
    ['half of which is taken', '16079-16080:7000-7001', 'FORWARD_IN_USE'],
  ])('add one %s: -> refused, nothing changed', async (_, input, code) => {
    await openVm('vm-2', '17000-17099:100-199');
    const [states, descriptors] = [table.states('vm-2'), openDescriptors()];
    expect(await refusalOf(() => table.add('vm-2', input))).toContain(code);
    expect(table.states('vm-2')).toEqual(states);
    expect(openDescriptors()).toEqual(descriptors);
  });

  test('remove: -> it and its port of the identity are closed, the rest is not touched', async () => {
    await table.add('vm-1', '17000:7000');
    await table.remove('vm-1', '16080:6080', true);
    expect(hosts('vm-1')).toEqual(['127.0.0.1:17000', `${identity('vm-1')}:7000`]);
    expect(workers.ended).toEqual([
      { guestPort: 6080, reset: true },
      { guestPort: 6080, reset: true },
    ]);
    expect(await listens('127.0.0.1:16080')).toBe(false);
  });

  test('remove one of two to a port: -> the identity`s stays', async () => {
    await table.add('vm-1', '17080:6080');
    await table.remove('vm-1', '16080:6080', false);
    expect(hosts('vm-1').sort()).toEqual([`${identity('vm-1')}:6080`, '127.0.0.1:17080'].sort());
    expect(workers.ended).toEqual([{ guestPort: 6080, reset: false }]);
  });

  test('remove what covered the identity: -> the identity has its port itself', async () => {
    await openVm('vm-2', '0.0.0.0:80:80', '18080:80');
    await table.remove('vm-2', '0.0.0.0:80:80', false);
    expect(hosts('vm-2')).toEqual(['127.0.0.1:18080', `${identity('vm-2')}:80`]);
  });

  test('remove with a chosen port: -> by 0, or by the port', async () => {
    for (const spec of [() => '0:7000', (chosen: string) => `${chosen}:7000`]) {
      const [added] = await table.add('vm-1', '0:7000');
      await table.remove('vm-1', spec(added?.host as string), false);
      expect(hosts('vm-1')).toEqual(['127.0.0.1:16080', `${identity('vm-1')}:6080`]);
    }
  });

  test.each([
    ['that is not there', '16081:6080'],
    ['that leads elsewhere', '16080:6081'],
    ['of the identity', 'IDENTITY:6080:6080'],
    ['half of which is not there', '16080-16081:6080-6081'],
  ])('remove one %s: -> FORWARD_UNKNOWN, nothing changed', async (_, spec) => {
    const states = table.states('vm-1');
    const text = spec.replace('IDENTITY', identity('vm-1'));
    expect(await refusalOf(() => table.remove('vm-1', text, true))).toMatch(/^FORWARD_UNKNOWN/);
    expect(table.states('vm-1')).toEqual(states);
    expect(workers.ended).toEqual([]);
  });
});

describe('what was chosen before', () => {
  const chosen = {
    loopback: '127.70.1.2',
    forwards: ['127.0.0.1:26000:6080/tcp', '127.0.0.1:26001:6080/tcp'],
  };

  test('VM it is kept for: -> given again, as long as it is free', async () => {
    kept.keep('vm-1', chosen);
    await openVm('vm-1', '0:6080', '0:6080', '0:8080');
    const [first, second, third] = hosts('vm-1');
    expect([first, second]).toEqual(['127.0.0.1:26000', '127.0.0.1:26001']);
    expect(third).toBe(`127.0.0.1:${derivedPorts('vm-1', 8080, 'tcp')[0]}`);
    expect(table.chosen('vm-1')).toEqual({
      loopback: '127.70.1.2',
      forwards: [...chosen.forwards, `${third}:8080/tcp`],
    });
    kept.drop('vm-1');
    kept.keep('vm-2', chosen);
    await openVm('vm-2', '0:6080');
    expect(hosts('vm-2')[0]).toBe(`127.0.0.1:${derivedPorts('vm-2', 6080, 'tcp')[0]}`);
    expect(identity('vm-2')).not.toBe('127.70.1.2');
  });

  test('another VM: -> given none of it', async () => {
    await openVm('vm-1', '0:6080');
    const { loopback, forwards } = table.chosen('vm-1');
    await table.close('vm-1');
    kept.keep('vm-2', { loopback, forwards });
    await openVm('vm-1', '0:6080');
    expect(hosts('vm-1')[0]).toBe(`127.0.0.1:${derivedPorts('vm-1', 6080, 'tcp')[1]}`);
    expect(identity('vm-1')).not.toBe(loopback);
  });

  test('forwards with a port of their own, and paths: -> nothing of them was chosen', async () => {
    await openVm('vm-1', '16080:6080');
    expect(table.chosen('vm-1').forwards).toEqual([]);
  });
});
