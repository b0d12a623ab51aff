/** The fault gallery: what is done to a VM for real, and what a diagnosis must say of it. */
import type { HopName } from '../../src/diagnosis/decide.ts';
import type { VerdictCode } from '../../src/diagnosis/verdicts.ts';
import { addressOf } from '../lib/engine-stage.ts';
import { type GalleryStage, PORT, SICK } from '../lib/gallery-stage.ts';

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

/** Sends something from the guest. */
const ping = (stage: GalleryStage) =>
  stage.run('nsenter', `--net=${stage.sick.namespace}`, 'sh', '-c', 'ping -c 2 -i 0.2 -W 1 10.1.0.1 || true');

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
      return ping(stage);
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
    verdict: 'TCP_SILENT',
    hop: 'tcp',
    evidence: `port ${PORT}: silent`,
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
];
