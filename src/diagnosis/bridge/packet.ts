/** A packet that is asked about, and the hooks that it passes, as the kernel's filters would see it. */

/** Fields of one packet. Undefined means: not known; a field of another protocol is absent. */
export interface Packet {
  /** What it is, for evidence: `ARP request to the guest` */
  readonly what: string;
  readonly type: 'arp' | 'ip';
  readonly etherSource: string | undefined;
  readonly etherDestination: string | undefined;
  /** Sender and target of ARP, or source and destination */
  readonly source: string | undefined;
  readonly destination: string | undefined;
  readonly operation?: 'request' | 'reply';
  readonly protocol?: 'icmp' | 'tcp';
  readonly icmpType?: 'echo-request' | 'echo-reply';
  /** Undefined: any, chosen by the sender's kernel */
  readonly sourcePort?: number | undefined;
  readonly destinationPort?: number | undefined;
  /** As connection tracking has it */
  readonly state: 'new' | 'established';
}

/** A place where rules see the packet. */
export interface Hook {
  /** Families whose chains run here */
  readonly families: readonly string[];
  readonly hook: 'ingress' | 'egress' | 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
  /** Interface it came in by, and leaves by; undefined where it has none there */
  readonly in?: string;
  readonly out?: string;
  /** Bridge that the interfaces are ports of, for a hook of the bridge */
  readonly bridge?: string;
  /** Ports behind the bridge, where bridge netfilter shows them (`physdev`) */
  readonly portIn?: string;
  readonly portOut?: string;
}

/** A packet and its way, in order. */
export interface Passage {
  readonly packet: Packet;
  readonly hooks: readonly Hook[];
}
