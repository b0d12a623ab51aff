/** The fault gallery: what is done to a VM for real, and what a diagnosis must say of it. */
import type { HopName } from '../../src/diagnosis/decide.ts';
import type { VerdictCode } from '../../src/diagnosis/verdicts.ts';
import { addressOf } from '../lib/engine-stage.ts';
import { type GalleryStage, MOST_FLOWS, MOST_HALF_OPEN, PORT, SICK } from '../lib/gallery-stage.ts';

export interface Fault {
  readonly fault: string;
  readonly verdict: VerdictCode;
  /** Hop whose evidence shows it, and what stands there */
  readonly hop: HopName;
  readonly evidence: string;
  /** Port that is asked about */
  readonly port?: number;
  readonly inject: (stage: GalleryStage) => unknown;
}

const TAP = `vm${SICK}`;
const ADDRESS = addressOf(SICK);
/** The first address outside of the network */
const OUTSIDE = '10.1.1.1';

function filter(stage: GalleryStage, rule: string): void {
  stage.inGuest('nft', 'add table ip f; add chain ip f in { type filter hook input priority 0; }');
  stage.inGuest('nft', `add rule ip f in ${rule}`);
}

export const FAULTS: readonly Fault[] = [
  {
    fault: 'The TAP is deleted',
    verdict: 'TAP_MISSING',
    hop: 'tap',
    evidence: `there is no interface ${TAP}`,
    inject: (stage) => stage.onHost('ip', 'link', 'del', TAP),
  },
  {
    fault: 'The TAP is set down',
    verdict: 'TAP_DOWN',
    hop: 'tap',
    evidence: `${TAP} is down`,
    inject: (stage) => stage.setUp(TAP, false),
  },
  {
    fault: 'The TAP is enslaved to a bridge',
    verdict: 'TAP_ENSLAVED',
    hop: 'tap',
    evidence: `${TAP} belongs to br0`,
    inject: (stage) => {
      stage.onHost('ip', 'link', 'add', 'br0', 'type', 'bridge');
      stage.onHost('ip', 'link', 'set', TAP, 'master', 'br0');
    },
  },
  {
    fault: 'No process holds the TAP',
    verdict: 'VMM_ABSENT',
    hop: 'holder',
    evidence: 'fc-sick has no carrier',
    inject: (stage) => stage.register({ createTap: {} }),
  },
  {
    fault: 'The other end of the interface is down',
    verdict: 'NO_CARRIER',
    hop: 'holder',
    evidence: `${TAP} has no carrier`,
    inject: (stage) => stage.inGuest('ip', 'link', 'set', 'eth0', 'down'),
  },
  {
    fault: 'A VMM runs, the guest never brings its interface up',
    verdict: 'GUEST_SILENT',
    hop: 'frames',
    evidence: 'no frame seen from the guest',
    inject: async (stage) => {
      await stage.register({ createTap: {}, ip: ADDRESS });
      stage.holdTap('fc-sick');
    },
  },
  {
    fault: 'The guest loses its address',
    verdict: 'ARP_SILENT',
    hop: 'arp',
    evidence: `no answer to who has ${ADDRESS}`,
    inject: (stage) => stage.inGuest('ip', 'addr', 'flush', 'dev', 'eth0'),
  },
  {
    fault: 'The guest has another address than the registered one',
    verdict: 'GUEST_WRONG_IP',
    hop: 'address',
    evidence: `frames from another address than ${ADDRESS}`,
    inject: (stage) => {
      stage.inGuest('ip', 'addr', 'flush', 'dev', 'eth0');
      stage.inGuest('ip', 'addr', 'add', '10.1.0.77/24', 'dev', 'eth0');
      return stage.tryInGuest('ping -c 2 -i 0.2 -W 1 10.1.0.1');
    },
  },
  {
    fault: 'The guest has another MAC than the registered one',
    verdict: 'GUEST_WRONG_MAC',
    hop: 'address',
    evidence: '06:00:00:00:00:63 is registered',
    inject: (stage) => stage.register({ tap: TAP, ip: ADDRESS, mac: '06:00:00:00:00:63' }),
  },
  {
    fault: "The guest's firewall drops ping",
    verdict: 'ICMP_SILENT',
    hop: 'icmp',
    evidence: 'no answer to an echo request',
    inject: (stage) => filter(stage, 'icmp type echo-request drop'),
  },
  {
    fault: "The guest's firewall drops TCP to the port",
    verdict: 'TCP_SILENT',
    hop: 'tcp',
    evidence: `port ${PORT}: silent`,
    port: PORT,
    inject: (stage) => filter(stage, `tcp dport ${PORT} drop`),
  },
  {
    fault: "The guest's firewall answers TCP to the port with a reset",
    verdict: 'PORT_REFUSED',
    hop: 'tcp',
    evidence: `port ${PORT}: refused`,
    port: PORT,
    inject: (stage) => filter(stage, `tcp dport ${PORT} reject with tcp reset`),
  },
  {
    fault: 'The service has ended',
    verdict: 'PORT_REFUSED',
    hop: 'tcp',
    evidence: `port ${PORT}: refused`,
    port: PORT,
    inject: (stage) => stage.service.kill(),
  },
  {
    fault: 'The service takes connections and never answers',
    verdict: 'SERVICE_SILENT',
    hop: 'service',
    evidence: 'no banner, and no answer to an HTTP request',
    port: 5301,
    inject: (stage) => stage.serve(stage.sick.namespace, 'witness', 5301),
  },
  {
    fault: "The service's process is stopped",
    verdict: 'SERVICE_SILENT',
    hop: 'service',
    evidence: 'no banner, and no answer to an HTTP request',
    port: PORT,
    inject: (stage) => {
      stage.service.child.kill('SIGSTOP');
    },
  },
  {
    fault: 'The VMM is stopped',
    verdict: 'VMM_STOPPED',
    hop: 'holder',
    evidence: 'holds fc-sick, stopped',
    inject: async (stage) => {
      await stage.register({ createTap: {}, ip: ADDRESS });
      (await stage.holdElsewhere('fc-sick')).kill('SIGSTOP');
    },
  },
  {
    fault: 'Two machines behind the TAP have the address',
    verdict: 'ADDRESS_DUPLICATE',
    hop: 'arp',
    evidence: `${ADDRESS} is claimed by`,
    inject: (stage) => {
      stage.inGuest('ip', 'link', 'add', 'twin', 'link', 'eth0', 'type', 'macvlan', 'mode', 'bridge');
      stage.inGuest('ip', 'link', 'set', 'twin', 'up');
    },
  },
  {
    fault: "The guest's firewall rejects TCP to the port by ICMP",
    verdict: 'PORT_REFUSED',
    hop: 'tcp',
    evidence: `port ${PORT}: refused`,
    port: PORT,
    inject: (stage) => filter(stage, `tcp dport ${PORT} reject`),
  },
  {
    fault: "The service listens on the guest's 127.0.0.1 alone",
    verdict: 'PORT_REFUSED',
    hop: 'tcp',
    evidence: 'port 5302: refused',
    port: 5302,
    inject: (stage) => stage.listenOnLoopback(5302),
  },
  {
    fault: 'The TAP is held by another program than the registered VMM',
    verdict: 'VMM_FOREIGN',
    hop: 'holder',
    evidence: 'not firecracker',
    inject: async (stage) => {
      await stage.register({ createTap: {}, ip: ADDRESS, vmm: 'firecracker' });
      await stage.holdElsewhere('fc-sick');
    },
  },
  {
    fault: 'The guest takes a wider network for its own',
    verdict: 'GUEST_WRONG_MASK',
    hop: 'route',
    evidence: `it asks for ${OUTSIDE} by ARP`,
    inject: (stage) => {
      stage.inGuest('ip', 'addr', 'flush', 'dev', 'eth0');
      stage.inGuest('ip', 'addr', 'add', `${ADDRESS}/16`, 'dev', 'eth0');
    },
  },
  {
    fault: 'The guest has another default gateway',
    verdict: 'GUEST_WRONG_GATEWAY',
    hop: 'route',
    evidence: 'it asks for 10.1.0.250 by ARP',
    inject: (stage) => stage.inGuest('ip', 'route', 'replace', 'default', 'via', '10.1.0.250'),
  },
  {
    fault: 'The guest takes shorter packets than the network has',
    verdict: 'MTU_TOO_SMALL',
    hop: 'mtu',
    evidence: 'an echo request of 1500 bytes is',
    inject: (stage) => stage.inGuest('ip', 'link', 'set', 'eth0', 'mtu', '1280'),
  },
  {
    fault: 'The TAP takes shorter packets than the network has',
    verdict: 'MTU_TOO_SMALL',
    hop: 'mtu',
    evidence: `${TAP} takes 1400 bytes`,
    inject: (stage) => stage.onHost('ip', 'link', 'set', TAP, 'mtu', '1400'),
  },
  {
    fault: 'The guest also sends with an address that is not its own',
    verdict: 'GUEST_SPOOFING',
    hop: 'address',
    evidence: 'frames with another sender',
    inject: (stage) => {
      stage.inGuest('ip', 'addr', 'add', '10.1.0.99/24', 'dev', 'eth0');
      return stage.tryInGuest('ping -c 8 -i 0.1 -W 1 -I 10.1.0.99 10.1.0.1');
    },
  },
  {
    fault: 'The guest lost its registered IPv6 address',
    verdict: 'NDP_SILENT',
    hop: 'ndp',
    evidence: 'no answer to a solicitation',
    inject: (stage) => stage.register({ tap: TAP, ip: ADDRESS, ip6: 'fd00:1::11' }),
  },
  {
    fault: 'The VM has as many connections as it may have',
    verdict: 'FLOW_LIMIT',
    hop: 'flows',
    evidence: `of ${MOST_FLOWS} TCP flows`,
    port: PORT,
    inject: (stage) => stage.connectByForward(PORT, MOST_FLOWS),
  },
  {
    fault: 'The VM has as many connections that are not open yet as it may have',
    verdict: 'HALF_OPEN_LIMIT',
    hop: 'flows',
    evidence: `${MOST_HALF_OPEN} of ${MOST_HALF_OPEN} half open`,
    inject: async (stage) => {
      filter(stage, 'tcp dport 5303 drop');
      await stage.connectByForward(5303, MOST_HALF_OPEN);
    },
  },
  {
    fault: "A forward's host port is taken by another process when the daemon starts",
    verdict: 'FORWARD_TAKEN',
    hop: 'switch',
    evidence: '127.0.0.1:15300/tcp is in use',
    inject: async (stage) => {
      await stage.register({ tap: TAP, ip: ADDRESS, forwards: [`15300:${PORT}`] });
      await stage.stopDaemon();
      await stage.takePort(15300);
      await stage.startDaemon();
    },
  },
  {
    fault: 'An outbound rule denies what the guest asks for',
    verdict: 'EGRESS_DENIED',
    hop: 'egress',
    evidence: 'denied of late',
    inject: (stage) => stage.probe(stage.sick.namespace, '10.99.0.1', 443),
  },
  {
    fault: 'No name server answers the questions of the guest',
    verdict: 'DNS_DOWN',
    hop: 'dns',
    evidence: '127.0.0.1:9 is silent',
    inject: (stage) => stage.tryInGuest('dig +tries=1 +time=3 @10.1.0.1 example.test'),
  },
  {
    fault: "Another interface has a route for the guest's address",
    verdict: 'ROUTE_SHADOWED',
    hop: 'host-route',
    evidence: `the host sends to ${ADDRESS} by other0`,
    inject: (stage) => {
      stage.onHost('ip', 'link', 'add', 'other0', 'type', 'veth', 'peer', 'name', 'other1');
      stage.onHost('ip', 'link', 'set', 'other0', 'up');
      stage.onHost('ip', 'route', 'add', `${ADDRESS}/32`, 'dev', 'other0');
    },
  },
  {
    fault: 'A bridge of the host still has the subnet',
    verdict: 'SUBNET_ON_BRIDGE',
    hop: 'host-route',
    evidence: `the host sends to ${ADDRESS} by br0`,
    inject: (stage) => {
      stage.onHost('ip', 'link', 'add', 'br0', 'type', 'bridge');
      stage.onHost('ip', 'link', 'set', 'br0', 'up');
      // No more of it than the sick VM's address, for the well one's sake
      stage.onHost('ip', 'addr', 'add', '10.1.0.10/31', 'dev', 'br0');
    },
  },
  {
    fault: "The host's firewall drops what the guest answers the host",
    verdict: 'HOST_FIREWALL',
    hop: 'host-stack',
    evidence: 'the host hears nothing',
    port: PORT,
    inject: (stage) => {
      stage.onHost('nft', 'add table ip f; add chain ip f in { type filter hook input priority 0; }');
      stage.onHost('nft', `add rule ip f in ip saddr ${ADDRESS} drop`);
    },
  },
  {
    fault: 'The datapath thread of the VM hangs',
    verdict: 'WORKER_DEAD',
    hop: 'worker',
    evidence: 'heartbeat stands still',
    inject: (stage) => stage.wedgeWorker(),
  },
  {
    fault: 'A real guest hangs with its VMM (QEMU, stopped)',
    verdict: 'VMM_STOPPED',
    hop: 'holder',
    evidence: 'holds fc-sick, stopped',
    inject: async (stage) => {
      const { pid } = await stage.bootQemu();
      process.kill(pid, 'SIGSTOP');
      stage.atEnd(() => process.kill(pid, 'SIGCONT'));
    },
  },
  {
    fault: 'A real guest reboots, and its VMM ends with that',
    verdict: 'VMM_ABSENT',
    hop: 'holder',
    evidence: 'fc-sick has no carrier',
    inject: async (stage) => {
      const guest = await stage.bootQemu();
      await guest.run('reboot -f').catch(() => {});
    },
  },
];
