/** What is known of the way to a VM: all that a verdict rests on, and nothing of how it was found out. */

/** The interface as the kernel shows it. */
export interface TapFacts {
  readonly kind: string;
  readonly ethernet: boolean;
  readonly up: boolean;
  readonly carrier: boolean;
  /** Name of the bridge or bond it belongs to */
  readonly master?: string | undefined;
}

export interface HolderFacts {
  readonly pid: number;
  readonly command: string;
  /** State of the process as proc(5) has it: `R`, `S`, `T` (stopped), … */
  readonly state: string;
}

/** What came of one question to the guest; `unasked` where it could not be put. */
export interface ArpFacts {
  readonly outcome: 'answered' | 'silent' | 'unasked';
  /** MACs that answered, each once */
  readonly macs: readonly string[];
}

/** What came of opening a connection to the port. */
export interface TcpFacts {
  readonly port: number;
  readonly outcome: 'open' | 'refused' | 'silent' | 'flow-limit' | 'failed';
  /** What it said: an HTTP status line, a banner; undefined while it said nothing */
  readonly said?: string | undefined;
  /** It ended the connection without a word */
  readonly ended?: boolean;
}

export interface Facts {
  readonly vm: string;
  /** Name of the interface */
  readonly tapName: string;
  /** Undefined where there is no such interface */
  readonly tap: TapFacts | undefined;
  /** The switch has it open */
  readonly plugged: boolean;
  /** The process that holds the TAP, where it can be seen */
  readonly holder: HolderFacts | undefined;
  readonly guard: 'in place' | 'missing' | 'off' | 'unknown';
  readonly workersAlive: boolean;
  readonly framesSeen: number;
  /** As configured; undefined for a VM that may use any */
  readonly expectedMac: string | undefined;
  /** Configured, learned or leased; undefined while nothing is known */
  readonly ip: string | undefined;
  readonly arp: ArpFacts;
  readonly icmp: 'answered' | 'silent' | 'unasked';
  /** Undefined where no port was asked about */
  readonly tcp: TcpFacts | undefined;
  /** Where the host listens for that port, or for any where none was asked about */
  readonly forwards: readonly string[];
  /** Frames dropped so far, by reason */
  readonly drops: Readonly<Record<string, number>>;
}
