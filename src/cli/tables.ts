/** Listings of what the switch knows: networks, flows, addresses, drops, leases. */
import { Command } from 'commander';
import type { Client, Drop, FdbEntry, Flow, Lease, Network } from '../client/client.ts';
import { clientOf, examples } from './connection.ts';
import { listing, type OutputOptions, printRows, type Shape } from './output.ts';

const NETWORKS: Shape<Network> = {
  id: ({ name }) => name,
  columns: {
    NAME: ({ name }) => name,
    SUBNET: ({ subnet }) => subnet,
    GATEWAY: ({ gateway }) => gateway,
    MODE: ({ mode }) => mode,
    MTU: ({ mtu }) => mtu,
    'HOST PORT': ({ hostPort }) => hostPort && `${hostPort.name}${hostPort.plugged ? '' : ' (unplugged)'}`,
    VMS: ({ vms }) => vms,
  },
};

const FLOWS: Shape<Flow> = {
  id: ({ protocol, guest, remote }) => `${protocol},${guest},${remote}`,
  columns: {
    PROTOCOL: ({ protocol }) => protocol,
    DIRECTION: ({ direction }) => direction,
    GUEST: ({ guest }) => guest,
    REMOTE: ({ remote }) => remote,
    STATE: ({ state }) => state,
  },
};

const FDB: Shape<FdbEntry> = {
  id: ({ mac }) => mac,
  columns: {
    NETWORK: ({ network }) => network,
    MAC: ({ mac }) => mac,
    PORT: ({ port }) => port,
    STATE: ({ state }) => state,
  },
};

const DROPS: Shape<Drop> = {
  id: ({ port, reason }) => `${port},${reason}`,
  columns: {
    PORT: ({ port }) => port,
    REASON: ({ reason }) => reason,
    FRAMES: ({ frames }) => frames,
  },
};

const LEASES: Shape<Lease> = {
  id: ({ ip }) => ip,
  columns: {
    VM: ({ vm }) => vm,
    NETWORK: ({ network }) => network,
    IP: ({ ip }) => ip,
    MAC: ({ mac }) => mac,
    KIND: ({ kind }) => kind,
  },
};

function whole<Row>(
  name: string,
  description: string,
  shape: Shape<Row>,
  ask: (client: Client) => Promise<Row[]>,
  example: string,
): Command {
  return listing(new Command(name))
    .description(description)
    .addHelpText('after', examples(example))
    .action(async (options: OutputOptions, command: Command) => {
      printRows(await ask(clientOf(command)), shape, options);
    });
}

function networkCommand(): Command {
  return new Command('network')
    .description('networks: ls')
    .addCommand(
      whole('ls', 'list the networks', NETWORKS, (client) => client.networks(), 'tapswitch network ls'),
    )
    .addHelpText('after', examples('tapswitch network ls'));
}

function flowsCommand(): Command {
  return listing(new Command('flows'))
    .description("list a VM's flows through the gateway")
    .argument('<vm>', 'id of the VM')
    .addHelpText('after', examples('tapswitch flows vm-1'))
    .action(async (vm: string, options: OutputOptions, command: Command) => {
      printRows(await clientOf(command).flows(vm), FLOWS, options);
    });
}

export function tableCommands(): Command[] {
  return [
    networkCommand(),
    flowsCommand(),
    whole('fdb', 'list the MAC addresses and where they are', FDB, (c) => c.fdb(), 'tapswitch fdb -o json'),
    whole('drops', 'list the frames dropped, by reason', DROPS, (c) => c.drops(), 'tapswitch drops'),
    whole('leases', 'list the addresses of the VMs', LEASES, (c) => c.leases(), 'tapswitch leases'),
  ];
}
