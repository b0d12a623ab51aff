/** What became of a guest's frame, told rule by rule: the codes that the datapath's functions gave, put in words. */
import { formatEndpoint, formatIp, type IpWords, ipv4Words, isIpv4 } from '../config/ip.ts';
import type { SceneVm } from '../engine/scene.ts';
import { isRefusal, TO_NAME_SERVER, TO_OUTSIDE } from '../gateway/destination.ts';
import type { ExplainedOutcome, ExplainedStep } from '../resources/explanation.ts';
import { SOURCE_OK } from '../switch/source-policy.ts';
import { dropReason, FLOOD, KEPT } from '../switch/verdict.ts';
import { LOOPBACK } from '../sys/inet-socket.ts';
import { DROP, DROP_REASONS, type DropReason } from '../telemetry/drops.ts';
import { addressDetail, type Identity, macDetail } from './identity.ts';
import { macText, networkOf, portName, ruleText } from './names.ts';
import type { Account, Explanation } from './steps.ts';
import type { TrialResult } from './trial.ts';

/** The frame that was tried. */
export interface GuestFrame {
  readonly vm: SceneVm;
  readonly identity: Identity;
  /** MACs, 48 bits */
  readonly from: number;
  readonly to: number;
  /** Sender in the packet; undefined where there is none */
  readonly sender: IpWords | undefined;
  /** Where the flow goes, as the guest sees it */
  readonly target: { readonly address: IpWords; readonly port: number | undefined } | undefined;
  /** What it is where it asks for a MAC */
  readonly asks?: 'arp' | 'neighbour-discovery';
}

const DETAILS: Readonly<Partial<Record<DropReason, string>>> = {
  isolated: 'VMs of an isolated network reach neither each other nor groups',
  'unknown-unicast': 'no port has that MAC',
  hairpin: 'it is for the port it came from',
  'port-down': 'no process holds the TAP of the VM it is for',
  'reserved-multicast': 'no bridge forwards 01:80:c2:00:00:0x',
  'host-address-denied': "guests reach the host at the host port's own IPv4 address only",
  'host-flow-denied': "neither an answer to a flow of the host's, nor for a port in allowFromGuests",
  'no-service': 'the gateway offers nothing there',
  prohibited: 'the gateway has no way there',
  'flow-limit': 'the VM has as many connections as it may have',
};

const RULES: Readonly<Partial<Record<DropReason, ExplainedStep['rule']>>> = {
  isolated: 'mode',
  'unknown-unicast': 'fdb',
  hairpin: 'fdb',
  'port-down': 'carrier',
  'reserved-multicast': 'destination',
  'host-address-denied': 'host-policy',
  'host-flow-denied': 'host-policy',
  'spoofed-ip': 'host-policy',
  'no-service': 'service',
  'flow-limit': 'limits',
};

export function reasonName(reason: number): DropReason {
  return DROP_REASONS[reason] as DropReason;
}

export class GuestFrameAccount {
  readonly #account: Account;
  readonly #frame: GuestFrame;
  readonly #network: { readonly name: string; readonly number: number };

  constructor(account: Account, frame: GuestFrame) {
    this.#account = account;
    this.#frame = frame;
    const { scene } = account;
    this.#network = networkOf(scene, scene.tables.network(frame.vm.port));
  }

  /** The whole way of the frame, which came to `result`. */
  tell(result: TrialResult): Explanation {
    const spoofed = this.#sender(result);
    if (spoofed !== undefined) return spoofed;
    return result.byGateway ? this.#atGateway(result) : this.#switched(result);
  }

  /** Source policy: what it passes is a step, what it drops the end. */
  #sender({ source }: TrialResult): Explanation | undefined {
    const { vm, identity, from, sender } = this.#frame;
    const account = this.#account;
    if (source === DROP['spoofed-mac']) {
      const by = `vms.${vm.id}.mac`;
      const outcome: ExplainedOutcome = { action: 'drop', reason: 'spoofed-mac', by };
      return account.drop('source-mac', macDetail(vm, identity, from, false), outcome);
    }
    account.pass('source-mac', macDetail(vm, identity, from, true));
    if (source !== SOURCE_OK) {
      const outcome: ExplainedOutcome = { action: 'drop', reason: reasonName(source), by: `vms.${vm.id}.ip` };
      const detail = sender === undefined ? 'the packet is none' : addressDetail(vm, identity, sender, false);
      return account.drop('source-ip', detail, outcome);
    }
    if (sender !== undefined) account.pass('source-ip', addressDetail(vm, identity, sender, true));
    return undefined;
  }

  #dropped(reason: DropReason, action: 'drop' | 'refuse', rule = RULES[reason] ?? 'gateway'): Explanation {
    const account = this.#account;
    return account.drop(rule, DETAILS[reason] ?? reason, { action, reason, by: this.#changedBy(rule) });
  }

  /** Where a rule can be changed. */
  #changedBy(rule: ExplainedStep['rule']): string {
    const network = `networks.${this.#network.name}`;
    switch (rule) {
      case 'mode':
        return `${network}.mode`;
      case 'host-policy':
        return `${network}.hostPort.allowFromGuests`;
      case 'service':
        return `${network}.hostServices`;
      case 'limits':
        return `${network}.limits`;
      default:
        return `built in: ${rule}`;
    }
  }

  #switched({ verdict }: TrialResult): Explanation {
    const account = this.#account;
    const { scene } = account;
    const { to, vm } = this.#frame;
    account.pass('destination', `to ${macText(scene, this.#network.number, to)}`);
    if (verdict < FLOOD) return this.#dropped(reasonName(dropReason(verdict)), 'drop');
    const by = this.#changedBy('mode');
    const name = this.#network.name;
    if (verdict === FLOOD) {
      return account.decide('mode', `${name} is shared: to its other VMs, within a rate`, {
        action: 'flood',
        by,
      });
    }
    const receiver = portName(scene, verdict);
    if (receiver === 'host') {
      const outcome: ExplainedOutcome = { action: 'forward', to: 'host', by: this.#changedBy('host-policy') };
      return account.decide('host-policy', 'guests may begin flows to that port, or it answers one', outcome);
    }
    account.pass('mode', `${name} is shared`);
    account.pass('carrier', `a process holds the TAP of ${receiver}`);
    const fast = this.#isFast(vm, receiver);
    const detail = fast
      ? 'taken: the kernel hands it over, and the datapath sees nothing of it'
      : 'not taken: the datapath carries it';
    return account.decide('fast-path', detail, { action: 'forward', to: receiver, by });
  }

  #isFast(vm: SceneVm, receiver: string): boolean {
    const { sender } = this.#frame;
    if (vm.fastPath === undefined || sender === undefined || !isIpv4(sender)) return false;
    for (const other of this.#account.scene.vms())
      if (other.id === receiver) return other.fastPath === vm.fastPath;
    return false;
  }

  #atGateway(result: TrialResult): Explanation {
    const account = this.#account;
    const { asks, vm } = this.#frame;
    const { verdict, refused, flow, asksName } = result;
    if (asks !== undefined) return this.#asked(asks, verdict);
    account.pass('destination', `to ${macText(account.scene, this.#network.number, this.#frame.to)}`);
    if (asksName || flow?.destination === TO_NAME_SERVER) {
      const outcome: ExplainedOutcome = {
        action: 'gateway',
        to: 'name server',
        by: `networks.${this.#network.name}.dns`,
      };
      return account.decide('name-server', "the gateway's name server answers", outcome);
    }
    if (flow !== undefined) return this.#flow(result, flow);
    if (refused !== undefined) return this.#dropped(reasonName(refused), 'refuse');
    if (verdict < FLOOD) return this.#dropped(reasonName(dropReason(verdict)), 'drop');
    if (verdict === FLOOD) {
      const by = this.#changedBy('mode');
      return account.decide('mode', 'for the other VMs to hear, within a rate', { action: 'flood', by });
    }
    const outcome: ExplainedOutcome = { action: 'gateway', by: this.#changedBy('gateway') };
    if (verdict === vm.port) return account.decide('gateway', 'the gateway answers', outcome);
    return account.decide('gateway', 'the gateway takes it, and needs no answer', outcome);
  }

  /** Who has an address: answered, passed on, or lost. */
  #asked(rule: 'arp' | 'neighbour-discovery', verdict: number): Explanation {
    const account = this.#account;
    const { vm } = this.#frame;
    if (verdict < FLOOD) {
      const reason = reasonName(dropReason(verdict));
      return this.#dropped(reason, 'drop', RULES[reason] ?? rule);
    }
    const mode = this.#changedBy('mode');
    if (verdict === FLOOD) {
      return account.decide(rule, 'no VM is known to have it: all are asked', { action: 'flood', by: mode });
    }
    if (verdict === vm.port) {
      return account.decide(rule, 'the gateway answers', { action: 'gateway', by: `built in: ${rule}` });
    }
    const to = portName(account.scene, verdict);
    return account.decide(rule, `${to} is asked itself: its MAC is not known yet`, {
      action: 'forward',
      to,
      by: mode,
    });
  }

  #flow({ verdict, refused }: TrialResult, flow: NonNullable<TrialResult['flow']>): Explanation {
    const account = this.#account;
    const { destination, rule } = flow;
    const { vm, target } = this.#frame;
    const ruled = ruleText(account.scene, vm, rule);
    if (isRefusal(destination)) {
      const reason = reasonName(refused ?? dropReason(verdict));
      if (reason !== 'egress-denied') {
        // Of an address in the subnet: by way of the gateway no VM reaches another, whatever the mode.
        return this.#dropped(reason, 'refuse', reason === 'isolated' ? 'gateway' : 'service');
      }
      return account.drop('egress', ruled, { action: 'refuse', reason, by: ruled });
    }
    if (destination === TO_OUTSIDE) account.pass('egress', ruled);
    else account.pass('service', `the gateway's port stands for 127.0.0.1:${destination} of the host`);
    if (verdict !== KEPT) return this.#dropped(reasonName(dropReason(verdict)), 'drop', 'limits');
    account.pass('limits', 'the VM may have one more');
    const isOutside = destination === TO_OUTSIDE;
    const to = isOutside ? targetText(target) : formatEndpoint(ipv4Words(LOOPBACK), destination);
    const outcome: ExplainedOutcome = {
      action: 'connect',
      to,
      by: isOutside ? ruled : this.#changedBy('service'),
    };
    return account.decide('gateway', `the host makes a connection of its own to ${to}`, outcome);
  }
}

function targetText(target: GuestFrame['target']): string {
  if (target === undefined) throw new Error('a flow without an address');
  const { address, port } = target;
  return port === undefined ? formatIp(address) : formatEndpoint(address, port);
}
