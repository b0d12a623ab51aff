/**
 * The guests' kernel: Debian's cloud kernel, its package fetched with apt and unpacked into the cache. It is never
 * installed, which would change what the machine boots, and apt's own state is left as it is: when the machine's
 * package lists are missing or stale, fresh ones are fetched into a temporary directory.
 */
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { GuestUnavailable, type Progress } from './guest.ts';
import { type Outcome, runIn } from './process.ts';

export interface Kernel {
  /** The boot image, a file */
  readonly vmlinuz: string;
  /** Its modules, a directory named after the release */
  readonly modules: string;
}

/** Name in Debian of each architecture that has a cloud kernel. */
const DEBIAN_ARCHITECTURES: Partial<Record<NodeJS.Architecture, string>> = { x64: 'amd64', arm64: 'arm64' };

const FETCH_TIMEOUT_MS = 600_000;
const UNPACK_TIMEOUT_MS = 120_000;

/** apt's sandbox user cannot write to our cache and does not exist in a user namespace. */
const APT_OPTIONS = ['-o', 'APT::Sandbox::User=root', '-o', 'Dpkg::Use-Pty=0', '-qq'];

function failed({ status, stderr }: Outcome, doing: string): GuestUnavailable {
  return new GuestUnavailable(`cannot ${doing}: ${stderr.trim().split('\n')[0] || `exit status ${status}`}`);
}

function mustSucceed(outcome: Outcome, doing: string): string {
  if (outcome.status !== 0) throw failed(outcome, doing);
  return outcome.stdout;
}

/** Finds the package behind the "latest cloud kernel" package and fetches it into `directory`; `lists` are apt options. */
async function download(metaPackage: string, directory: string, lists: readonly string[]): Promise<void> {
  const depends = await runIn(undefined, ['apt-cache', ...lists, 'depends', metaPackage]);
  const found = /^\s*Depends: (linux-image-\S+)$/m.exec(
    mustSucceed(depends, `find the package ${metaPackage}`),
  );
  if (!found) throw new GuestUnavailable(`cannot find the kernel that ${metaPackage} stands for`);
  const command = [
    'env',
    `--chdir=${directory}`,
    'apt-get',
    ...APT_OPTIONS,
    ...lists,
    'download',
    found[1] as string,
  ];
  mustSucceed(await runIn(undefined, command, { timeoutMs: FETCH_TIMEOUT_MS }), `download ${found[1]}`);
}

async function downloadWithFreshLists(metaPackage: string, directory: string): Promise<void> {
  const state = await mkdtemp(join(tmpdir(), 'tapswitch-apt-'));
  try {
    await mkdir(join(state, 'lists/partial'), { recursive: true });
    await mkdir(join(state, 'cache/archives/partial'), { recursive: true });
    const lists = ['-o', `Dir::State::Lists=${state}/lists`, '-o', `Dir::Cache=${state}/cache`];
    const update = ['apt-get', ...APT_OPTIONS, ...lists, 'update'];
    const updated = await runIn(undefined, update, { timeoutMs: FETCH_TIMEOUT_MS });
    try {
      await download(metaPackage, directory, lists);
    } catch (error) {
      // apt calls an update that reached nothing a success with warnings: the cause is among them
      throw updated.stderr === '' ? error : failed(updated, 'fetch the package lists');
    }
  } finally {
    await rm(state, { recursive: true, force: true });
  }
}

async function fetchKernel(metaPackage: string, directory: string, progress: Progress): Promise<void> {
  progress(`downloading Debian's cloud kernel (about 30 MB, once)`);
  try {
    await download(metaPackage, directory, []);
  } catch {
    progress('the package lists of this machine do not lead to it: fetching fresh ones');
    await downloadWithFreshLists(metaPackage, directory);
  }
  progress('unpacking the kernel');
  const archive = (await readdir(directory)).find((name) => name.endsWith('.deb'));
  if (archive === undefined) throw new GuestUnavailable(`apt-get left no package of ${metaPackage}`);
  const unpack = ['dpkg-deb', '--extract', join(directory, archive), join(directory, 'package')];
  mustSucceed(await runIn(undefined, unpack, { timeoutMs: UNPACK_TIMEOUT_MS }), `unpack ${archive}`);
  await keepKernel(directory);
  await rm(join(directory, archive));
}

/** Moves boot image and modules to fixed places in `directory` and removes the rest of the unpacked package. */
async function keepKernel(directory: string): Promise<void> {
  const unpacked = join(directory, 'package');
  const image = (await readdir(join(unpacked, 'boot'))).find((name) => name.startsWith('vmlinuz-'));
  if (image === undefined) throw new GuestUnavailable('the kernel package has no boot image');
  await rename(join(unpacked, 'boot', image), join(directory, 'vmlinuz'));
  // Debian 13 moved the modules below /usr
  const merged = join(unpacked, 'usr/lib/modules');
  const modules = (await stat(merged).catch(() => undefined)) ? merged : join(unpacked, 'lib/modules');
  await rename(modules, join(directory, 'modules'));
  await rm(unpacked, { recursive: true });
}

/**
 * The kernel for guests of this machine's architecture, fetched the first time and then kept in the cache.
 * @throws GuestUnavailable when it cannot be had: no apt, no network, no such architecture
 */
export async function ensureKernel(progress: Progress = () => {}): Promise<Kernel> {
  const architecture = DEBIAN_ARCHITECTURES[process.arch];
  if (!architecture) throw new GuestUnavailable(`Debian has no cloud kernel for ${process.arch}`);
  const directory = await cached(`kernel-${architecture}`, (temporary) =>
    fetchKernel(`linux-image-cloud-${architecture}`, temporary, progress),
  );
  const [release] = await readdir(join(directory, 'modules'));
  return { vmlinuz: join(directory, 'vmlinuz'), modules: join(directory, 'modules', release as string) };
}
