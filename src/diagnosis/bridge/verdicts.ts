/** The verdicts on a host that still has a bridge: one closed list of codes, as {@link ../verdicts.ts} has one. */
import { VERDICTS } from '../verdicts.ts';

const { TAP_MISSING, TAP_NOT_ETHERNET, TAP_DOWN, VMM_ABSENT, NO_CARRIER, VMM_STOPPED } = VERDICTS;

export const BRIDGE_VERDICTS = {
  HEALTHY: {
    sentence: 'The guest answers ARP, and nothing that was looked at stops its packets.',
    nextStep: "Where it still does not answer, see the guest's own firewall and service.",
  },
  TAP_MISSING,
  TAP_NOT_ETHERNET,
  TAP_DOWN,
  VMM_ABSENT,
  NO_CARRIER,
  VMM_STOPPED,
  NOT_ENSLAVED: {
    sentence: 'Its TAP belongs to no bridge.',
    nextStep: 'Put it there: ip link set NAME master BRIDGE.',
  },
  BRIDGE_DOWN: { sentence: 'The bridge is down.', nextStep: 'Set it up: ip link set BRIDGE up.' },
  PORT_NOT_FORWARDING: {
    sentence: 'A port of the bridge is not forwarding.',
    nextStep:
      'With spanning tree wait for the forward delay, or see bridge link for a loop; else: bridge link set dev NAME state 3.',
  },
  GUARD_LEFT: {
    sentence: 'A guard of tapswitch drops all that comes in by the TAP.',
    nextStep: 'Take the VM out of tapswitch, or stop it; then nft delete table netdev tapswitch.',
  },
  VLAN_MISMATCH: {
    sentence: 'VLAN filtering keeps the two ends apart.',
    nextStep:
      'Give both the same PVID, untagged: bridge vlan add dev NAME vid N pvid untagged (self for the bridge).',
  },
  GUEST_SILENT: {
    sentence: 'The guest does not answer ARP, asked on its own TAP.',
    nextStep: "See the guest's console: does it run, and does it have this address?",
  },
  PROBE_FAILED: {
    sentence: 'The guest could not be asked.',
    nextStep: 'Run it as root (CAP_NET_RAW), and ask again.',
  },
  ADDRESS_DUPLICATE: {
    sentence: 'More than one MAC answers for its address.',
    nextStep: 'Give the other another address; the evidence says on which port it is.',
  },
  MAC_DUPLICATE: {
    sentence: "Something else on the bridge has the guest's MAC.",
    nextStep: 'Give each its own: no two guests, nor guest and TAP or bridge, may share one.',
  },
  FDB_WRONG: {
    sentence: "The bridge sends the guest's frames to another port, although the guest answers on its own.",
    nextStep: 'Delete it: bridge fdb del MAC dev PORT master.',
  },
  PORT_LOCKED: {
    sentence: 'The port is locked, and the bridge was not told of the guest.',
    nextStep: 'Unlock it: bridge link set dev NAME locked off; or add the MAC by bridge fdb add.',
  },
  FLOOD_OFF: {
    sentence: 'The bridge does not flood to the port what it would have to.',
    nextStep: 'Switch it on: bridge link set dev NAME flood on bcast_flood on learning on.',
  },
  PEER_SILENT: {
    sentence: 'No port of the bridge has a guest that answers for the address of the peer.',
    nextStep: 'Diagnose the peer by its own TAP, or correct the address.',
  },
  PORTS_ISOLATED: {
    sentence: 'Both ports are isolated, and so reach each other never.',
    nextStep: 'Take it off one of them: bridge link set dev NAME isolated off.',
  },
  ADDRESS_IS_HOSTS: {
    sentence: "The address is one of the host's own.",
    nextStep: 'Take it away from the host (ip address del), or give the guest another.',
  },
  NO_BRIDGE_ADDRESS: {
    sentence: 'The bridge has no address of the subnet of the guest.',
    nextStep: 'Give it one: ip address add ADDRESS/PREFIX dev BRIDGE.',
  },
  ROUTE_ELSEWHERE: {
    sentence: 'The route of the host to the guest leaves by another interface.',
    nextStep: 'See ip route get ADDRESS; delete the overlapping route or address.',
  },
  REVERSE_PATH: {
    sentence: 'The reverse path filter is strict, and the route back does not leave by the bridge.',
    nextStep: 'Make the route symmetric, or loosen it: sysctl net.ipv4.conf.BRIDGE.rp_filter=2.',
  },
  NEIGHBOUR_WRONG: {
    sentence: 'The host has another MAC for the guest than the one that it answers with.',
    nextStep: 'Delete the entry: ip neigh del ADDRESS dev BRIDGE.',
  },
  FILTER_ARP: {
    sentence: 'A rule drops ARP between the two.',
    nextStep: 'Delete it (ebtables -D, or nft delete rule by its handle).',
  },
  FILTER_BRIDGE: {
    sentence: 'A rule of the bridge drops IP between the two.',
    nextStep: 'Delete it (ebtables -D, or nft delete rule by its handle).',
  },
  BRIDGE_NF: {
    sentence: 'Bridge netfilter gives bridged packets to rules for forwarding, which drop them.',
    nextStep: 'Accept them there, or switch it off: sysctl net.bridge.bridge-nf-call-iptables=0.',
  },
  HOST_INPUT: {
    sentence: "The host's firewall drops what the guest answers.",
    nextStep: 'Accept established connections, or the bridge, in the INPUT rules.',
  },
  HOST_OUTPUT: {
    sentence: "The host's firewall drops what the host sends to the guest.",
    nextStep: 'Accept it in the OUTPUT rules.',
  },
  RULES_UNREAD: {
    sentence: 'Nothing else is wrong, but the packet filter rules of the host could not be read.',
    nextStep: 'Run it as root, with nft installed.',
  },
  MTU_MISMATCH: {
    sentence: 'Small packets pass; the two ends have different MTUs, and larger ones are dropped.',
    nextStep: 'Give both the same: ip link set NAME mtu BYTES.',
  },
} as const;

export type BridgeVerdictCode = keyof typeof BRIDGE_VERDICTS;
