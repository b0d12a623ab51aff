/** The kernel's own ways in the states in which users have them: rules as Docker makes them, DNAT. */
import { createLabBridge } from '../src/lab/bridge.ts';
import { runIn } from '../src/lab/process.ts';
import { GATEWAY_ON_BRIDGE, SERVER_NUMBER, SUBNET, twoGuests, vethGuest } from './guests.ts';
import { loopbackUp, roomForConnections, setKernel } from './host.ts';
import { type Build, type KernelRigName, PORTS, type Rig, type Undo } from './rig.ts';

/** Networks that Docker is taken to have made, five rules for each */
const DOCKER_NETWORKS = 10;

async function configure(namespace: string, command: readonly string[], input?: string): Promise<void> {
  const { status, stderr } = await runIn(namespace, command, input === undefined ? {} : { input });
  if (status !== 0) throw new Error(`${command[0]}: status ${status}: ${stderr.trim()}`);
}

/** The guests' traffic matches the last rule. */
function dockerRules(): string {
  const networks = Array.from({ length: DOCKER_NETWORKS }, (_, i) => ({ name: `docker${i}`, net: 17 + i }));
  const nat = networks.map(
    ({ name, net }) => `-A POSTROUTING -s 172.${net}.0.0/16 ! -o ${name} -j MASQUERADE`,
  );
  const filter = networks.flatMap(({ name }) => [
    `-A FORWARD -o ${name} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    `-A FORWARD -o ${name} -j DOCKER`,
    `-A FORWARD -i ${name} ! -o ${name} -j ACCEPT`,
    `-A FORWARD -i ${name} -o ${name} -j ACCEPT`,
  ]);
  const allow = `-A FORWARD -s ${SUBNET} -d ${SUBNET} -j ACCEPT`;
  const parts = ['*nat', ...nat, 'COMMIT', '*filter', ':FORWARD DROP', ':DOCKER -', ...filter, allow];
  return `${[...parts, 'COMMIT'].join('\n')}\n`;
}

/** Throws where the kernel has no br_netfilter: it is not loaded from here. */
async function docker(host: string, undo: Undo): Promise<Rig> {
  const guests = await twoGuests(vethGuest, host, undo);
  const links = guests.map(({ interfaceName }) => interfaceName);
  createLabBridge(host, 'br0', links);
  await configure(host, ['iptables-restore'], dockerRules());
  setKernel(host, 'bridge/bridge-nf-call-iptables', '1');
  const [client, server] = guests.map(({ namespace }) => namespace) as [string, string];
  return { name: 'bridge-docker', client, server, address: guests[1]!.ip, pid: undefined };
}

async function dnat(host: string, undo: Undo): Promise<Rig> {
  loopbackUp(host);
  const guest = await vethGuest(host, SERVER_NUMBER, undo);
  for (const namespace of [host, guest.namespace]) roomForConnections(namespace);
  createLabBridge(host, 'br0', [guest.interfaceName], GATEWAY_ON_BRIDGE);
  setKernel(host, 'ipv4/conf/all/route_localnet', '1');
  const ports = Object.values(PORTS).join(', ');
  const rules = `
table ip bench {
  chain out { type nat hook output priority -100; ip daddr 127.0.0.1 tcp dport { ${ports} } dnat to ${guest.ip}; }
  chain post { type nat hook postrouting priority 100; oifname "br0" ip saddr 127.0.0.0/8 masquerade; }
}`;
  await configure(host, ['nft', '-f', '-'], rules);
  return { name: 'dnat', client: host, server: guest.namespace, address: '127.0.0.1', pid: undefined };
}

export const KERNEL_RIGS: Readonly<Record<KernelRigName, Build>> = {
  'bridge-docker': docker,
  dnat,
};
