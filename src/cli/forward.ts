/** `tapswitch forward`: ports of the host that lead into a VM. */
import { Command } from 'commander';
import type { Forward } from '../client/client.ts';
import { clientOf, examples, wholeNumber } from './connection.ts';
import { listing, type OutputOptions, printRows, type Shape, say } from './output.ts';

const MAX_WAIT = 3600; // s

const FORWARDS: Shape<Forward> = {
  id: ({ host, guestPort, protocol }) => `${host}:${guestPort}/${protocol}`,
  columns: {
    HOST: ({ host }) => host,
    'GUEST PORT': ({ guestPort }) => guestPort,
    PROTOCOL: ({ protocol }) => protocol,
    EXPOSED: ({ exposed }) => (exposed ? 'yes' : 'no'),
    IDENTITY: ({ identity }) => (identity ? 'yes' : 'no'),
  },
};

function addCommand(): Command {
  return listing(new Command('add'))
    .description('add a forward to a VM, and list those it then has')
    .argument('<vm>', 'id of the VM')
    .argument('<spec>', '[host-ip:]host-port:guest-port[/tcp|udp] or unix:PATH:guest-port')
    .option(
      '--wait <s>',
      'how long a connection to a booting VM is held, in seconds',
      wholeNumber(0, MAX_WAIT),
    )
    .addHelpText(
      'after',
      examples(
        'tapswitch forward add vm-1 16080:6080',
        'tapswitch forward add vm-1 unix:/run/vm-1.sock:8080 --wait 60',
      ),
    )
    .action(
      async (vm: string, listen: string, options: OutputOptions & { wait?: number }, command: Command) => {
        const request = options.wait === undefined ? { listen } : { listen, wait: options.wait };
        printRows(await clientOf(command).addForward(vm, request), FORWARDS, options);
      },
    );
}

function lsCommand(): Command {
  return listing(new Command('ls'))
    .description("list a VM's forwards")
    .argument('<vm>', 'id of the VM')
    .addHelpText('after', examples('tapswitch forward ls vm-1'))
    .action(async (vm: string, options: OutputOptions, command: Command) => {
      printRows(await clientOf(command).forwards(vm), FORWARDS, options);
    });
}

function rmCommand(): Command {
  return new Command('rm')
    .description('remove a forward of a VM')
    .argument('<vm>', 'id of the VM')
    .argument('<spec>', 'the forward, as `forward ls -q` prints it')
    .option('--reset', 'end its connections as well')
    .addHelpText('after', examples('tapswitch forward rm vm-1 127.0.0.1:16080:6080/tcp --reset'))
    .action(async (vm: string, spec: string, { reset }: { reset?: boolean }, command: Command) => {
      await clientOf(command).removeForward(vm, spec, { reset: reset === true });
      say(`${spec} removed from ${vm}`);
    });
}

export function forwardCommand(): Command {
  return new Command('forward')
    .description('forwards: add, ls, rm')
    .addCommand(addCommand())
    .addCommand(lsCommand())
    .addCommand(rmCommand())
    .addHelpText('after', examples('tapswitch forward ls vm-1'));
}
