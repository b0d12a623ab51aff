/** What a capture filter says, before it is compiled. */
import type { DropReason } from '../../telemetry/drops.ts';

export type Direction = 'src' | 'dst' | 'either' | 'both';
export type IpProtocol = 'ip' | 'ip6';
export type AddressProtocol = IpProtocol | 'arp' | 'rarp';
export type PortProtocol = 'tcp' | 'udp' | 'sctp';
/** Words that stand for a protocol by themselves, and whose bytes `name[offset]` reads */
export type ProtocolName = AddressProtocol | PortProtocol | 'icmp' | 'icmp6' | 'igmp';

export type Comparison = '=' | '!=' | '<' | '<=' | '>' | '>=';
export type Arithmetic = '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^' | '<<' | '>>';

export type Filter =
  | { readonly kind: 'and' | 'or'; readonly left: Filter; readonly right: Filter }
  | { readonly kind: 'not'; readonly operand: Filter }
  | { readonly kind: 'protocol'; readonly name: ProtocolName }
  | {
      readonly kind: 'address';
      /** Undefined: whichever protocol can carry the address */
      readonly protocol: AddressProtocol | undefined;
      readonly direction: Direction;
      /** One word (IPv4) or four (IPv6), int32, host bits zero */
      readonly words: readonly number[];
      readonly masks: readonly number[];
    }
  | { readonly kind: 'mac'; readonly direction: Direction; readonly mac: number }
  | {
      readonly kind: 'ports';
      /** Undefined: any that has ports */
      readonly protocol: PortProtocol | undefined;
      readonly direction: Direction;
      readonly first: number;
      readonly last: number;
    }
  | { readonly kind: 'ether-proto'; readonly type: number }
  /** `protocol` undefined: either version of IP */
  | { readonly kind: 'ip-proto'; readonly protocol: IpProtocol | undefined; readonly number: number }
  /** `id` undefined: any */
  | { readonly kind: 'vlan'; readonly id: number | undefined }
  | { readonly kind: 'broadcast' }
  /** `protocol` undefined: by MAC address */
  | { readonly kind: 'multicast'; readonly protocol: IpProtocol | undefined }
  | { readonly kind: 'relation'; readonly operator: Comparison; readonly left: Value; readonly right: Value }
  | { readonly kind: 'vm'; readonly name: string }
  /** `reason` undefined: any */
  | { readonly kind: 'drop'; readonly reason: DropReason | undefined };

export type Value =
  | { readonly kind: 'number'; readonly value: number }
  /** Bytes of the frame */
  | { readonly kind: 'length' }
  | {
      readonly kind: 'load';
      readonly base: ProtocolName | 'ether';
      readonly offset: Value;
      readonly size: number;
    }
  | {
      readonly kind: 'arithmetic';
      readonly operator: Arithmetic;
      readonly left: Value;
      readonly right: Value;
    };
