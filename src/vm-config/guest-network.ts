/** What a VM's configuration needs to know of its place on the switch. */
export interface GuestNetwork {
  /** Name of the VM's TAP */
  readonly tap: string;
  /** Chosen by the VMM where absent */
  readonly mac?: string;
  /** IPv4 address; the guest asks by DHCP where absent */
  readonly ip?: string;
  /** Length of the subnet's prefix, bits */
  readonly prefix: number;
  /** IPv4 address of the gateway */
  readonly gateway: string;
}
