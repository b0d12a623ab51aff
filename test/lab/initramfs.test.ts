import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GuestUnavailable } from '../../src/lab/guest.ts';
import { INIT } from '../../src/lab/guest-init.ts';
import { buildInitramfs, isStatic, readBusybox } from '../../src/lab/initramfs.ts';
import { dependenciesOf, loadModules } from '../../src/lab/kernel-modules.ts';
import { readCpio } from './read-cpio.ts';

const hasXz = spawnSync('xz', ['--version']).status === 0;

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tapswitch-test-'));
});

afterEach(() => rm(directory, { recursive: true }));

/** An object file as far as its dependencies are read: NUL-terminated strings somewhere inside */
function moduleNeeding(...names: string[]): Buffer {
  return Buffer.from(`\x7fELF...\0softdepends=no\0license=GPL\0depends=${names.join(',')}\0name=x\0`);
}

/** A 64-bit ELF header with one program header of the type `segment` */
function program(segment: number): Buffer {
  const bytes = Buffer.alloc(64 + 56);
  bytes.write('\x7fELF', 'latin1');
  bytes.writeBigUInt64LE(64n, 0x20);
  bytes.writeUInt16LE(56, 0x36);
  bytes.writeUInt16LE(1, 0x38);
  bytes.writeUInt32LE(segment, 64);
  return bytes;
}

describe('loadModules', () => {
  async function tree(files: Record<string, Buffer>, builtIn = ''): Promise<void> {
    await mkdir(join(directory, 'kernel/drivers'), { recursive: true });
    await writeFile(join(directory, 'modules.builtin'), builtIn);
    for (const [name, data] of Object.entries(files))
      await writeFile(join(directory, 'kernel/drivers', name), data);
  }
  const names = async (...wanted: string[]) => (await loadModules(directory, wanted)).map(({ name }) => name);

  test('a module with dependencies of dependencies: each after what it needs, once', async () => {
    await tree({
      'virtio_net.ko': moduleNeeding('virtio', 'net_failover'),
      'virtio.ko': moduleNeeding('virtio_ring'),
      'virtio_ring.ko': moduleNeeding(),
      'net-failover.ko': moduleNeeding('failover'),
      'failover.ko': moduleNeeding(),
    });
    expect(await names('virtio', 'virtio_net')).toEqual([
      'virtio_ring',
      'virtio',
      'failover',
      'net_failover',
      'virtio_net',
    ]);
  });

  test('a dependency built into the kernel: left out', async () => {
    await tree({ 'virtio_net.ko': moduleNeeding('virtio') }, 'kernel/drivers/virtio/virtio.ko\n');
    expect(await names('virtio_net')).toEqual(['virtio_net']);
  });

  test('a module that is nowhere: GuestUnavailable names it', async () => {
    await tree({ 'virtio_net.ko': moduleNeeding('lost') });
    await expect(names('virtio_net')).rejects.toThrow(GuestUnavailable);
    await expect(names('virtio_net')).rejects.toThrow('no module lost');
  });

  test.skipIf(!hasXz)('a module compressed with xz: comes out uncompressed', async () => {
    const plain = moduleNeeding();
    await tree({ 'virtio.ko.xz': spawnSync('xz', ['-c'], { input: plain }).stdout });
    expect(await loadModules(directory, ['virtio'])).toEqual([{ name: 'virtio', data: plain }]);
  });

  test('dependenciesOf: a module without the line has none', () => {
    expect(dependenciesOf(Buffer.from('nothing'))).toEqual([]);
    expect(dependenciesOf(moduleNeeding('a', 'b'))).toEqual(['a', 'b']);
  });
});

describe('busybox', () => {
  test('a program with an interpreter segment: not static', () => {
    expect(isStatic(program(3))).toBe(false);
    expect(isStatic(program(1))).toBe(true);
  });

  test('a script or a truncated file: not static', () => {
    expect(isStatic(Buffer.from('#!/bin/sh\n'.repeat(10)))).toBe(false);
    expect(isStatic(Buffer.from('\x7fELF', 'latin1'))).toBe(false);
  });

  test('missing or dynamic: GuestUnavailable names the package', async () => {
    const path = join(directory, 'busybox');
    await expect(readBusybox(path)).rejects.toThrow(`${path} is missing: install the package busybox-static`);
    await writeFile(path, program(3));
    await expect(readBusybox(path)).rejects.toThrow('not static');
  });
});

describe('buildInitramfs', () => {
  test('busybox and modules: everything /init needs is there, modules sort in load order', () => {
    const modules = ['zeta', ...'abcdefghij'].map((name) => ({ name, data: moduleNeeding() }));
    const members = readCpio(gunzipSync(buildInitramfs(program(1), modules)));
    const find = (path: string) => members.find((member) => member.path === path);
    expect(find('init')?.data.toString()).toBe(INIT);
    expect(find('init')?.mode).toBe(0o100755);
    expect(find('bin/busybox')?.data).toEqual(program(1));
    const loaded = members.map(({ path }) => path).filter((path) => path.startsWith('modules/'));
    expect([...loaded].sort()).toEqual(loaded);
    expect(loaded[0]).toBe('modules/00-zeta.ko');
  });

  test('a member inside a directory: its directory comes first', () => {
    const paths = readCpio(gunzipSync(buildInitramfs(program(1), []))).map(({ path }) => path);
    for (const [index, path] of paths.entries()) {
      const parent = path.split('/').slice(0, -1).join('/');
      if (parent !== '') expect(paths.slice(0, index)).toContain(parent);
    }
  });

  test('the init script: valid shell', () => {
    expect(spawnSync('sh', ['-n'], { input: INIT, encoding: 'utf8' })).toMatchObject({
      status: 0,
      stderr: '',
    });
  });
});
