/** What is known of the way to a VM: all that a verdict rests on, and nothing of how it was found out. */

/** The interface as the kernel shows it. */
export interface LinkFacts {
  readonly kind: string;
  readonly ethernet: boolean;
  readonly up: boolean;
  readonly carrier: boolean;
  /** Name of the bridge or bond it belongs to */
  readonly master?: string | undefined;
}

export interface TapFacts extends LinkFacts {
  /** Bytes */
  readonly mtu: number;
}

export interface HolderFacts {
  readonly pid: number;
  readonly command: string;
  /** State of the process as proc(5) has it: `R`, `S`, `T` (stopped), … */
  readonly state: string;
}

/** What came of a question; `unasked` where it could not be put. */
export type Outcome = 'answered' | 'silent' | 'unasked';

export interface ArpFacts {
  readonly outcome: Outcome;
  /** MACs that answered, each once */
  readonly macs: readonly string[];
}

/** What the guest does with an answer for an address just outside of its subnet. */
export interface RouteFacts {
  /** `answered`: it came to the gateway */
  readonly outcome: Outcome;
  /** Other addresses than the gateway's that it asked for by ARP meanwhile */
  readonly asksFor: readonly string[];
}

/** What came of opening a connection to the port. */
export interface TcpFacts {
  readonly port: number;
  readonly outcome: 'open' | 'refused' | 'silent' | 'flow-limit' | 'failed';
  /** What it said: an HTTP status line, a banner; undefined while it said nothing */
  readonly said?: string | undefined;
  /** It ended the connection without a word */
  readonly ended?: boolean;
  /** It speaks HTTP, and whether it takes an upgrade to WebSocket */
  readonly webSocket?: boolean;
}

/** Flows of the VM that end at the gateway, and how many there may be. */
export interface FlowFacts {
  readonly tcp: number;
  readonly halfOpen: number;
  readonly mostTcp: number;
  readonly mostHalfOpen: number;
}

/** A name server of the VM's network. */
export interface DnsServerFacts {
  readonly server: string;
  readonly answers: boolean;
}

/** The way of the host's own stack to the guest, where its network has a host port. */
export interface HostWayFacts {
  readonly hostPort: string;
  /** Interface that the host's packets for the guest leave by; undefined where no route lets them */
  readonly leavesBy: { readonly name: string; readonly kind: string } | undefined;
  /** What came of a connection of the host's own */
  readonly reached: Outcome;
  readonly detail?: string | undefined;
}

export interface Facts {
  readonly vm: string;
  /** Name of the interface */
  readonly tapName: string;
  /** Undefined where there is no such interface */
  readonly tap: TapFacts | undefined;
  /** The switch has it open */
  readonly plugged: boolean;
  /** Why it has not, when it tried last */
  readonly refusal: { readonly code: string; readonly message: string } | undefined;
  /** The process that holds the TAP, where it can be seen */
  readonly holder: HolderFacts | undefined;
  /** Name of the program that should hold it; undefined where the registration does not say */
  readonly vmm: string | undefined;
  readonly guard: 'in place' | 'missing' | 'off' | 'unknown';
  /** The datapath thread that its port is at home at makes progress */
  readonly workerAlive: boolean;
  /** So do the others, to which the kernel deals a part of its TCP */
  readonly othersAlive: boolean;
  readonly framesSeen: number;
  /** Since the last frame of the guest, `s`; undefined where none was seen */
  readonly quietSeconds: number | undefined;
  /** As configured; undefined for a VM that may use any */
  readonly expectedMac: string | undefined;
  /** Configured, learned or leased; undefined while nothing is known */
  readonly ip: string | undefined;
  readonly arp: ArpFacts;
  /** As configured */
  readonly ip6: string | undefined;
  readonly ndp: Outcome;
  readonly icmp: Outcome;
  /** MTU of the network, bytes */
  readonly mtu: number;
  /** An echo with a packet as long as the MTU */
  readonly long: Outcome;
  /** Address just outside of the subnet, and what the guest does with answers to it */
  readonly elsewhere: string;
  readonly route: RouteFacts;
  /** Undefined where no port was asked about */
  readonly tcp: TcpFacts | undefined;
  readonly flows: FlowFacts | undefined;
  /** Where the host listens for that port, or for any where none was asked about */
  readonly forwards: readonly string[];
  /** Empty where the network has none */
  readonly dns: readonly DnsServerFacts[];
  /** Undefined where the network has no host port */
  readonly host: HostWayFacts | undefined;
  /** Frames dropped so far, by reason */
  readonly drops: Readonly<Record<string, number>>;
  /** The same of the last half minute or so */
  readonly recentDrops: Readonly<Record<string, number>>;
}
