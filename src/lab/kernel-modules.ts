/**
 * Kernel modules of an unpacked kernel package. Such a package has no `modules.dep` (depmod writes it when one is
 * installed), so the order comes from the `depends=` line that every module carries in its .modinfo section.
 */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { GuestUnavailable } from './guest.ts';

export interface KernelModule {
  readonly name: string;
  /** The module as `insmod` takes it, uncompressed */
  readonly data: Buffer;
}

const FILE_NAME = /\.ko(\.xz)?$/;
const MAX_MODULE_SIZE = 64 * 1024 * 1024;

/** `-` and `_` are the same in a module's name: the file may have either. */
function moduleName(path: string): string {
  return basename(path).replace(FILE_NAME, '').replaceAll('-', '_');
}

async function readModule(path: string): Promise<Buffer> {
  if (!path.endsWith('.xz')) return readFile(path);
  const options = { encoding: 'buffer', maxBuffer: MAX_MODULE_SIZE } as const;
  return (await promisify(execFile)('xz', ['--decompress', '--stdout', path], options)).stdout;
}

/** Names of the modules that must be loaded before the one in `data` (include/linux/moduleparam.h, "depends"). */
export function dependenciesOf(data: Buffer): string[] {
  const key = '\0depends=';
  const start = data.indexOf(key, 0, 'latin1');
  if (start < 0) return [];
  const value = start + key.length;
  const list = data.toString('latin1', value, data.indexOf(0, value));
  return list.split(',').filter((name) => name !== '');
}

/**
 * The modules `wanted` and all they depend on, each after those it needs. What is built into the kernel is left out.
 * @throws GuestUnavailable when a module is neither in the tree at `directory` nor built in
 */
export async function loadModules(directory: string, wanted: readonly string[]): Promise<KernelModule[]> {
  const files = (await readdir(directory, { recursive: true })).filter((file) => FILE_NAME.test(file));
  const paths = new Map(files.map((file) => [moduleName(file), join(directory, file)]));
  const builtIn = (await readFile(join(directory, 'modules.builtin'), 'utf8')).split('\n').map(moduleName);
  const loaded = new Map<string, KernelModule>();

  async function load(name: string): Promise<void> {
    if (loaded.has(name) || builtIn.includes(name)) return;
    const path = paths.get(name);
    if (path === undefined) throw new GuestUnavailable(`the kernel in ${directory} has no module ${name}`);
    const data = await readModule(path);
    for (const dependency of dependenciesOf(data)) await load(dependency);
    loaded.set(name, { name, data });
  }

  for (const name of wanted) await load(name);
  return [...loaded.values()];
}
