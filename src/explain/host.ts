/** The host's flow: by a forward where it goes to one of the host's own addresses, else over the host port. */
import { formatEndpoint, formatIp, type IpWords, ipv4Words, isIpv4 } from '../config/ip.ts';
import type { Scene, SceneNetwork, SceneVm } from '../engine/scene.ts';
import type { ForwardState } from '../forward/vm-forwards.ts';
import { hasTcpRoom } from '../gateway/tcp/flow-table.ts';
import { forwardAddress, missingToAsk, NO_MAC, NOTHING_MISSING, OPEN_FAILURES } from '../gateway/tcp/held.ts';
import { takesForwarded } from '../gateway/udp/forwards.ts';
import type { ExplainedOutcome, ExplainedStep } from '../resources/explanation.ts';
import { KIND_HOST } from '../switch/tables.ts';
import { dropReason, FLOOD } from '../switch/verdict.ts';
import type { DropReason } from '../telemetry/drops.ts';
import * as arp from '../wire/arp.ts';
import * as ethernet from '../wire/ethernet.ts';
import { macOf } from '../wire/mac.ts';
import { arpRequest, echoRequest, plainFrame, tcpSyn, udpDatagram } from './frames.ts';
import { addressOfVm, knownMac } from './guest.ts';
import { reasonName } from './guest-frame.ts';
import { saidFamily } from './identity.ts';
import { macAt, macText, networkOf, portName, vmOf } from './names.ts';
import { type Question, questionError } from './question.ts';
import type { Account, Explanation } from './steps.ts';
import type { TrialResult } from './trial.ts';

interface Way {
  readonly vm: SceneVm;
  readonly forward: ForwardState;
}

/** The forward that takes what comes to an address and port of the host's. */
function forwardAt(scene: Scene, protocol: string, address: IpWords, port: number): Way | undefined {
  const listeners = [formatEndpoint(address, port)];
  if (isIpv4(address)) listeners.push(formatEndpoint(ipv4Words(0), port));
  for (const vm of scene.vms()) {
    const forward = vm.forwards.find((one) => one.protocol === protocol && listeners.includes(one.host));
    if (forward !== undefined) return { vm, forward };
  }
  return undefined;
}

function tellForward(account: Account, { vm, forward }: Way): Explanation {
  const { tables, use } = account.scene;
  const { host, protocol, guestPort } = forward;
  const by = forward.identity ? `built in: loopback identity of ${vm.id}` : `vms.${vm.id}.forwards`;
  account.pass('forward', `${host} leads to port ${guestPort} of ${vm.id}, over ${protocol}`);
  const address = forwardAddress(tables, vm.port);
  const outcome = (): ExplainedOutcome => ({
    action: 'connect',
    to: formatEndpoint(ipv4Words(address), guestPort),
    by,
  });
  if (protocol === 'udp') {
    const lost: ExplainedOutcome = { action: 'drop', reason: 'port-down', by };
    if (!takesForwarded(tables, vm.port)) {
      return account.drop('carrier', `${vm.id} has no carrier, or its addresses are not known`, lost);
    }
    return account.decide('forward', `the datagram goes to ${vm.id}`, outcome());
  }
  if (!hasTcpRoom(use, vm.port)) {
    const full: ExplainedOutcome = {
      action: 'refuse',
      reason: 'flow-limit',
      by: `networks.${vm.network}.limits`,
    };
    return account.drop('limits', 'the VM has as many connections as it may have', full);
  }
  account.pass('limits', 'the VM may have one more');
  const missing = missingToAsk(tables, vm.port, address);
  if (missing === NOTHING_MISSING) {
    return account.decide('forward', 'it is held until the guest answers the SYN', outcome());
  }
  if (missing === NO_MAC) {
    return account.decide('forward', 'it is held: the guest is asked for its MAC first', outcome());
  }
  const reason = OPEN_FAILURES[missing] as DropReason;
  const what =
    reason === 'forward-no-carrier' ? `no process holds the TAP of ${vm.id}` : `${vm.id} has no address`;
  const given: ExplainedOutcome = { action: 'refuse', reason, by: `${by} (wait)` };
  return account.drop('forward', `${what}: held for as long as the forward waits, then reset`, given);
}

/** The host's own frame over the host port of a network. */
class HostFrame {
  readonly #account: Account;
  readonly #network: SceneNetwork;
  readonly #port: number;

  constructor(account: Account, network: SceneNetwork) {
    this.#account = account;
    this.#network = network;
    this.#port = account.scene.tables.hostPort(network.number);
  }

  tell({ protocol, port, column }: Question, address: IpWords): Explanation {
    const account = this.#account;
    const { tables } = account.scene;
    const from = macAt(account.scene, this.#port);
    const own = tables.hostAddress(this.#network.number);
    const source = saidFamily(ipv4Words(own), address, column);
    account.pass('host-port', `${formatIp(source)} of ${this.#network.name} is the host's way there`);
    const asked = account.send(this.#port, arpRequest(from, own, address[3]));
    if (protocol === 'arp' || asked.verdict !== this.#port) return this.#verdict('arp', asked);
    const answer = ethernet.ETHERNET_HEADER_BYTES;
    const to = macOf(arp.senderHigh(asked.frame, answer), arp.senderLow(asked.frame, answer));
    account.pass('arp', `${formatIp(address)} is at ${macText(account.scene, this.#network.number, to)}`);
    const link = { from, to };
    const ends = { source, destination: address };
    if (protocol === 'icmp')
      return this.#verdict('carrier', account.send(this.#port, echoRequest(link, ends)));
    const build = protocol === 'tcp' ? tcpSyn : udpDatagram;
    return this.#verdict('carrier', account.send(this.#port, build(link, ends, port as number)));
  }

  tellPlain(to: number): Explanation {
    const account = this.#account;
    const from = macAt(account.scene, this.#port);
    account.pass('host-port', `to ${macText(account.scene, this.#network.number, to)}`);
    return this.#verdict('fdb', account.send(this.#port, plainFrame({ from, to })));
  }

  #verdict(rule: ExplainedStep['rule'], { verdict, refused }: TrialResult): Explanation {
    const account = this.#account;
    const by = `networks.${this.#network.name}.hostPort`;
    if (refused !== undefined) {
      const reason = reasonName(refused);
      return account.drop(rule, 'answered with an ICMP error', {
        action: 'refuse',
        reason,
        by: `built in: ${rule}`,
      });
    }
    if (verdict < FLOOD) {
      const reason = reasonName(dropReason(verdict));
      return account.drop(rule, 'there is nobody to have it', {
        action: 'drop',
        reason,
        by: `built in: ${rule}`,
      });
    }
    if (verdict === FLOOD) return account.decide(rule, 'all VMs are asked', { action: 'flood', by });
    if (verdict === this.#port) return account.decide(rule, 'the gateway answers', { action: 'gateway', by });
    const to = portName(account.scene, verdict);
    return account.decide(rule, `${to} has it; the host may begin any flow`, { action: 'forward', to, by });
  }
}

/** A network with a host port that has the address in its subnet. */
function networkWith({ networks, tables }: Scene, address: IpWords): SceneNetwork | undefined {
  if (!isIpv4(address)) return undefined;
  for (const network of networks) {
    const port = tables.hostPort(network.number);
    if (port !== 0 && tables.kind(port) === KIND_HOST && tables.inSubnet(network.number, address[3]))
      return network;
  }
  return undefined;
}

function toVm(question: Question, id: string, account: Account): Explanation {
  const { scene } = account;
  const { protocol, port, column } = question;
  const vm = vmOf(scene, id);
  const network = networkOf(scene, scene.tables.network(vm.port));
  if (scene.tables.hostPort(network.number) !== 0) {
    const frame = new HostFrame(account, network);
    if (protocol !== 'frame') return frame.tell(question, addressOfVm(scene, id, column));
    return frame.tellPlain(knownMac(scene, id, column));
  }
  account.pass('host-port', `${network.name} has none: only forwards lead to ${id}`);
  const forward = vm.forwards.find((one) => one.protocol === protocol && one.guestPort === port);
  if (forward !== undefined) return tellForward(account, { vm, forward });
  const none: ExplainedOutcome = { action: 'refuse', by: `vms.${id}.forwards` };
  return account.drop('forward', `none leads to that port of ${id}`, none);
}

/** Explains a flow of the host's. Throws VM_UNKNOWN, EXPLAIN_INVALID. */
export function explainHost(question: Question, account: Account): Explanation {
  const { destination, protocol, port, column } = question;
  const { scene } = account;
  if (destination.kind === 'vm') return toVm(question, destination.id, account);
  if (destination.kind !== 'address') {
    throw questionError(column, 'the host has a way to each network: name a VM or an address');
  }
  const { address } = destination;
  const way = port === undefined ? undefined : forwardAt(scene, protocol, address, port);
  if (way !== undefined) return tellForward(account, way);
  const network = networkWith(scene, address);
  if (network !== undefined) return new HostFrame(account, network).tell(question, address);
  const none: ExplainedOutcome = { action: 'refuse', by: 'vms.ID.forwards' };
  return account.drop(
    'forward',
    'none listens there, and no network with a host port has that address',
    none,
  );
}
