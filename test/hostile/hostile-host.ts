/** A host on which everything that breaks a Linux bridge is in force at once, and a bridge that shows it. */
import { existsSync } from 'node:fs';
import { createLabBridge } from '../../src/lab/bridge.ts';
import { type NetnsGuest, startNetnsGuest } from '../../src/lab/netns-guest.ts';
import type { Cleanup } from '../lib/net-cleanup.ts';
import { createPlace, type Place } from '../lib/net-place.ts';

const OTHER_ADDRESS = '10.88.0.1';
const BRIDGED_GUEST = '10.88.0.2';

/** Addresses of the host that are not the host port's: on the loopback, and on the bridge. */
export const OTHER_ADDRESSES = ['172.31.255.1', OTHER_ADDRESS];

export interface HostileHost {
  readonly host: Place;
  /** Address of a guest on the host's bridge, which does not get through */
  readonly bridgedGuest: string;
}

async function bridgedGuest(cleanup: Cleanup, host: Place): Promise<NetnsGuest> {
  const guest = await startNetnsGuest({
    name: 'bridged',
    hostNamespace: host.path,
    interfaceName: 'bridged0',
    ip: BRIDGED_GUEST,
    prefix: 24,
  });
  cleanup.add(() => guest.stop());
  createLabBridge(host.path, 'br0', ['bridged0'], `${OTHER_ADDRESS}/24`);
  return guest;
}

/** The host while nothing is wrong yet; {@link turnHostile} follows. */
export async function peacefulHost(cleanup: Cleanup): Promise<HostileHost> {
  const host = await createPlace(cleanup);
  await host.must('ip address add 172.31.255.1/32 dev lo');
  await bridgedGuest(cleanup, host);
  return { host, bridgedGuest: BRIDGED_GUEST };
}

/** Sets every fault: ebtables, nftables, FORWARD DROP for bridged packets, no forwarding, strict reverse paths. */
export async function turnHostile({ host }: HostileHost): Promise<void> {
  const chains = ['INPUT', 'FORWARD', 'OUTPUT'];
  await host.must(
    ...chains.map((chain) => `ebtables -A ${chain} -p ARP -j DROP`),
    'nft add table bridge hostile',
    "nft 'add chain bridge hostile everything { type filter hook prerouting priority 0; policy drop; }'",
    'iptables -P FORWARD DROP',
    'ip neigh flush all',
  );
  if (existsSync('/proc/sys/net/bridge')) {
    for (const tables of ['iptables', 'arptables']) await host.set(`bridge/bridge-nf-call-${tables}`, 1);
  }
  // Refused by a kernel that has no VLAN filtering: the bridge is dead all the same
  await host.run('ip link set br0 type bridge vlan_filtering 1 vlan_default_pvid 0');
  await host.set('ipv4/ip_forward', 0);
  for (const scope of ['all', 'default']) await host.set(`ipv4/conf/${scope}/rp_filter`, 1);
}
