/** Who a VM is when it sends: what the switch knows of it, and what it would use where that is nothing yet. */
import { formatIp, type IpWords, ipv4Words, isIpv4 } from '../config/ip.ts';
import type { Scene, SceneVm } from '../engine/scene.ts';
import { ADDRESS_CONFIGURED, ADDRESS_UNKNOWN } from '../switch/tables.ts';
import { formatMac, macHigh, macLow } from '../wire/mac.ts';
import { macAt } from './names.ts';
import { type Question, questionError, type VmSource } from './question.ts';

const UNIVERSAL_BIT = 0x0200;
const LINK_LOCAL: readonly [number, number] = [0xfe800000 | 0, 0];

/** What the switch knew before the first frame that is tried: later ones find learned what the first one said. */
export interface Identity {
  /** MAC it sends from when nothing else is said; one made up where none is known */
  readonly mac: number;
  readonly macKnown: 'configured' | 'learned' | undefined;
  /** IPv4 address, or the one it is offered by DHCP; 0 for neither */
  readonly ip: number;
  readonly ipKnown: 'configured' | 'learned' | undefined;
}

function known(state: number): Identity['macKnown'] {
  if (state === ADDRESS_UNKNOWN) return undefined;
  return state === ADDRESS_CONFIGURED ? 'configured' : 'learned';
}

/** A locally administered MAC of the port's own. */
function madeUpMac(port: number): number {
  return 0x020000000000 + port;
}

export function identityOf(scene: Scene, port: number): Identity {
  const { tables } = scene;
  const macKnown = known(tables.macState(port));
  const ipKnown = known(tables.ipState(port));
  return {
    mac: macKnown === undefined ? madeUpMac(port) : macAt(scene, port),
    macKnown,
    ip: ipKnown === undefined ? tables.leaseAddress(port) : tables.ip(port),
    ipKnown,
  };
}

/** The address made of a MAC behind 64 bits of prefix (RFC 4291 appendix A). */
function interfaceAddress([w0, w1]: readonly [number, number], mac: number): IpWords {
  const low = macLow(mac);
  const w2 = ((macHigh(mac) ^ UNIVERSAL_BIT) << 16) | ((low >>> 24) << 8) | 0xff;
  return [w0, w1, w2, (0xfe << 24) | (low & 0xffffff)];
}

/** The VM's own address of the family of `destination`; undefined where it has none and is offered none. */
export function ownAddress(
  scene: Scene,
  vm: SceneVm,
  identity: Identity,
  destination: IpWords,
): IpWords | undefined {
  if (isIpv4(destination)) return identity.ip === 0 ? undefined : ipv4Words(identity.ip);
  const { tables } = scene;
  if (tables.ipv6Count(vm.port) > 0) {
    const word = (i: number) => tables.ipv6Word(vm.port, 0, i);
    return [word(0), word(1), word(2), word(3)];
  }
  const network = tables.network(vm.port);
  const prefix = tables.hasGateway6(network)
    ? ([tables.gateway6(network, 0), tables.gateway6(network, 1)] as const)
    : LINK_LOCAL;
  return interfaceAddress(prefix, identity.mac);
}

/** The address the VM says it has. Throws EXPLAIN_INVALID where it is of another family, or none is known. */
export function saidAddress(
  question: Question,
  source: VmSource,
  own: IpWords | undefined,
  to: IpWords,
): IpWords {
  const { column } = question;
  const said = source.address ?? own;
  if (said === undefined) {
    throw questionError(1, `${source.id} has no address yet: say one, '${source.id} from ADDRESS -> …'`);
  }
  return saidFamily(said, to, column);
}

/** `said`, if it is of the family of `to`. Throws EXPLAIN_INVALID. */
export function saidFamily(said: IpWords, to: IpWords, column: number): IpWords {
  if (isIpv4(said) === isIpv4(to)) return said;
  throw questionError(column, `${formatIp(to)} is not of the family of ${formatIp(said)}`);
}

/** What is known of a MAC of the VM's, in words. */
export function macDetail(vm: SceneVm, identity: Identity, mac: number, passes: boolean): string {
  const text = formatMac(mac);
  if (identity.macKnown === undefined) {
    return passes
      ? `${text} would be learned: ${vm.id} has used none yet`
      : `${text} can not be learned for ${vm.id}: it is another's, or a group's`;
  }
  if (passes) return `${text} is the MAC of ${vm.id}, ${identity.macKnown}`;
  return `${text} is not the MAC of ${vm.id}, which is ${formatMac(identity.mac)}, ${identity.macKnown}`;
}

/** The same of an address. */
export function addressDetail(vm: SceneVm, identity: Identity, address: IpWords, passes: boolean): string {
  const text = formatIp(address);
  if (!isIpv4(address)) {
    return passes ? `${text} is ${vm.id}'s, or may be learned` : `${text} may not be ${vm.id}'s`;
  }
  if (passes && identity.ipKnown !== undefined && address[3] === identity.ip) {
    return `${text} is the address of ${vm.id}, ${identity.ipKnown}`;
  }
  if (passes && identity.ipKnown === undefined) return `${text} would be learned, or is for setting up`;
  if (passes) return `${text} is for setting addresses up`;
  if (identity.ipKnown === undefined)
    return `${text} can not be learned for ${vm.id}: outside the subnet, or another's`;
  return `${text} is not the address of ${vm.id}, which is ${formatIp(ipv4Words(identity.ip))}, ${identity.ipKnown}`;
}
