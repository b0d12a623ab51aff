/** The fault gallery of a host with a bridge: what is done for real, and what a diagnosis must say of it. */
import type { BridgeHopName } from '../../src/diagnosis/bridge/decide.ts';
import type { BridgeVerdictCode } from '../../src/diagnosis/bridge/verdicts.ts';
import { startNetnsGuest } from '../../src/lab/netns-guest.ts';
import { applyGuard } from '../../src/port/guard.ts';
import {
  ASIDE,
  BRIDGE,
  type BridgeGalleryStage,
  type Flow,
  SERVICE_PORT,
} from '../lib/bridge-gallery-stage.ts';
import { A, B } from '../lib/frames.ts';
import { ping } from '../lib/net-probe.ts';
import { GATEWAY_IP, tapOf } from '../lib/net-switch.ts';

export interface BridgeFault extends Flow {
  readonly fault: string;
  readonly verdict: BridgeVerdictCode;
  /** Hop whose evidence shows it, and what stands there */
  readonly hop: BridgeHopName;
  readonly evidence: string;
  /** Who must stay healthy (default: the guest beside it on the same bridge) */
  readonly healthy?: 'apart';
  /** Ping still works: only some packets suffer */
  readonly harmlessToPing?: true;
  readonly inject: (stage: BridgeGalleryStage) => unknown;
}

const TAP = tapOf(A);
const WELL_TAP = tapOf(B);
const GATEWAY_MAC = '02:00:c0:a8:00:01';
const OTHER_MAC = '06:00:00:00:00:63';
const TWIN_IP = '192.168.0.77';

const onHost =
  (...commands: string[]) =>
  ({ host }: BridgeGalleryStage) =>
    host.must(...commands);

export const BRIDGE_FAULTS: readonly BridgeFault[] = [
  {
    fault: 'The TAP is deleted',
    verdict: 'TAP_MISSING',
    hop: 'tap',
    evidence: `there is no interface ${TAP}`,
    inject: onHost(`ip link del ${TAP}`),
  },
  {
    fault: 'The TAP is set down',
    verdict: 'TAP_DOWN',
    hop: 'tap',
    evidence: `${TAP} is down`,
    inject: onHost(`ip link set ${TAP} down`),
  },
  {
    fault: 'The process that holds the TAP has ended',
    verdict: 'VMM_ABSENT',
    hop: 'holder',
    evidence: `${TAP} has no carrier`,
    inject: ({ sick }) => sick.killVmm(),
  },
  {
    fault: 'The TAP is on no bridge',
    verdict: 'NOT_ENSLAVED',
    hop: 'bridge',
    evidence: `${TAP} belongs to nothing`,
    inject: onHost(`ip link set ${TAP} nomaster`),
  },
  {
    fault: 'The bridge is set down',
    verdict: 'BRIDGE_DOWN',
    hop: 'bridge',
    evidence: `${BRIDGE} is down`,
    healthy: 'apart',
    inject: onHost(`ip link set ${BRIDGE} down`),
  },
  {
    fault: 'Spanning tree is on, and the TAP has just come up',
    verdict: 'PORT_NOT_FORWARDING',
    hop: 'port',
    evidence: `${TAP} is listening`,
    inject: onHost(
      `ip link set ${BRIDGE} type bridge stp_state 1 forward_delay 3000`,
      `ip link set ${TAP} down && ip link set ${TAP} up`,
    ),
  },
  {
    fault: 'The port is disabled',
    verdict: 'PORT_NOT_FORWARDING',
    hop: 'port',
    evidence: `${TAP} is disabled`,
    inject: onHost(`bridge link set dev ${TAP} state 0`),
  },
  {
    fault: 'A guard of tapswitch is left on the TAP',
    verdict: 'GUARD_LEFT',
    hop: 'guard',
    evidence: `guard by nftables on ${TAP}`,
    inject: ({ host }) => applyGuard('nftables', [{ namespace: host.path, interfaceName: TAP }]),
  },
  {
    fault: 'The guest loses its address',
    verdict: 'GUEST_SILENT',
    hop: 'guest',
    evidence: `no answer to who has ${A.ip}`,
    inject: ({ sick }) => sick.guest.run('ip addr flush dev eth0'),
  },
  {
    fault: 'Another guest has the address, too',
    verdict: 'ADDRESS_DUPLICATE',
    hop: 'guest',
    evidence: `${A.ip} is claimed by ${A.mac} and, on ${WELL_TAP}, by ${B.mac}`,
    harmlessToPing: true,
    inject: ({ well }) => well.run(`ip addr add ${A.ip}/16 dev eth0`),
  },
  {
    fault: 'Another guest has the MAC, too',
    verdict: 'MAC_DUPLICATE',
    hop: 'mac',
    evidence: `${A.mac} answers on fc-vm-77, too, for ${TWIN_IP}`,
    harmlessToPing: true,
    inject: async ({ cleanup, host }) => {
      const twin = await startNetnsGuest({
        name: 'twin',
        hostNamespace: host.path,
        interfaceName: 'fc-vm-77',
        mac: A.mac,
        ip: TWIN_IP,
        prefix: 16,
      });
      cleanup.add(() => twin.stop());
      await host.must(`ip link set fc-vm-77 master ${BRIDGE}`);
      for (const ip of [TWIN_IP, A.ip]) await ping(host, ip, { count: 1 });
    },
  },
  {
    fault: "The TAP itself has the guest's MAC",
    verdict: 'MAC_DUPLICATE',
    hop: 'mac',
    evidence: `${A.mac} is that of the host's interface ${TAP}, too`,
    fromWell: true,
    // A bridge takes the lowest MAC of its ports, unless it was given one.
    inject: onHost(`ip link set ${BRIDGE} address ${GATEWAY_MAC}`, `ip link set ${TAP} address ${A.mac}`),
  },
  {
    fault: "A sticky entry has the guest's MAC on another port",
    verdict: 'FDB_WRONG',
    hop: 'forwarding',
    evidence: `${A.mac} is static on ${WELL_TAP}`,
    inject: onHost(`bridge fdb replace ${A.mac} dev ${WELL_TAP} master static sticky`),
  },
  {
    fault: 'The port is locked, the guest unknown',
    verdict: 'PORT_LOCKED',
    hop: 'forwarding',
    evidence: `${TAP} is locked, ${A.mac} unknown`,
    inject: onHost(
      `bridge link set dev ${TAP} locked on learning off`,
      `bridge fdb del ${A.mac} dev ${TAP} master`,
    ),
  },
  {
    fault: 'Broadcasts are not flooded to the port',
    verdict: 'FLOOD_OFF',
    hop: 'forwarding',
    evidence: `${TAP} gets no broadcast, so no ARP`,
    fromWell: true,
    inject: onHost(`bridge link set dev ${TAP} bcast_flood off`),
  },
  {
    fault: 'The ports of both guests are isolated',
    verdict: 'PORTS_ISOLATED',
    hop: 'isolation',
    evidence: `${TAP} and ${WELL_TAP} are isolated`,
    fromWell: true,
    inject: onHost(`bridge link set dev ${TAP} isolated on`, `bridge link set dev ${WELL_TAP} isolated on`),
  },
  {
    fault: 'The bridge has lost its address',
    verdict: 'NO_BRIDGE_ADDRESS',
    hop: 'route',
    evidence: `${BRIDGE}: none; no route (ENETUNREACH)`,
    healthy: 'apart',
    inject: onHost(`ip addr flush dev ${BRIDGE}`),
  },
  {
    fault: "The guest's address is the host's, too",
    verdict: 'ADDRESS_IS_HOSTS',
    hop: 'route',
    evidence: `${A.ip} is the host's own`,
    harmlessToPing: true,
    inject: onHost(`ip addr add ${A.ip}/32 dev lo`),
  },
  {
    fault: 'Another interface has a more specific route',
    verdict: 'ROUTE_ELSEWHERE',
    hop: 'route',
    evidence: `to ${A.ip}: by ${ASIDE}`,
    inject: onHost(`ip route add ${A.ip}/32 dev ${ASIDE}`),
  },
  {
    fault: 'A policy rule routes the way back elsewhere, the reverse path filter is strict',
    verdict: 'REVERSE_PATH',
    hop: 'reverse-path',
    evidence: `to ${A.ip} from ${GATEWAY_IP}: by ${ASIDE}, rp_filter 1`,
    inject: async ({ host }) => {
      await host.set(`ipv4/conf/${BRIDGE}/rp_filter`, 1);
      await host.must(
        `ip route add ${A.ip}/32 dev ${ASIDE} table 100`,
        `ip rule add from ${GATEWAY_IP} to ${A.ip} lookup 100`,
      );
    },
  },
  {
    fault: 'The neighbour entry of the host is permanent and wrong',
    verdict: 'NEIGHBOUR_WRONG',
    hop: 'neighbour',
    evidence: `${OTHER_MAC} PERMANENT, but ${A.mac} answers`,
    inject: onHost(`ip neigh replace ${A.ip} lladdr ${OTHER_MAC} dev ${BRIDGE} nud permanent`),
  },
  {
    fault: "ebtables drops the guest's ARP",
    verdict: 'FILTER_ARP',
    hop: 'arp-rules',
    evidence: `rule 1 of bridge filter INPUT (-A INPUT -p ARP --arp-ip-src ${A.ip} -j DROP)`,
    inject: onHost(`ebtables -A INPUT -p ARP --arp-ip-src ${A.ip} -j DROP`),
  },
  {
    fault: 'ebtables drops ARP of guests other than the listed, and the guest is not',
    verdict: 'FILTER_ARP',
    hop: 'arp-rules',
    evidence: 'policy of bridge filter INPUT',
    inject: onHost(
      `ebtables -A INPUT -p ARP --arp-ip-src ${B.ip} -j ACCEPT`,
      'ebtables -A INPUT -p IPv4 -j ACCEPT',
      'ebtables -P INPUT DROP',
    ),
  },
  {
    fault: "nftables' bridge family drops the guest's IP",
    verdict: 'FILTER_BRIDGE',
    hop: 'ip-rules',
    evidence: 'rule handle 2 of bridge hostile in',
    inject: onHost(
      'nft add table bridge hostile',
      "nft 'add chain bridge hostile in { type filter hook prerouting priority 0; }'",
      `nft add rule bridge hostile in ether saddr ${A.mac} ip saddr ${A.ip} counter drop`,
    ),
  },
  {
    fault: 'Bridge netfilter is on and FORWARD drops, between guests',
    verdict: 'BRIDGE_NF',
    hop: 'ip-rules',
    evidence: 'ping to the guest: policy of ip filter FORWARD',
    fromWell: true,
    inject: async ({ host }) => {
      await host.set('bridge/bridge-nf-call-iptables', 1);
      await host.must('iptables -P FORWARD DROP');
    },
  },
  {
    fault: "iptables drops the guest's answers on INPUT",
    verdict: 'HOST_INPUT',
    hop: 'ip-rules',
    evidence: "the guest's answer to ping: rule 2 of ip filter INPUT",
    inject: onHost(
      'iptables -A INPUT -m conntrack --ctstate INVALID -j DROP',
      `iptables -A INPUT -s ${A.ip} -m conntrack --ctstate ESTABLISHED,RELATED -j DROP`,
    ),
  },
  {
    fault: 'nftables rejects TCP to the port on output',
    verdict: 'HOST_OUTPUT',
    hop: 'ip-rules',
    evidence: `TCP to port ${SERVICE_PORT}: rule handle 2 of inet hostile out`,
    port: SERVICE_PORT,
    inject: onHost(
      'nft add table inet hostile',
      "nft 'add chain inet hostile out { type filter hook output priority 0; }'",
      `nft add rule inet hostile out ip daddr ${A.ip} tcp dport ${SERVICE_PORT} reject`,
    ),
  },
  {
    fault: 'The TAP has a smaller MTU than the bridge',
    verdict: 'MTU_MISMATCH',
    hop: 'mtu',
    evidence: `${TAP} 1400, ${BRIDGE} 1500`,
    harmlessToPing: true,
    inject: onHost(`ip link set ${TAP} mtu 1400`, `ip link set ${BRIDGE} mtu 1500`),
  },
];
