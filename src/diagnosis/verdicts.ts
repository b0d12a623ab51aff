/** The verdicts: one closed list of codes, each with its sentence and the step that comes next. */

interface Words {
  /** What is wrong */
  readonly sentence: string;
  readonly nextStep: string;
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
  },
  TAP_ENSLAVED: {
    sentence: 'Its TAP belongs to a bridge or bond, which takes its frames.',
    nextStep: 'Release it: ip link set NAME nomaster.',
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
  NOT_PLUGGED: {
    sentence: 'Its TAP is there, but the switch does not have it open.',
    nextStep: "See the daemon's log for why the TAP could not be opened.",
  },
  WORKER_DEAD: {
    sentence: 'A datapath thread makes no progress.',
    nextStep: 'Restart the daemon and report the log.',
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
  },
  GUEST_WRONG_IP: {
    sentence: 'The guest uses another IPv4 address than the one it was registered with.',
    nextStep: "Correct the guest's address, or register the VM with the one it has.",
  },
  ADDRESS_DUPLICATE: {
    sentence: 'More than one MAC answers for its address.',
    nextStep: 'Look behind its TAP for a second machine with that address.',
  },
  ARP_SILENT: {
    sentence: 'The guest sent frames before, but does not answer ARP now.',
    nextStep: "See the guest's console: does it run, and does it have its address?",
  },
  ICMP_SILENT: {
    sentence: 'The guest answers ARP, but not ping.',
    nextStep: "See the guest's firewall; ask about a TCP port with --port.",
  },
  FLOW_LIMIT: {
    sentence: 'The VM has as many connections as it may have.',
    nextStep: 'See tapswitch flows; end some, or raise the limit.',
  },
  PORT_REFUSED: {
    sentence: 'The guest refuses connections to the port.',
    nextStep: "Start the service, not on the guest's 127.0.0.1 alone; see that its firewall does not reject.",
  },
  TCP_SILENT: {
    sentence: 'The guest answers ARP, but not TCP to the port.',
    nextStep:
      "See whether the guest's firewall drops TCP to it or rejects it by ICMP, and that its route back is right.",
  },
  SERVICE_SILENT: {
    sentence: 'The port takes connections, but nothing answers on them.',
    nextStep: 'See whether the service in the guest hangs.',
  },
  PROBE_FAILED: {
    sentence: 'The guest could not be asked.',
    nextStep: 'See the evidence of the hops, and ask again.',
  },
} as const satisfies Readonly<Record<string, Words>>;

export type VerdictCode = keyof typeof VERDICTS;
export const VERDICT_CODES = Object.keys(VERDICTS) as VerdictCode[];
