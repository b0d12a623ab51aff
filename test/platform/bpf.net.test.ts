import { execFileSync } from 'node:child_process';
import { readdirSync, unlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  attachTcxIngress,
  detachLink,
  isBpffs,
  loadVerdictProgram,
  openPinned,
  pin,
  TCX,
  tcxLinkInterface,
} from '../../src/sys/bpf.ts';
import { close } from '../../src/sys/libc.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import {
  createScene,
  framesSeen,
  HOST_ADDRESSES,
  indexOf,
  mountPrivateBpffs,
  reachable,
  type Scene,
} from '../port/guard-fixtures.ts';

const NAME = 'fc-vm-1';
const PIN = '/sys/fs/bpf/link';
// In a user namespace bpf(2) gives EPERM
const available = mountPrivateBpffs();

let scene: Scene;
let program: number;
const open = new Set<number>();

beforeEach(() => {
  scene = createScene(NAME);
  if (available) program = loadVerdictProgram(TCX.drop);
});

afterEach(() => {
  for (const fd of open) close(fd);
  open.clear();
  if (available) close(program);
  for (const name of available ? readdirSync('/sys/fs/bpf') : []) {
    if (name === 'link') unlinkSync(PIN);
  }
  scene.close();
});

const index = () => indexOf(scene.route, NAME);
const ping = () => reachable(scene, ['10.77.0.1']);

function attach(verdictProgram = program): number {
  const link = inNamespace(scene.host.path, () => attachTcxIngress(verdictProgram, index()));
  open.add(link);
  return link;
}

function closeLink(link: number): void {
  open.delete(link);
  close(link);
}

/** The kernel lets go of a link on a thread of its own. */
async function answersAgain(): Promise<boolean> {
  for (let i = 0; i < 50; i++) {
    if (ping().length > 0) return true;
    await sleep(20);
  }
  return false;
}

test.runIf(available)('TCX drop at the ingress: packet sockets see the frames, the host does not', () => {
  expect(reachable(scene)).toEqual(HOST_ADDRESSES);
  const link = attach();
  expect(tcxLinkInterface(link)).toBe(index());
  let answered: string[] = [];
  const seen = framesSeen(scene, NAME, () => {
    answered = reachable(scene);
  });
  expect(answered).toEqual([]);
  expect(seen).toBeGreaterThan(0);
});

test.runIf(available)('TCX next: everything passes', () => {
  const next = loadVerdictProgram(TCX.next);
  attach(next);
  close(next);
  expect(ping()).toHaveLength(1);
});

test.runIf(available)('a link`s last descriptor closed: the host answers again', async () => {
  const link = attach();
  expect(ping()).toEqual([]);
  closeLink(link);
  expect(await answersAgain()).toBe(true);
});

test.runIf(available)('a pinned link: outlives its descriptor, ends with its pin', async () => {
  const link = attach();
  pin(link, PIN);
  closeLink(link);
  await sleep(100);
  expect(ping()).toEqual([]);
  expect(() => pin(program, PIN)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
  unlinkSync(PIN);
  expect(await answersAgain()).toBe(true);
  expect(() => openPinned(PIN)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
});

test.runIf(available)('detachLink: the host answers at once, though descriptor and pin remain', () => {
  const link = attach();
  pin(link, PIN);
  detachLink(link);
  expect(ping()).toHaveLength(1);
  expect(tcxLinkInterface(link)).toBe(0);
  detachLink(link);
});

test.runIf(available)('the interface is deleted: its pinned link stays and is attached to nothing', () => {
  pin(attach(), PIN);
  scene.route.deleteLink(index());
  const link = openPinned(PIN);
  open.add(link);
  expect(tcxLinkInterface(link)).toBe(0);
});

test.runIf(available)('a pin`s name with a dot: refused by bpffs', () => {
  const link = attach();
  expect(() => pin(link, `${PIN}.1`)).toThrow(expect.objectContaining({ code: 'EPERM' }));
});

test.runIf(available)('no such interface: ENODEV', () => {
  expect(() => inNamespace(scene.host.path, () => attachTcxIngress(program, 4711))).toThrow(
    expect.objectContaining({ code: 'ENODEV' }),
  );
});

test('isBpffs: only where one is mounted', () => {
  expect(isBpffs('/proc')).toBe(false);
  expect(isBpffs('/nothere')).toBe(false);
  if (available) expect(isBpffs('/sys/fs/bpf')).toBe(true);
});

test('in a user namespace: no program can be loaded', () => {
  const script = `
    const { runnerImport } = await import('vite');
    const { module: bpf } = await runnerImport('./src/sys/bpf.ts', { configFile: false, logLevel: 'silent' });
    try { bpf.loadVerdictProgram(bpf.TCX.drop); } catch (error) { console.log(error.code); }`;
  const words = ['-Urn', process.execPath, '--input-type=module', '--eval', script];
  expect(execFileSync('unshare', words, { encoding: 'utf8' })).toBe('EPERM\n');
});
