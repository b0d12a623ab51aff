/** A VM's flow: where it goes, whom it has to ask for the way, and what becomes of the frame. */
import { formatIp, type IpWords, ipv4Words, isIpv4, isSameIp } from '../config/ip.ts';
import type { Scene, SceneVm } from '../engine/scene.ts';
import { isInOwnSubnet } from '../gateway/own-addresses.ts';
import {
  GATEWAY_LINK_LOCAL0,
  GATEWAY_LINK_LOCAL1,
  GATEWAY_LINK_LOCAL2,
  GATEWAY_LINK_LOCAL3,
} from '../switch/gateway-mac.ts';
import { NONE } from '../switch/shared-map.ts';
import { ADDRESS_UNKNOWN } from '../switch/tables.ts';
import { FLOOD } from '../switch/verdict.ts';
import * as arp from '../wire/arp.ts';
import * as ethernet from '../wire/ethernet.ts';
import { macOf } from '../wire/mac.ts';
import {
  arpRequest,
  BROADCAST_MAC,
  echoRequest,
  groupMac,
  isGroup,
  neighbourSolicitation,
  plainFrame,
  tcpSyn,
  udpDatagram,
} from './frames.ts';
import { type GuestFrame, GuestFrameAccount } from './guest-frame.ts';
import { type Identity, identityOf, ownAddress, saidAddress } from './identity.ts';
import { GATEWAY_MAC, macAt, macText, vmOf } from './names.ts';
import { type Question, questionError, type VmSource } from './question.ts';
import type { Account, Explanation } from './steps.ts';
import type { TrialResult } from './trial.ts';

const GATEWAY_LINK_LOCAL: IpWords = [
  GATEWAY_LINK_LOCAL0,
  GATEWAY_LINK_LOCAL1,
  GATEWAY_LINK_LOCAL2,
  GATEWAY_LINK_LOCAL3,
];
const LIMITED_BROADCAST = ipv4Words(0xffffffff);

/** Address of another VM: its own, or the one DHCP offers it. Throws EXPLAIN_INVALID where it has neither. */
export function addressOfVm(scene: Scene, id: string, column: number): IpWords {
  const { ip } = identityOf(scene, vmOf(scene, id).port);
  if (ip !== 0) return ipv4Words(ip);
  throw questionError(column, `${id} has no address yet: name one instead`);
}

/** MAC of another VM. Throws EXPLAIN_INVALID while it is not known. */
export function knownMac(scene: Scene, id: string, column: number): number {
  const { mac, macKnown } = identityOf(scene, vmOf(scene, id).port);
  if (macKnown !== undefined) return mac;
  throw questionError(column, `${id} has no MAC yet: name one instead`);
}

class GuestQuestion {
  readonly #question: Question;
  readonly #source: VmSource;
  readonly #account: Account;
  readonly #scene: Scene;
  readonly #vm: SceneVm;
  readonly #identity: Identity;
  readonly #network: number;

  constructor(question: Question, source: VmSource, account: Account) {
    this.#question = question;
    this.#source = source;
    this.#account = account;
    this.#scene = account.scene;
    this.#vm = vmOf(this.#scene, source.id);
    this.#identity = identityOf(this.#scene, this.#vm.port);
    this.#network = this.#scene.tables.network(this.#vm.port);
  }

  explain(): Explanation {
    const { protocol, port } = this.#question;
    const from = this.#source.mac ?? this.#identity.mac;
    const { id, port: ingress } = this.#vm;
    if (!this.#scene.tables.carrier(ingress)) {
      this.#account.pass('carrier', `no process holds the TAP of ${id}: told as if one did`);
    }
    if (protocol === 'frame') {
      const to = this.#destinationMac();
      return this.#tell(plainFrame({ from, to }), { from, to, sender: undefined, target: undefined });
    }
    const address = this.#destinationAddress();
    const own = ownAddress(this.#scene, this.#vm, this.#identity, address);
    const sender = saidAddress(this.#question, this.#source, own, address);
    const target = { address, port };
    if (protocol === 'arp') {
      const frame = arpRequest(from, sender[3], address[3]);
      return this.#tell(frame, { from, to: BROADCAST_MAC, sender, target, asks: 'arp' });
    }
    const hop = this.#nextHop(address, own ?? sender);
    if (typeof hop !== 'number') return hop;
    const link = { from, to: hop };
    const ends = { source: sender, destination: address };
    const framed = { ...link, sender, target };
    if (protocol === 'icmp') return this.#tell(echoRequest(link, ends), framed);
    const build = protocol === 'tcp' ? tcpSyn : udpDatagram;
    return this.#tell(build(link, ends, port as number), framed);
  }

  #tell(frame: Uint8Array, about: Omit<GuestFrame, 'vm' | 'identity'>): Explanation {
    const result = this.#account.send(this.#vm.port, frame);
    return this.#told(result, about);
  }

  #told(result: TrialResult, about: Omit<GuestFrame, 'vm' | 'identity'>): Explanation {
    const framed = { ...about, vm: this.#vm, identity: this.#identity };
    return new GuestFrameAccount(this.#account, framed).tell(result);
  }

  /** Throws EXPLAIN_INVALID where there is none. */
  #hostPort(): number {
    const port = this.#scene.tables.hostPort(this.#network);
    if (port !== 0) return port;
    throw questionError(this.#question.column, `the network ${this.#vm.network} has no host port`);
  }

  #destinationMac(): number {
    const { destination, column } = this.#question;
    switch (destination.kind) {
      case 'mac':
        return destination.mac;
      case 'host':
        return macAt(this.#scene, this.#hostPort());
      case 'vm':
        return knownMac(this.#scene, destination.id, column);
      default:
        return GATEWAY_MAC;
    }
  }

  #destinationAddress(): IpWords {
    const { tables } = this.#scene;
    const { destination, column } = this.#question;
    switch (destination.kind) {
      case 'address':
        return destination.address;
      case 'vm':
        return addressOfVm(this.#scene, destination.id, column);
      case 'host':
        this.#hostPort();
        return ipv4Words(tables.hostAddress(this.#network));
      default: {
        const { address } = this.#source;
        if (address === undefined || isIpv4(address)) return ipv4Words(tables.gatewayAddress(this.#network));
        return GATEWAY_LINK_LOCAL;
      }
    }
  }

  /** MAC the packet is sent to, or what became of the question for it. */
  #nextHop(address: IpWords, asker: IpWords): number | Explanation {
    if (isIpv4(address)) return this.#nextHop4(address, asker);
    return isGroup(address) ? groupMac(address) : this.#nextHop6(address, asker);
  }

  #nextHop4(address: IpWords, asker: IpWords): number | Explanation {
    const { tables } = this.#scene;
    if (isGroup(address)) return groupMac(address);
    const inside = tables.inSubnet(this.#network, address[3]);
    if (isSameIp(address, LIMITED_BROADCAST) || (inside && tables.isBroadcast(this.#network, address[3]))) {
      return BROADCAST_MAC;
    }
    const hop = inside ? address[3] : tables.gatewayAddress(this.#network);
    const from = this.#identity.mac;
    const result = this.#account.send(this.#vm.port, arpRequest(from, asker[3], hop));
    if (result.verdict !== this.#vm.port) {
      const target = { address: ipv4Words(hop), port: undefined };
      return this.#told(result, { from, to: BROADCAST_MAC, sender: asker, target, asks: 'arp' });
    }
    const answer = ethernet.ETHERNET_HEADER_BYTES;
    const mac = macOf(arp.senderHigh(result.frame, answer), arp.senderLow(result.frame, answer));
    this.#found('arp', ipv4Words(hop), mac);
    return mac;
  }

  #nextHop6(address: IpWords, asker: IpWords): number | Explanation {
    const { tables } = this.#scene;
    const inside = isInOwnSubnet(tables, this.#network, ...address) || address[0] >>> 22 === 0xfe80 >>> 6;
    const hop = inside ? address : GATEWAY_LINK_LOCAL;
    const from = this.#identity.mac;
    const result = this.#account.send(this.#vm.port, neighbourSolicitation(from, asker, hop));
    if (result.verdict === this.#vm.port) {
      this.#found('neighbour-discovery', hop, GATEWAY_MAC);
      return GATEWAY_MAC;
    }
    const holder = tables.portOfIpv6(this.#network, ...hop);
    // Everybody heard the question; whoever has the address answers.
    if (result.verdict === FLOOD && holder !== NONE && tables.macState(holder) !== ADDRESS_UNKNOWN) {
      const mac = macAt(this.#scene, holder);
      this.#found('neighbour-discovery', hop, mac);
      return mac;
    }
    const target = { address: hop, port: undefined };
    return this.#told(result, {
      from,
      to: BROADCAST_MAC,
      sender: asker,
      target,
      asks: 'neighbour-discovery',
    });
  }

  #found(rule: 'arp' | 'neighbour-discovery', address: IpWords, mac: number): void {
    this.#account.pass(rule, `${formatIp(address)} is at ${macText(this.#scene, this.#network, mac)}`);
  }
}

/** Explains the flow of a VM. Throws VM_UNKNOWN, EXPLAIN_INVALID. */
export function explainGuest(question: Question, source: VmSource, account: Account): Explanation {
  return new GuestQuestion(question, source, account).explain();
}
