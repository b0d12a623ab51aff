/** `tapswitch vm`: VMs of the running daemon. */
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import type { Vm, VmRequest } from '../client/client.ts';
import { TapswitchError } from '../errors.ts';
import { parseFirecrackerVm } from '../vm-config/firecracker.ts';
import { clientOf, examples, guestPort, wholeNumber } from './connection.ts';
import { listing, type OutputOptions, printOne, printRows, type Shape, say } from './output.ts';

const MAX_WAIT = 3600; // s
/** Of a VM's last events, how many are shown in its table; the other formats have all */
const SHOWN_EVENTS = 8;

export const VM_COLUMNS: Shape<Vm> = {
  id: (vm) => vm.id,
  columns: {
    ID: (vm) => vm.id,
    NETWORK: (vm) => vm.network,
    TAP: (vm) => vm.tap,
    STATE: (vm) => vm.state,
    IP: (vm) => vm.ip ?? vm.leased,
    MAC: (vm) => vm.mac,
    LOOPBACK: (vm) => vm.loopback,
    FORWARDS: (vm) => vm.forwards.length,
    ORIGIN: (vm) => vm.origin,
  },
};

const VM_FIELDS: Shape<Vm> = {
  id: (vm) => vm.id,
  columns: {
    ...VM_COLUMNS.columns,
    IP6: (vm) => vm.ip6,
    GATEWAY: (vm) => vm.gateway,
    MTU: (vm) => vm.mtu,
    PROFILE: (vm) => vm.profile,
    GENERATION: (vm) => vm.generation,
    FORWARDS: (vm) => vm.forwards.map((one) => `${one.host}:${one.guestPort}/${one.protocol}`).join(' '),
    'FROM VM': (vm) => `${vm.counters.rxFrames} frames, ${vm.counters.rxBytes} bytes`,
    'TO VM': (vm) => `${vm.counters.txFrames} frames, ${vm.counters.txBytes} bytes`,
    BOOT_ARGS: (vm) => vm.firecracker.boot_args,
    RECENT: (vm) =>
      (vm.recent ?? [])
        .slice(-SHOWN_EVENTS)
        .map(({ time, type }) => `${time} ${type}`)
        .join(', '),
  },
};

interface AddOptions extends OutputOptions {
  readonly tap?: string;
  readonly mac?: string;
  readonly ip?: string;
  readonly ip6?: string;
  readonly vmm?: string;
  readonly network?: string;
  readonly profile?: string;
  readonly forward?: string[];
  readonly createTap?: true | { owner?: number; group?: number };
  readonly file?: string;
}

function owner(text: string): { owner?: number; group?: number } {
  const [, uid, gid] = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text) ?? [];
  if (uid === undefined) throw new InvalidArgumentError('It is UID or UID:GID, in numbers.');
  return { owner: Number(uid), ...(gid === undefined ? {} : { group: Number(gid) }) };
}

function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}

function fromFile(path: string): Pick<VmRequest, 'tap' | 'mac' | 'ip'> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new TapswitchError(
      'CONFIG_UNREADABLE',
      `cannot read ${path} (${(error as NodeJS.ErrnoException).code})`,
      'Check the path and its permissions.',
      error,
    );
  }
  // The gateway is the network's to say.
  const { gateway: _, ...vm } = parseFirecrackerVm(text);
  return vm;
}

/** The request that a command line means: what the options say goes before what the file does. */
function requested({ file, createTap, forward, ...said }: AddOptions): VmRequest {
  const { tap, mac, ip, ip6, vmm, network, profile } = said;
  const given = { tap, mac, ip, ip6, vmm, network, profile, forwards: forward };
  return {
    ...(file === undefined ? {} : fromFile(file)),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...(createTap === undefined ? {} : { createTap: createTap === true ? {} : createTap }),
  };
}

function addCommand(): Command {
  return listing(new Command('add'))
    .description('register a VM, or change one to what is said here')
    .argument('<id>', 'id of the VM')
    .option('--tap <name>', 'name of its TAP (default fc-ID)')
    .option('--mac <address>', 'the only MAC address it may use')
    .option('--ip <address>', 'the only IPv4 address it may use')
    .option('--ip6 <address>', 'an IPv6 address of it')
    .option('--vmm <name>', 'name of the program that holds the TAP, for diagnosis')
    .option('--network <name>', 'name of its network')
    .option('--profile <name>', 'name of a profile')
    .option('--forward <spec>', '[host-ip:]host-port:guest-port[/tcp|udp], repeatable', collect)
    .option('--create-tap [uid:gid]', 'make the TAP where there is none, for this user', owner)
    .option('--file <json>', 'Firecracker configuration with its TAP, MAC and IP')
    .addHelpText(
      'after',
      examples(
        'tapswitch vm add vm-1 --profile browser-vm --create-tap=1000:1000',
        'tapswitch vm add vm-1 --tap fc-vm-1 --ip 10.0.0.2 --forward 16080:6080',
        'tapswitch vm add vm-1 --file vm-1.json --output json',
      ),
    )
    .action(async (id: string, options: AddOptions, command: Command) => {
      const vm = await clientOf(command).putVm(id, requested(options));
      printOne(vm, VM_FIELDS, options);
    });
}

function lsCommand(): Command {
  return listing(new Command('ls'))
    .description('list the VMs')
    .addHelpText('after', examples('tapswitch vm ls', 'tapswitch vm ls -q | xargs -n1 tapswitch vm show'))
    .action(async (options: OutputOptions, command: Command) => {
      printRows(await clientOf(command).vms(), VM_COLUMNS, options);
    });
}

function showCommand(): Command {
  return listing(new Command('show'))
    .description('show one VM')
    .argument('<id>', 'id of the VM')
    .addHelpText('after', examples('tapswitch vm show vm-1 --output yaml'))
    .action(async (id: string, options: OutputOptions, command: Command) => {
      printOne(await clientOf(command).vm(id), VM_FIELDS, options);
    });
}

function rmCommand(): Command {
  return new Command('rm')
    .description('remove VMs, and the TAPs that were made for them')
    .argument('<id...>', 'ids of the VMs')
    .addHelpText('after', examples('tapswitch vm rm vm-1 vm-2'))
    .action(async (ids: string[], _options: object, command: Command) => {
      for (const id of ids) {
        await clientOf(command).deleteVm(id);
        say(`${id} removed`);
      }
    });
}

function waitCommand(): Command {
  return new Command('wait')
    .description('wait until a TCP port of a VM answers')
    .argument('<id>', 'id of the VM')
    .requiredOption('--port <n>', 'port of the guest', guestPort)
    .option('--timeout <s>', 'how long, in seconds', wholeNumber(0, MAX_WAIT))
    .addHelpText('after', examples('tapswitch vm wait vm-1 --port 6080 --timeout 60'))
    .action(async (id: string, options: { port: number; timeout?: number }, command: Command) => {
      const { waitedMs } = await clientOf(command).wait(id, options.port, { timeout: options.timeout });
      say(`${id} answers at port ${options.port} after ${waitedMs} ms`);
    });
}

export function vmCommand(): Command {
  return new Command('vm')
    .description('VMs: add, ls, show, rm, wait')
    .addCommand(addCommand())
    .addCommand(lsCommand())
    .addCommand(showCommand())
    .addCommand(rmCommand())
    .addCommand(waitCommand())
    .addHelpText('after', examples('tapswitch vm add vm-1 --create-tap', 'tapswitch vm ls'));
}
