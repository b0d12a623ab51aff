/** What is known of the way to a guest behind a Linux bridge: all that a verdict rests on. */
import type { BridgePort, PortVlan } from '../../sys/bridge-state.ts';
import type { ForwardingEntry } from '../../sys/neighbour-table.ts';
import type { ArpFacts, HolderFacts, LinkFacts } from '../facts.ts';
import type { Ruleset } from './ruleset.ts';

/** An interface that belongs to the bridge. */
export interface PortFacts extends BridgePort {
  readonly name: string;
  /** Largest payload, `bytes` */
  readonly mtu: number;
  readonly vlans: readonly PortVlan[];
}

export interface BridgeFacts {
  readonly name: string;
  readonly up: boolean;
  readonly mac: string;
  readonly mtu: number;
  /** IPv4 addresses on it, with their prefix length: `192.168.0.1/16` */
  readonly addresses: readonly string[];
  readonly vlanFiltering: boolean;
  /** VLANs of the bridge itself, by which the host takes part */
  readonly vlans: readonly PortVlan[];
  /** Bridged packets pass the rules of ip and inet, bridged ARP those of arp (bridge-nf-call-…) */
  readonly callIptables: boolean;
  readonly callArptables: boolean;
}

/** Who the guest is to talk with, where that is another guest. */
export interface PeerFacts {
  readonly ip: string;
  /** The port that it answers ARP on; undefined where it answers on none */
  readonly port: PortFacts | undefined;
  readonly mac: string | undefined;
}

/** Where the bridge sends frames to the guest's MAC. */
export interface ForwardingFacts {
  readonly port: string;
  readonly kind: ForwardingEntry['kind'];
}

/** The host's route to the guest. */
export interface RouteFacts {
  /** Interface it leaves by */
  readonly device: string;
  readonly local: boolean;
  readonly gateway: string | undefined;
  readonly source: string | undefined;
  /** It leaves by a VLAN interface on top of the bridge */
  readonly overVlan: boolean;
}

/** As rtnetlink shows it; the state as ip-neighbour(8) names it. */
export interface NeighbourFacts {
  readonly mac: string | undefined;
  readonly state: string;
}

/** What the guest says, and what else was heard while it was asked. */
export interface HeardFacts {
  /** The guest's answer on its own TAP */
  readonly arp: ArpFacts;
  /** Other ports of the bridge on which somebody answers for the guest's address, or with the guest's MAC */
  readonly elsewhere: readonly { readonly port: string; readonly mac: string; readonly ip: string }[];
  /** Other ports that were not asked, since there are too many */
  readonly unaskedPorts: number;
}

export interface BridgePathFacts {
  readonly tapName: string;
  /** Address of the guest */
  readonly ip: string;
  /** TCP port that is asked about, ping where undefined */
  readonly port: number | undefined;
  /** Undefined where there is no such interface */
  readonly tap: LinkFacts | undefined;
  readonly holder: HolderFacts | undefined;
  /** Undefined where the TAP belongs to no bridge */
  readonly bridge: BridgeFacts | undefined;
  /** The TAP as a port of the bridge */
  readonly tapPort: PortFacts | undefined;
  /** A guard of tapswitch is on the TAP, of this kind */
  readonly guard: string | undefined;
  readonly heard: HeardFacts;
  /** Entries for the guest's MAC before it was asked, and after it has answered */
  readonly forwarding: readonly ForwardingFacts[];
  readonly forwardingAfter: readonly ForwardingFacts[];
  /** Undefined where the host is the other end */
  readonly peer: PeerFacts | undefined;
  /** The route, or the kernel's error */
  readonly route: RouteFacts | string;
  /** The route back from the address that the bridge has: what a strict reverse path is checked against */
  readonly routeBack: RouteFacts | string;
  /** Reverse path filter on the bridge: 0 off, 1 strict, 2 loose */
  readonly reversePath: number;
  /** The host's entry for the guest on the bridge */
  readonly neighbour: NeighbourFacts | undefined;
  /** Undefined where the rules could not be read: nothing is said of them */
  readonly rules: Ruleset | undefined;
}
