/**
 * A real Linux guest in QEMU, emulated in software so that it runs wherever QEMU does, on a TAP that QEMU opens by
 * name as a VMM does. Console and command channel are descriptors inherited from us: no socket file, no temporary
 * file, nothing to clean up after a crash, and `spawnIn` ends QEMU with us.
 */
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type Guest, type GuestIdentity, GuestUnavailable, type Progress } from './guest.ts';
import { SERVICES_UP } from './guest-init.ts';
import { GuestShell } from './guest-shell.ts';
import { ensureInitramfs, readBusybox } from './initramfs.ts';
import { ensureKernel, type Kernel } from './kernel.ts';
import { type Outcome, spawnIn } from './process.ts';

export interface QemuGuestOptions extends GuestIdentity {
  /** Name of an existing TAP that nobody holds */
  readonly tap: string;
  /** Path of the network namespace the TAP is in; ours when not given */
  readonly namespace?: string;
  /** Default 192; files in the guest's /tmp live in it */
  readonly memoryMiB?: number;
  readonly onProgress?: Progress;
}

interface Machine {
  readonly program: string;
  readonly arguments: readonly string[];
  readonly console: string;
}

/** q35 because it boots reliably: microvm, half a second faster, hung in every other boot tried (QEMU 7.2, Linux 6.1). */
const MACHINES: Partial<Record<NodeJS.Architecture, Machine>> = {
  x64: { program: 'qemu-system-x86_64', arguments: ['-machine', 'q35'], console: 'ttyS0' },
  arm64: {
    program: 'qemu-system-aarch64',
    arguments: ['-machine', 'virt', '-cpu', 'max'],
    console: 'ttyAMA0',
  },
};

const READY_TIMEOUT_MS = 60_000;
const RUN_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 2_000;
const CONSOLE_LIMIT = 256 * 1024;
/** Descriptor of the command channel in QEMU: the first one after stdio */
const COMMAND_FD = 3;

function netmask(prefix: number): string {
  return [0, 8, 16, 24].map((bits) => 256 - 2 ** (8 - Math.min(8, Math.max(0, prefix - bits)))).join('.');
}

function kernelCommandLine({ ip, gateway, prefix, name }: GuestIdentity, console: string): string {
  // quiet, no self-tests, no address randomisation: each is boot time under emulation
  const words = [`console=${console}`, 'quiet', 'panic=-1', 'nokaslr', 'cryptomgr.notests'];
  return [...words, `ip=${ip}::${gateway}:${netmask(prefix)}:${name}:eth0:off`].join(' ');
}

function qemuCommand(
  machine: Machine,
  kernel: Kernel,
  initramfs: string,
  options: QemuGuestOptions,
): string[] {
  return [
    machine.program,
    ...machine.arguments,
    ...['-accel', 'tcg', '-m', String(options.memoryMiB ?? 192), '-name', options.name],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-monitor', 'none', '-no-reboot'],
    ...[
      '-kernel',
      kernel.vmlinuz,
      '-initrd',
      initramfs,
      '-append',
      kernelCommandLine(options, machine.console),
    ],
    ...['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
    ...['-netdev', `tap,id=net,ifname=${options.tap},script=no,downscript=no,vhost=off`],
    ...['-device', `virtio-net-pci,netdev=net,mac=${options.mac},romfile=`],
    ...['-chardev', `socket,id=command,fd=${COMMAND_FD}`, '-device', 'virtio-serial-pci'],
    ...['-device', 'virtserialport,chardev=command,name=tapswitch.command'],
  ];
}

class QemuGuest implements Guest {
  readonly name: string;
  readonly pid: number;
  readonly #process: ChildProcess;
  readonly #shell: GuestShell;
  readonly #closed: Promise<Error>;
  readonly #servicesUp: Promise<void>;
  #console = '';
  #complaints = '';

  constructor(name: string, process: ChildProcess) {
    this.name = name;
    this.pid = process.pid as number;
    this.#process = process;
    this.#shell = new GuestShell(process.stdio[COMMAND_FD] as Duplex);
    this.#servicesUp = new Promise((resolve) => {
      process.stdout?.setEncoding('utf8').on('data', (text: string) => {
        this.#console = (this.#console + text).slice(-CONSOLE_LIMIT);
        if (this.#console.includes(SERVICES_UP)) resolve();
      });
    });
    process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-CONSOLE_LIMIT);
    });
    this.#closed = new Promise((resolve) => {
      process.on('close', () => {
        const reason = new Error(`guest ${name} has ended${this.#lastWords()}`);
        this.#shell.end(reason);
        resolve(reason);
      });
    });
  }

  async ready(timeoutMs: number = READY_TIMEOUT_MS): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Error>((resolve) => {
      const give = () =>
        resolve(new Error(`guest ${this.name} is not up after ${timeoutMs} ms${this.#lastWords()}`));
      timer = setTimeout(give, timeoutMs);
    });
    const failure = await Promise.race([this.#closed, this.#servicesUp, late]);
    clearTimeout(timer);
    if (failure) throw failure;
  }

  run(command: string, timeoutMs: number = RUN_TIMEOUT_MS): Promise<Outcome> {
    return this.#shell.run(command, timeoutMs);
  }

  async stop(): Promise<void> {
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#closed;
    clearTimeout(timer);
  }

  console(): string {
    return this.#console;
  }

  #lastWords(): string {
    const said = (this.#complaints || this.#console)
      .trim()
      .split(/[\r\n]+/)
      .at(-1);
    return said ? `: ${said}` : '';
  }
}

function machineHere(): Machine {
  const machine = MACHINES[process.arch];
  if (!machine) throw new GuestUnavailable(`no QEMU guest for ${process.arch}`);
  return machine;
}

async function onPath(program: string): Promise<boolean> {
  const directories = (process.env.PATH ?? '').split(delimiter);
  const checks = directories.map((directory) => access(join(directory, program), constants.X_OK));
  return Promise.any(checks).then(
    () => true,
    () => false,
  );
}

/** Whether QEMU guests can be had here, or why not. Looks at programs only: fetching the kernel may still fail. */
export async function qemuAvailable(): Promise<{ ok: true } | { ok: false; reason: string }> {
  try {
    const { program } = machineHere();
    if (!(await onPath(program))) return { ok: false, reason: `${program} is not installed` };
    await readBusybox();
    return { ok: true };
  } catch (error) {
    if (error instanceof GuestUnavailable) return { ok: false, reason: error.message };
    throw error;
  }
}

/**
 * Starts a guest and returns while it boots: await `ready()`.
 * @throws GuestUnavailable when kernel or busybox cannot be had
 */
export async function startQemuGuest(options: QemuGuestOptions): Promise<Guest> {
  const machine = machineHere();
  const kernel = await ensureKernel(options.onProgress);
  const initramfs = await ensureInitramfs(kernel);
  options.onProgress?.(`booting ${options.name}`);
  const child = spawnIn(options.namespace, qemuCommand(machine, kernel, initramfs, options), {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  await new Promise((resolve, reject) => child.on('spawn', resolve).on('error', reject));
  return new QemuGuest(options.name, child);
}
