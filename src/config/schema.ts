/**
 * The configuration as users write it: shape, defaults in words and the input types. What a schema cannot say (an
 * address inside a subnet, a TAP used twice) is checked in network.ts, vm.ts and resolve.ts.
 */
import { type Static, Type } from 'typebox';
import { MAX_EGRESS_RULES, MAX_RECORD_ADDRESSES, MAX_UPSTREAMS } from './limits.ts';

const closed = { additionalProperties: false } as const;

const EgressSchema = Type.Array(Type.String(), {
  maxItems: MAX_EGRESS_RULES,
  examples: [['allow 10.20.0.0/24 tcp/443']],
  description:
    'Outbound rules, "allow|deny any|ADDRESS[/PREFIX] [tcp|udp|icmp][/PORT[-PORT]]" (default none)',
});

export const HostPortSchema = Type.Object(
  {
    name: Type.Optional(
      Type.String({ description: 'Name of the TAP the switch makes on the host (default tapsw0)' }),
    ),
    address: Type.String({
      description: "The host's IPv4 address inside the subnet",
      examples: ['192.168.255.254'],
    }),
    mtu: Type.Optional(
      Type.Integer({
        minimum: 576,
        maximum: 65520,
        description: "MTU in bytes (default the network's)",
        examples: [1500],
      }),
    ),
    netns: Type.Optional(
      Type.String({
        description: "Path of the network namespace the port is made in (default the switch's own)",
        examples: ['/run/netns/host'],
      }),
    ),
    allowFromGuests: Type.Optional(
      Type.Array(Type.String(), {
        description: 'Ports of this address that guests may open, "tcp/PORT" or "udp/PORT" (default none)',
        examples: [['tcp/7000']],
      }),
    ),
  },
  { ...closed, description: 'Puts the host on the network (default none)' },
);

export const DnsSchema = Type.Object(
  {
    records: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: MAX_RECORD_ADDRESSES })], {
          description: 'An address, or a list of them',
        }),
        {
          description: 'Addresses the gateway answers with, by name',
          examples: [{ 'controller.example': '192.168.0.1' }],
        },
      ),
    ),
    upstreams: Type.Optional(
      Type.Array(Type.String(), {
        minItems: 1,
        maxItems: MAX_UPSTREAMS,
        description: 'Name servers to ask, "ADDRESS[:PORT]" (default those of the host)',
        examples: [['1.1.1.1']],
      }),
    ),
  },
  { ...closed, description: "The gateway's DNS (default none)" },
);

/** Least bytes of buffers with which streams still flow: one of each size, twice */
const LEAST_BUFFER_BYTES = 1_048_576;

const flowLimit = (what: string, usual: string) =>
  Type.Optional(
    Type.Integer({ minimum: 1, maximum: 65_536, description: `${what} of each VM (default ${usual})` }),
  );

export const LimitsSchema = Type.Object(
  {
    tcpFlows: flowLimit('TCP connections', '8192'),
    halfOpenFlows: flowLimit('TCP connections not open yet', '1024'),
    udpFlows: flowLimit('UDP flows', '1024'),
    bufferBytes: Type.Optional(
      Type.Integer({
        minimum: LEAST_BUFFER_BYTES,
        maximum: 1_073_741_824,
        description: 'Bytes that the buffers of the TCP connections of each VM may take (default 67108864)',
      }),
    ),
  },
  {
    ...closed,
    description: 'What the connections of each VM may take (default as listed in docs/limits.md)',
  },
);

export const NetworkSchema = Type.Object(
  {
    subnet: Type.String({
      description: 'IPv4 subnet in CIDR form, for instance 192.168.0.0/16',
      examples: ['192.168.0.0/16'],
    }),
    gateway: Type.String({
      description: "The guests' gateway, an address inside the subnet",
      examples: ['192.168.0.1'],
    }),
    mode: Type.Optional(
      Type.Enum(['isolated', 'shared'], {
        description: 'Whether VMs reach each other: isolated (default) or shared',
      }),
    ),
    subnet6: Type.Optional(
      Type.String({
        description: `IPv6 subnet, a /64, or "none" for no IPv6 (default one that follows from the network's name)`,
        examples: ['fd12:3456:789a::/64'],
      }),
    ),
    gateway6: Type.Optional(
      Type.String({
        description: "The guests' IPv6 gateway, inside subnet6 (default its ::1)",
        examples: ['fd12:3456:789a::1'],
      }),
    ),
    mtu: Type.Optional(
      Type.Integer({
        minimum: 1280,
        maximum: 65520,
        description: 'MTU the guests are told, in bytes (default 1500)',
      }),
    ),
    clones: Type.Optional(
      Type.Boolean({
        description: 'Whether VMs may have the same addresses, as clones of a snapshot do (default false)',
      }),
    ),
    hostPort: Type.Optional(HostPortSchema),
    hostServices: Type.Optional(
      Type.Array(Type.String(), {
        description:
          'Ports of the gateway that lead to the host\'s loopback, "gateway-port:host-port[/tcp|udp]"',
        examples: [['8080:9000']],
      }),
    ),
    dns: Type.Optional(DnsSchema),
    egress: Type.Optional(EgressSchema),
    limits: Type.Optional(LimitsSchema),
  },
  closed,
);

export const ForwardSchema = Type.Object(
  {
    listen: Type.String({
      description: 'The forward, as it stands in the list otherwise',
      examples: ['18080:8080'],
    }),
    wait: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 3600,
        description: 'Seconds a connection to a VM that does not answer yet is held (default 30)',
      }),
    ),
  },
  closed,
);

export const VmSchema = Type.Object(
  {
    network: Type.Optional(Type.String({ description: 'Name of the network (default "default")' })),
    tap: Type.String({
      description: "Name of the VM's TAP, or of any Ethernet-like interface",
      examples: ['fc-vm-1'],
    }),
    netns: Type.Optional(
      Type.String({
        description: "Path of the network namespace the TAP lives in (default the switch's own)",
        examples: ['/run/netns/vm-1'],
      }),
    ),
    mac: Type.Optional(
      Type.String({
        description: 'The only MAC address the VM may use (default the first it uses)',
        examples: ['06:00:c0:a8:00:0e'],
      }),
    ),
    ip: Type.Optional(
      Type.String({
        description: 'The only IPv4 address the VM may use (default the first it uses)',
        examples: ['192.168.0.14'],
      }),
    ),
    ip6: Type.Optional(
      Type.String({
        description: 'An IPv6 address of the VM, inside subnet6 (default those it uses)',
        examples: ['fd12:3456:789a::e'],
      }),
    ),
    vmm: Type.Optional(
      Type.String({
        description:
          'Name of the program that holds the TAP, as in /proc/PID/comm; a diagnosis tells any other (default any)',
        minLength: 1,
        maxLength: 15,
        examples: ['firecracker'],
      }),
    ),
    takeover: Type.Optional(
      Type.Boolean({
        description:
          'Release the TAP from a bridge it is attached to, instead of refusing it (default false)',
      }),
    ),
    forwards: Type.Optional(
      Type.Array(Type.Union([Type.String(), ForwardSchema]), {
        description: 'Ports of the host that lead into the VM, "[host-ip:]host-port:guest-port[/tcp|udp]"',
        examples: [['16080:6080']],
      }),
    ),
    egress: Type.Optional(EgressSchema),
    profile: Type.Optional(
      Type.String({
        description:
          'Name of a profile; its forwards and outbound rules come after those of the VM (default none)',
        examples: ['browser-vm'],
      }),
    ),
  },
  closed,
);

export const ProfileSchema = Type.Object(
  {
    forwards: Type.Optional(VmSchema.properties.forwards),
    egress: Type.Optional(EgressSchema),
  },
  closed,
);

export const ApiSchema = Type.Object(
  {
    socket: Type.Optional(
      Type.String({ description: 'Path of the unix socket (default /run/tapswitch/api.sock)' }),
    ),
    group: Type.Optional(
      Type.Union([Type.String(), Type.Integer({ minimum: 0 })], {
        description: 'Group that may use the socket, by name or gid (default its owner only)',
        examples: ['tapswitch'],
      }),
    ),
    listen: Type.Optional(
      Type.Array(Type.String(), {
        description: 'TCP listeners, "ADDRESS:PORT" (default none)',
        examples: [['127.0.0.1:7080']],
      }),
    ),
    exposed: Type.Optional(
      Type.Boolean({ description: 'Whether they may be on other addresses than loopback (default false)' }),
    ),
    tokenFile: Type.Optional(
      Type.String({
        description: 'File with the bearer token that TCP listeners ask for (default none)',
        examples: ['/etc/tapswitch/token'],
      }),
    ),
    hosts: Type.Optional(
      Type.Array(Type.String(), {
        description:
          "Names the Host header may have beside the listener's address and localhost (default none)",
        examples: [['switch.example']],
      }),
    ),
  },
  { ...closed, description: 'The HTTP API: where it listens, and to whom (default none)' },
);

export const GuestAccessSchema = Type.Object(
  {
    listen: Type.String({
      description: 'TCP listener for what VMs serve, "ADDRESS:PORT", on loopback',
      examples: ['127.0.0.1:7090'],
    }),
    domain: Type.Optional(
      Type.String({ description: 'Each VM is the host ID.DOMAIN there (default localhost)' }),
    ),
  },
  { ...closed, description: 'A listener for what VMs serve, an origin apart from the API (default none)' },
);

export const AutoAttachSchema = Type.Object(
  {
    match: Type.String({ description: 'Pattern of interface names, with * and ?', examples: ['fc-*'] }),
    network: Type.Optional(Type.String({ description: 'Name of the network (default "default")' })),
    profile: Type.Optional(
      Type.String({ description: 'Name of a profile (default none)', examples: ['browser-vm'] }),
    ),
  },
  closed,
);

/** Least and most bytes of a ring: several of the longest frames, and what one may ask of a host's memory */
const LEAST_RING_BYTES = 262_144;
const MOST_RING_BYTES = 268_435_456;

export const CaptureSchema = Type.Object(
  {
    maximum: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 64, description: 'Captures at a time (default 8)' }),
    ),
    ringBytes: Type.Optional(
      Type.Integer({
        minimum: LEAST_RING_BYTES,
        maximum: MOST_RING_BYTES,
        description:
          'Bytes of the ring that each capture has in each datapath thread, a power of two (default 4194304)',
      }),
    ),
  },
  { ...closed, description: 'What captures may take (default as listed in docs/limits.md)' },
);

export const ConfigSchema = Type.Object(
  {
    networks: Type.Record(Type.String(), NetworkSchema, { description: 'Networks by name' }),
    vms: Type.Optional(Type.Record(Type.String(), VmSchema, { description: 'VMs by id' })),
    profiles: Type.Optional(
      Type.Record(Type.String(), ProfileSchema, { description: 'Profiles by name, beside those shipped' }),
    ),
    api: Type.Optional(ApiSchema),
    guestAccess: Type.Optional(GuestAccessSchema),
    autoAttach: Type.Optional(
      Type.Array(AutoAttachSchema, { description: 'TAPs that are plugged in when they appear' }),
    ),
    capture: Type.Optional(CaptureSchema),
    guard: Type.Optional(
      Type.Enum(['required', 'off'], {
        description: "Whether VM TAPs are shielded from the host's own network stack (default required)",
      }),
    ),
    fastPath: Type.Optional(
      Type.Enum(['auto', 'off'], {
        description:
          'Whether the kernel hands known unicast between VMs of a shared network over (default auto)',
      }),
    ),
    workers: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 16,
        description: 'Datapath threads, one where there is one processor (default 2)',
      }),
    ),
  },
  closed,
);

export type HostPortInput = Static<typeof HostPortSchema>;
export type DnsInput = Static<typeof DnsSchema>;
export type ForwardInput = string | Static<typeof ForwardSchema>;
export type NetworkInput = Static<typeof NetworkSchema>;
export type ProfileInput = Static<typeof ProfileSchema>;
export type ApiInput = Static<typeof ApiSchema>;
export type GuestAccessInput = Static<typeof GuestAccessSchema>;
export type AutoAttachInput = Static<typeof AutoAttachSchema>;
export type CaptureInput = Static<typeof CaptureSchema>;
export type VmInput = Static<typeof VmSchema>;
export type ConfigInput = Static<typeof ConfigSchema>;
