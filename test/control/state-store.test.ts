import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open as openFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { JOURNAL_LINES, StateStore, type StoredVm } from '../../src/control/state-store.ts';

// Disks that synchronise are slow where others use them, too.
vi.setConfig({ testTimeout: 60_000 });

let directory: string;
const stores: StateStore[] = [];

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'state-')), 'below');
});

afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  rmSync(join(directory, '..'), { recursive: true });
});

async function open(): Promise<StateStore> {
  const store = await StateStore.open(directory);
  stores.push(store);
  return store;
}

async function reopen(): Promise<StateStore> {
  for (const store of stores.splice(0)) await store.close();
  return open();
}

const path = (name: string) => join(directory, name);

function vm(generation = 0): StoredVm {
  return { request: { tap: 'fc-a', forwards: ['1:2'] }, added: ['3:4'], generation, ownsTap: true };
}

test('nothing there -> no VMs; the directory is made, for its owner alone', async () => {
  expect((await open()).vms.size).toBe(0);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  for (const name of ['lock', 'state.json', 'journal']) expect(statSync(path(name)).mode & 0o777).toBe(0o600);
});

test('VMs kept and forgotten: opened again -> what was kept last', async () => {
  const store = await open();
  await store.put('a', vm());
  await store.put('b', vm());
  await store.put('a', vm(1));
  await store.delete('b');
  const again = await reopen();
  expect([...again.vms]).toEqual([['a', vm(1)]]);
  // And once more, from the state alone
  expect([...(await reopen()).vms]).toEqual([['a', vm(1)]]);
});

test('what was chosen for VMs, theirs or not -> there again, together; chosen no more -> not', async () => {
  const chosen = (n: number) => ({ loopback: `127.64.0.${n}`, forwards: [] });
  const store = await open();
  await store.put('a', { ...vm(), allocation: chosen(1) });
  await store.choose('b', chosen(2));
  await store.choose('c', chosen(3));
  await store.choose('c', undefined);
  const all = new Map(Object.entries({ a: chosen(1), b: chosen(2) }));
  expect(store.allocations()).toEqual(all);
  expect((await reopen()).allocations()).toEqual(all);
  // And once more, from the state alone
  const last = await reopen();
  expect(last.allocations()).toEqual(all);
  expect([...last.vms.keys()]).toEqual(['a']);
});

test('many changes at once -> all durable when each says so', async () => {
  const store = await open();
  await Promise.all(Array.from({ length: 300 }, (_, i) => store.put(`vm${i}`, vm(i))));
  expect(readFileSync(path('journal'), 'utf8').split('\n')).toHaveLength(301);
  expect((await reopen()).vms.size).toBe(300);
});

test('a journal that has grown long -> becomes part of the state', async () => {
  const store = await open();
  await Promise.all(Array.from({ length: JOURNAL_LINES + 5 }, (_, i) => store.put('a', vm(i))));
  expect(readFileSync(path('journal'), 'utf8').split('\n').length).toBeLessThan(JOURNAL_LINES);
  expect((await reopen()).vms.get('a')).toEqual(vm(JOURNAL_LINES + 4));
});

test.each(['{"put":"c","vm":{"requ', '{"delete":"a"}', 'x'])(
  'last line cut (%s) -> left out, the others are there',
  async (cut) => {
    const store = await open();
    await store.put('a', vm());
    await store.close();
    stores.splice(0);
    appendFileSync(path('journal'), cut);
    const again = await open();
    expect([...again.vms.keys()]).toEqual(['a']);
    // The cut line is gone for good
    await again.put('b', vm());
    expect([...(await reopen()).vms.keys()]).toEqual(['a', 'b']);
  },
);

test.each([
  ['state.json', '{"version":1,'],
  ['state.json', '{"version":7,"vms":{}}'],
  ['journal', 'not JSON\n'],
])('%s is damaged (%s) -> STATE_UNREADABLE that names it, and nothing is changed', async (name, content) => {
  await (await open()).close();
  stores.splice(0);
  writeFileSync(path(name), content);
  await expect(StateStore.open(directory)).rejects.toMatchObject({
    code: 'STATE_UNREADABLE',
    message: expect.stringContaining(path(name)),
  });
  expect(readFileSync(path(name), 'utf8')).toBe(content);
});

test('disk fails once -> STATE_UNWRITABLE, the VM is what it was; a next change is kept, and the state whole', async () => {
  const store = await open();
  await store.put('a', vm());
  const handle = await openFile(path('state.json'), 'r');
  const datasync = vi.spyOn(Object.getPrototypeOf(handle), 'datasync').mockImplementationOnce(async () => {
    appendFileSync(path('journal'), '{"put":"torn');
    throw new Error('ENOSPC');
  });
  await handle.close();
  const [failing, next] = [store.put('a', vm(1)), store.put('c', vm())];
  await expect(failing).rejects.toMatchObject({ code: 'STATE_UNWRITABLE' });
  await next;
  datasync.mockRestore();
  expect([...(await reopen()).vms]).toEqual([
    ['a', vm()],
    ['c', vm()],
  ]);
});

test('second store in the same directory -> STATE_IN_USE; once the first is closed -> opens', async () => {
  const first = await open();
  await expect(StateStore.open(directory)).rejects.toMatchObject({ code: 'STATE_IN_USE' });
  await first.close();
  stores.splice(0);
  await expect(open()).resolves.toBeDefined();
});
