/**
 * Compiles a filter, once, to a condition over a frame's bytes.
 *
 * Theory of operation. Each node becomes a closure over plain numbers; a frame is looked at by calling the outermost.
 * `vlan` moves all conditions that are written behind it by one tag, as pcap-filter(7) says, so nodes are compiled in
 * the order they are written in. A condition that needs a byte the frame does not have ends it: the frame is not
 * selected, even by `not`.
 */
import { DROP } from '../../telemetry/drops.ts';
import * as ethernet from '../../wire/ethernet.ts';
import { macHigh, macLow } from '../../wire/mac.ts';
import type { AddressProtocol, Filter } from './ast.ts';
import { type Condition, type FilteredFrame, NOT_DROPPED } from './frame.ts';
import {
  all,
  any,
  directed,
  hasEtherType,
  hasIpProtocol,
  hasPorts,
  isProtocol,
  payloadAt,
} from './headers.ts';
import { parseFilter } from './parse.ts';
import { compileRelation } from './relation.ts';

const TAG_BYTES = 4;
/** IEEE 802.1Q, 802.1ad, and what preceded the latter */
const TAG_TYPES = [ethernet.ETHERTYPE_VLAN, ethernet.ETHERTYPE_QINQ, 0x9100];
const VLAN_ID = 0x0fff;
const MULTICAST_IP = 224;
const MULTICAST_IP6 = 0xff;
const DESTINATION_AT = 0;
const SOURCE_AT = 6;

/** Offsets of source and destination address in the packet; ARP's for Ethernet and IPv4 (RFC 826). */
const ADDRESSES_AT: Readonly<Record<AddressProtocol, readonly [number, number]>> = {
  ip: [12, 16],
  ip6: [8, 24],
  arp: [14, 24],
  rarp: [14, 24],
};

/** Port number of each VM that a filter may name. */
export type VmPorts = ReadonlyMap<string, number>;

/** The condition that a filter's text is, throws FILTER_INVALID. An empty one selects everything. */
export function compileFilter(text: string, vms: VmPorts): Condition {
  const filter = parseFilter(text);
  if (filter === undefined) return () => true;
  const condition = new Compiler(vms).compile(filter);
  return (frame: FilteredFrame) => {
    frame.isShort = false;
    return condition(frame) && !frame.isShort;
  };
}

class Compiler {
  readonly #vms: VmPorts;
  /** Bytes of the VLAN tags that the conditions so far have seen */
  #shift = 0;

  constructor(vms: VmPorts) {
    this.#vms = vms;
  }

  compile(filter: Filter): Condition {
    const shift = this.#shift;
    switch (filter.kind) {
      case 'and': {
        const left = this.compile(filter.left);
        return all(left, this.compile(filter.right));
      }
      case 'or': {
        const left = this.compile(filter.left);
        return any(left, this.compile(filter.right));
      }
      case 'not': {
        const operand = this.compile(filter.operand);
        return (frame) => !operand(frame);
      }
      case 'protocol':
        return isProtocol(filter.name, shift);
      case 'address':
        return compileAddress(filter, shift);
      case 'mac':
        return compileMac(filter);
      case 'ports':
        return hasPorts(filter.protocol, filter.direction, filter.first, filter.last, shift);
      case 'ether-proto':
        return hasEtherType(filter.type, shift);
      case 'ip-proto':
        return hasIpProtocol(filter.number, filter.protocol, shift);
      case 'vlan':
        return this.#vlan(filter.id);
      case 'broadcast':
        return (frame) => frame.i32(0) === -1 && frame.u16(4) === 0xffff;
      case 'multicast':
        return compileMulticast(filter, shift);
      case 'relation':
        return compileRelation(filter, shift);
      case 'vm': {
        const port = this.#vms.get(filter.name);
        return port === undefined ? () => false : (frame) => frame.port === port;
      }
      case 'drop': {
        if (filter.reason === undefined) return (frame) => frame.reason !== NOT_DROPPED;
        const reason = DROP[filter.reason];
        return (frame) => frame.reason === reason;
      }
    }
  }

  #vlan(id: number | undefined): Condition {
    const isTagged = any(...TAG_TYPES.map((type) => hasEtherType(type, this.#shift)));
    const at = payloadAt(this.#shift);
    this.#shift += TAG_BYTES;
    return id === undefined ? isTagged : all(isTagged, (frame) => (frame.u16(at) & VLAN_ID) === id);
  }
}

function compileAddress(filter: Filter & { kind: 'address' }, shift: number): Condition {
  const { direction, words, masks } = filter;
  const possible: AddressProtocol[] = words.length === 4 ? ['ip6'] : ['ip', 'arp', 'rarp'];
  const protocols = filter.protocol === undefined ? possible : [filter.protocol];
  const isWithin =
    (at: number): Condition =>
    (frame) => {
      for (let i = 0; i < words.length; i++) {
        if ((frame.i32(at + 4 * i) & (masks[i] as number)) !== words[i]) return false;
      }
      return true;
    };
  const packet = payloadAt(shift);
  const each = protocols.map((protocol) => {
    const [src, dst] = ADDRESSES_AT[protocol];
    return all(isProtocol(protocol, shift), directed(direction, isWithin, packet + src, packet + dst));
  });
  return any(...each);
}

function compileMac({ direction, mac }: Filter & { kind: 'mac' }): Condition {
  const high = macHigh(mac);
  const low = macLow(mac);
  const isMac =
    (at: number): Condition =>
    (frame) =>
      frame.i32(at + 2) === low && frame.u16(at) === high;
  return directed(direction, isMac, SOURCE_AT, DESTINATION_AT);
}

function compileMulticast({ protocol }: Filter & { kind: 'multicast' }, shift: number): Condition {
  if (protocol === undefined) return (frame) => (frame.u8(0) & 1) !== 0;
  const at = payloadAt(shift) + ADDRESSES_AT[protocol][1];
  const isMulticast: Condition =
    protocol === 'ip' ? (frame) => frame.u8(at) >= MULTICAST_IP : (frame) => frame.u8(at) === MULTICAST_IP6;
  return all(isProtocol(protocol, shift), isMulticast);
}
