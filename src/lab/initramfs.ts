/** The guests' root file system: static busybox, the virtio modules that are not built in, and the init script. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { cached } from './cache.ts';
import { type CpioEntry, writeCpio } from './cpio.ts';
import { GuestUnavailable } from './guest.ts';
import { INIT } from './guest-init.ts';
import type { Kernel } from './kernel.ts';
import { type KernelModule, loadModules } from './kernel-modules.ts';

const BUSYBOX = '/bin/busybox';
const GUEST_MODULES = ['virtio_pci', 'virtio_net', 'virtio_console'];
const DIRECTORIES = ['bin', 'dev', 'modules', 'proc', 'sys', 'tmp', 'www', 'www/agent', 'www/desktop'];

const ELF_MAGIC = 0x7f454c46;
/** Program header of a program that needs a dynamic loader (elf(5)) */
const PT_INTERP = 3;

/** Whether `program` (ELF, 64 bit, little endian) runs without a dynamic loader. */
export function isStatic(program: Buffer): boolean {
  if (program.length < 64 || program.readUInt32BE(0) !== ELF_MAGIC) return false;
  const offset = Number(program.readBigUInt64LE(0x20));
  const size = program.readUInt16LE(0x36);
  const count = program.readUInt16LE(0x38);
  for (let header = offset; header < offset + count * size; header += size) {
    if (program.readUInt32LE(header) === PT_INTERP) return false;
  }
  return true;
}

/**
 * The static busybox of this machine.
 * @throws GuestUnavailable when there is none
 */
export async function readBusybox(path: string = BUSYBOX): Promise<Buffer> {
  const program = await readFile(path).catch(() => undefined);
  if (program && isStatic(program)) return program;
  throw new GuestUnavailable(
    `${path} is ${program ? 'not static' : 'missing'}: install the package busybox-static`,
  );
}

/** The initramfs, compressed. Modules are loaded in their order here. */
export function buildInitramfs(busybox: Buffer, modules: readonly KernelModule[]): Buffer {
  const directories = DIRECTORIES.map((path): CpioEntry => ({ type: 'directory', path }));
  const numbered = modules.map(({ name, data }, index): CpioEntry => {
    return { type: 'file', path: `modules/${String(index).padStart(2, '0')}-${name}.ko`, data };
  });
  const programs: CpioEntry[] = [
    { type: 'file', path: 'bin/busybox', data: busybox, executable: true },
    { type: 'file', path: 'init', data: Buffer.from(INIT), executable: true },
  ];
  return gzipSync(writeCpio([...directories, ...numbered, ...programs]));
}

/**
 * Path of the initramfs for guests on `kernel`, kept in the cache by its content.
 * @throws GuestUnavailable when busybox or a module is missing
 */
export async function ensureInitramfs(kernel: Kernel): Promise<string> {
  const archive = buildInitramfs(await readBusybox(), await loadModules(kernel.modules, GUEST_MODULES));
  const digest = createHash('sha256').update(archive).digest('hex').slice(0, 16);
  const file = 'initramfs.cpio.gz';
  const fill = (directory: string) => writeFile(join(directory, file), archive);
  return join(await cached(`initramfs-${digest}`, fill), file);
}
