/** The verdicts: one closed list of codes, each with its sentence and the step that comes next. */
import { EXIT } from '../errors.ts';

interface Words {
  /** What is wrong */
  readonly sentence: string;
  readonly nextStep: string;
  /** Class of the exit status of `tapswitch diagnose`; `unavailable` where absent */
  readonly exit?: keyof typeof EXIT;
}

export const VERDICTS = {
  HEALTHY: { sentence: 'The VM answers.', nextStep: 'Nothing is to be done.' },
  TAP_MISSING: {
    sentence: 'Its TAP is not there.',
    nextStep: 'Create it (ip tuntap add NAME mode tap), or register the VM with --create-tap.',
  },
  TAP_NOT_ETHERNET: {
    sentence: 'The interface named as its TAP is not an Ethernet port.',
    nextStep: 'Register the VM with the TAP that its VMM opens.',
    exit: 'config',
  },
  TAP_ENSLAVED: {
    sentence: 'Its TAP belongs to a bridge or bond, which takes its frames.',
    nextStep: 'Release it: ip link set NAME nomaster.',
    exit: 'conflict',
  },
  TAP_DOWN: { sentence: 'Its TAP is down.', nextStep: 'Set it up: ip link set NAME up.' },
  VMM_ABSENT: {
    sentence: 'No process holds its TAP.',
    nextStep: 'Start the VM, or see in its log why the VMM ended.',
  },
  NO_CARRIER: {
    sentence: 'Its interface has no carrier.',
    nextStep: 'See whether the other end is there and up.',
  },
  VMM_STOPPED: {
    sentence: 'The process that holds its TAP is stopped.',
    nextStep: 'Let it go on: kill -CONT PID, or resume the VM.',
  },
  VMM_FOREIGN: {
    sentence: 'Its TAP is held by another program than the VMM it was registered with.',
    nextStep: 'End that program, or correct vmm in the registration.',
    exit: 'conflict',
  },
  NOT_PLUGGED: {
    sentence: 'Its TAP is there, but the switch does not have it open.',
    nextStep: "See the daemon's log for why the TAP could not be opened.",
  },
  FORWARD_TAKEN: {
    sentence: 'A host port that is forwarded to it cannot be listened on, so the VM is not attached.',
    nextStep: 'Free the port (ss -ltnp shows who has it), then register the VM again or restart the daemon.',
    exit: 'conflict',
  },
  WORKER_DEAD: {
    sentence: 'A datapath thread makes no progress.',
    nextStep: 'Restart the daemon and report the log.',
    exit: 'failure',
  },
  GUARD_MISSING: {
    sentence: "The guard that keeps the host's stack away from its TAP is gone.",
    nextStep: 'It is put back within seconds; see who flushes the ruleset.',
  },
  ADDRESS_UNKNOWN: {
    sentence: 'No address of the guest is known.',
    nextStep: "Register the VM with --ip, or see whether the guest's DHCP client runs.",
  },
  GUEST_SILENT: {
    sentence: 'The guest has not sent one frame.',
    nextStep: "See the guest's console: has it booted, and does it bring its interface up?",
  },
  GUEST_WRONG_MAC: {
    sentence: 'The guest uses another MAC than the one it was registered with.',
    nextStep: "Give the VMM the registered MAC, or register the guest's.",
    exit: 'config',
  },
  GUEST_WRONG_IP: {
    sentence: 'The guest uses another IPv4 address than the one it was registered with.',
    nextStep: "Correct the guest's address, or register the VM with the one it has.",
    exit: 'config',
  },
  GUEST_SPOOFING: {
    sentence:
      'The guest answers, but also sends with addresses that are not its own; those frames are dropped.',
    nextStep: 'See tapswitch drops VM; look in the guest for a bridge, a second address, or an attack.',
  },
  ADDRESS_DUPLICATE: {
    sentence: 'More than one MAC answers for its address.',
    nextStep: 'Look behind its TAP for a second machine with that address.',
    exit: 'conflict',
  },
  ARP_SILENT: {
    sentence: 'The guest sent frames before, but does not answer ARP now.',
    nextStep: "See the guest's console: does it run, and does it have its address?",
  },
  NDP_SILENT: {
    sentence: 'The guest does not answer for its IPv6 address.',
    nextStep: 'See whether the guest has the address, or register the VM without ip6.',
  },
  ICMP_SILENT: {
    sentence: 'The guest answers ARP, but not ping.',
    nextStep: "See the guest's firewall; ask about a TCP port with --port.",
  },
  MTU_TOO_SMALL: {
    sentence: "Packets as long as the network's MTU do not get to the guest.",
    nextStep: "Give TAP and guest the network's MTU, or set a smaller mtu for the network.",
    exit: 'config',
  },
  FLOW_LIMIT: {
    sentence: 'The VM has as many connections as it may have.',
    nextStep: 'See tapswitch flows; end some, or raise the limit.',
  },
  HALF_OPEN_LIMIT: {
    sentence: 'The VM has as many connections that are not open yet as it may have.',
    nextStep: 'See tapswitch flows: something in the guest connects to what does not answer, or scans.',
  },
  PORT_REFUSED: {
    sentence: 'The guest refuses connections to the port.',
    nextStep: "Start the service, not on the guest's 127.0.0.1 alone; see that its firewall does not reject.",
  },
  TCP_SILENT: {
    sentence: 'The guest answers ARP, but not TCP to the port.',
    nextStep: "See whether the guest's firewall drops TCP to it, and that its route back is right.",
  },
  SERVICE_SILENT: {
    sentence: 'The port takes connections, but nothing answers on them.',
    nextStep: 'See whether the service in the guest hangs.',
  },
  GUEST_WRONG_MASK: {
    sentence: 'The guest takes addresses outside of its network for neighbours.',
    nextStep: "Correct the prefix of the guest's address.",
    exit: 'config',
  },
  GUEST_WRONG_GATEWAY: {
    sentence: 'The guest sends what is for elsewhere to another gateway.',
    nextStep: "Make the network's gateway the guest's default route.",
    exit: 'config',
  },
  EGRESS_DENIED: {
    sentence: 'The guest answers, but outbound rules denied it connections just now.',
    nextStep: 'See which rule with tapswitch why; allow what it needs in egress.',
    exit: 'config',
  },
  DNS_DOWN: {
    sentence: "None of the name servers for the guest's questions answers.",
    nextStep: "Correct the network's dns.upstreams, or the host's resolver.",
  },
  ROUTE_SHADOWED: {
    sentence: 'The host sends packets for the guest elsewhere than to its host port.',
    nextStep: 'See ip route get ADDRESS; remove the route in the way. Forwards do not depend on it.',
    exit: 'conflict',
  },
  SUBNET_ON_BRIDGE: {
    sentence:
      "A bridge of the host still holds the network's subnet, and takes the host's packets for the guest.",
    nextStep: "Take the subnet's address off the bridge: ip address del ADDRESS dev BRIDGE.",
    exit: 'conflict',
  },
  HOST_FIREWALL: {
    sentence: "The guest answers the gateway, but the host's own connection to it fails.",
    nextStep:
      "See the host's input and output rules (nft list ruleset) for the host port. Forwards do not depend on it.",
    exit: 'conflict',
  },
  PROBE_FAILED: {
    sentence: 'The guest could not be asked.',
    nextStep: 'See the evidence of the hops, and ask again.',
    exit: 'failure',
  },
} as const satisfies Readonly<Record<string, Words>>;

export type VerdictCode = keyof typeof VERDICTS;
export const VERDICT_CODES = Object.keys(VERDICTS) as VerdictCode[];

/** Exit status of a command that ends with the verdict; that of a code this version does not know, too. */
export function exitStatusOf(code: string): number {
  const words: Words | undefined = (VERDICTS as Readonly<Record<string, Words>>)[code];
  return code === 'HEALTHY' ? 0 : EXIT[words?.exit ?? 'unavailable'];
}
