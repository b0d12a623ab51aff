/**
 * Why a frame was dropped: one closed list, the same names wherever a user meets them. The position in the list is
 * the number the datapath counts under; new reasons go at the end.
 */
export const DROP_REASONS = [
  'runt', // shorter than an Ethernet header
  'too-long', // longer than a slot: the kernel cut it (MSG_TRUNC)
  'bad-offload', // virtio-net header whose fields point outside the frame
  'vlan', // 802.1Q or 802.1ad tagged
  'malformed', // ARP, IPv4 or IPv6 header that contradicts the frame
  'spoofed-mac', // source MAC is not the port's
  'spoofed-ip', // source IP or ARP sender is not the port's
  'reserved-multicast', // 01:80:c2:00:00:0x, which no bridge forwards (IEEE 802.1D 7.12.6)
  'isolated', // for another VM, on an isolated network
  'unknown-unicast', // for a MAC that no port has
  'hairpin', // for the port it came from
  'host-address-denied', // for the host, but not for the host port's own address
  'host-flow-denied', // for the host port, but no answer to a flow of the host's and no allowed port
  'no-service', // for the gateway, which offers nothing there
  'prohibited', // for an address the gateway has no way to; answered with an ICMP error
  'port-down', // the port it should leave by has no carrier
  'queue-full', // the port it should leave by takes no more (ENOBUFS, EAGAIN)
  'too-big', // the port it should leave by refuses its length (EMSGSIZE)
  'send-refused', // the kernel refuses to send it for another reason (EINVAL and the like)
  'receive-overflow', // the kernel could not queue it for us
  'flood-limit', // more broadcast and multicast than a VM may send
  'fault-injected', // lost on purpose by the faults wrapper
  'egress-denied', // for a destination that an outbound rule or the defaults deny; answered at once
  'flow-limit', // one flow more than a VM may have, or than the host has room for
  'no-flow', // TCP of no connection; answered with a reset
  'forward-no-carrier', // a forwarded connection given up: nobody held the VM's TAP
  'forward-no-address', // the same: the VM did not say its address, or answer ARP
  'forward-unanswered', // the same: the VM did not answer the SYN
  'forward-refused', // the same: nothing listened in the VM
  'device-queue-full', // the VM's TAP took it from the kernel and had no room for it; counted as sent, too
  'dns-unanswered', // a question of the guest's that no name server answered in time; the guest was told SERVFAIL
] as const;

export type DropReason = (typeof DROP_REASONS)[number];

/** Number of each reason, for the datapath: `DROP.vlan`. */
export const DROP: Readonly<Record<DropReason, number>> = Object.fromEntries(
  DROP_REASONS.map((reason, index) => [reason, index]),
) as Record<DropReason, number>;
