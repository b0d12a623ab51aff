/** What the configuration says of the daemon around the switch: its API, the way to what VMs serve, new TAPs. */

/** Where a TCP listener of ours is bound. */
export interface ListenAddress {
  /** IPv4 or IPv6 address, without brackets */
  readonly host: string;
  readonly port: number;
}

export interface ApiConfig {
  /** Path of the unix socket */
  readonly socket: string;
  /** Group that may use the socket, by name or number; the owner alone where absent */
  readonly group?: string | number;
  /** TCP listeners beside it; none unless configured, and none without a token */
  readonly listen: readonly ListenAddress[];
  /** File with the bearer token of the TCP listeners */
  readonly tokenFile?: string;
  /** Names the Host header may have at the TCP listeners, beside their addresses and localhost */
  readonly hosts: readonly string[];
}

/** The listener that shows what VMs serve, an origin apart from the API's. */
export interface GuestAccessConfig {
  readonly listen: ListenAddress;
  /** Each VM is the host ID.DOMAIN, an origin of its own */
  readonly domain: string;
}

/** TAPs that are plugged in as VMs when they appear. */
export interface AutoAttachRule {
  /** Pattern of interface names, `*` and `?` as in a shell; the VM's id is the interface's name */
  readonly match: string;
  readonly network: string;
  readonly profile?: string;
}

export interface ServiceConfig {
  readonly api: ApiConfig;
  /** Absent: what VMs serve is reached by the unix socket and by forwards only */
  readonly guestAccess?: GuestAccessConfig;
  readonly autoAttach: readonly AutoAttachRule[];
}
