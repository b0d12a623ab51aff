/**
 * What the control plane shows and takes: the resources of the HTTP API as schemas, from which come the types of the
 * daemon, the client and the command, the answers' serialisation, and the OpenAPI document.
 */
import { type Static, Type } from 'typebox';
import { ForwardSchema, VmSchema } from '../config/schema.ts';

const closed = { additionalProperties: false } as const;

/** A forward as it is asked for: text, or a mapping with the same text and how long it waits. */
export const ForwardRequest = Type.Union([Type.String(), ForwardSchema], {
  description: 'A forward, "[host-ip:]host-port:guest-port[/tcp|udp]" or "unix:PATH:guest-port"',
});

/** Body of `PUT /v1/vms/{id}`: what a VM of the configuration has, and how its TAP comes to be. */
export const VmRequest = Type.Object(
  {
    ...VmSchema.properties,
    tap: Type.Optional(
      Type.String({ description: 'Name of its TAP (default fc-ID, where that is an interface name)' }),
    ),
    createTap: Type.Optional(
      Type.Object(
        {
          owner: Type.Optional(Type.Integer({ minimum: 0, description: 'uid that may open it' })),
          group: Type.Optional(Type.Integer({ minimum: 0, description: 'gid that may open it' })),
        },
        {
          ...closed,
          description: 'Make the TAP where there is none, for this user; it goes when the VM is removed',
        },
      ),
    ),
  },
  { ...closed, description: 'A VM as it is to be' },
);

export const Forward = Type.Object(
  {
    protocol: Type.Enum(['tcp', 'udp']),
    host: Type.String({ description: '127.0.0.1:16080, [::1]:16080 or unix:/path' }),
    guestPort: Type.Integer(),
    exposed: Type.Boolean({ description: 'Others than this host can reach it' }),
    identity: Type.Boolean({ description: "It is the port of the VM's loopback identity" }),
  },
  closed,
);

export const Counters = Type.Object(
  {
    rxFrames: Type.Number({ description: 'Frames taken in from the VM' }),
    rxBytes: Type.Number(),
    txFrames: Type.Number({ description: 'Frames handed to the VM' }),
    txBytes: Type.Number(),
    drops: Type.Record(Type.String(), Type.Number(), { description: 'Frames dropped, by reason' }),
  },
  closed,
);

export const VmState = Type.Enum(['absent', 'down', 'up'], {
  description: 'absent: its TAP is not there; down: no process holds the TAP; up: frames can pass',
});

/** Firecracker's part of a VM: what goes into its own configuration. */
export const FirecrackerSnippet = Type.Object(
  {
    'network-interfaces': Type.Array(
      Type.Object({
        iface_id: Type.String(),
        host_dev_name: Type.String(),
        guest_mac: Type.Optional(Type.String()),
      }),
    ),
    boot_args: Type.String({
      description: 'Kernel parameters that set the address up, "ip=..."; empty without one',
    }),
  },
  closed,
);

export const EVENT_TYPES = [
  'vm-added',
  'vm-changed',
  'vm-removed',
  'vm-up', // carrier: a VMM holds the TAP
  'vm-down',
  'tap-present',
  'tap-absent',
  'first-frame', // of this carrier
  'first-arp', // the guest's address became known to the switch, or it answered ARP
  'lease', // the guest uses the address it was offered by DHCP
  'port-reachable', // first connection opened to this port of this carrier
  'forward-added',
  'forward-removed',
  'drops-rising',
  'generation', // a restored snapshot was announced
  'worker-replaced',
  'reloaded', // the configuration was read again
] as const;

export const Event = Type.Object(
  {
    sequence: Type.Integer({ description: 'Counts up by one; begins anew with the daemon' }),
    run: Type.String({ description: "The daemon's run: sequence numbers of another one mean nothing" }),
    time: Type.String({ description: 'RFC 3339, UTC' }),
    type: Type.Enum([...EVENT_TYPES]),
    vm: Type.Optional(Type.String()),
    network: Type.Optional(Type.String()),
    port: Type.Optional(Type.Integer({ description: 'of the guest' })),
    host: Type.Optional(Type.String({ description: "a forward's host side" })),
    reason: Type.Optional(Type.String({ description: 'a drop reason' })),
    frames: Type.Optional(Type.Number()),
    worker: Type.Optional(Type.Integer()),
    detail: Type.Optional(Type.String({ description: 'the same in words' })),
  },
  closed,
);

export const Vm = Type.Object(
  {
    id: Type.String(),
    network: Type.String(),
    tap: Type.String(),
    netns: Type.Optional(Type.String()),
    profile: Type.Optional(Type.String()),
    origin: Type.Enum(['config', 'api', 'auto'], {
      description: 'Who asked for it: the configuration file, the API, or a pattern of autoAttach',
    }),
    state: VmState,
    mac: Type.Optional(Type.String({ description: 'Configured or learned; absent while unknown' })),
    ip: Type.Optional(Type.String({ description: 'Configured or learned; absent while unknown' })),
    ip6: Type.Optional(Type.String()),
    leased: Type.Optional(Type.String({ description: 'What DHCP offers a VM without a configured address' })),
    prefix: Type.Optional(
      Type.Integer({
        description: 'Of its network, as gateway and mtu; absent where that is not configured any more',
      }),
    ),
    gateway: Type.Optional(Type.String()),
    mtu: Type.Optional(Type.Integer()),
    loopback: Type.String({ description: "The VM's own address on the host's loopback" }),
    forwards: Type.Array(Forward),
    generation: Type.Integer({ description: 'How many times a snapshot was said to have been restored' }),
    counters: Counters,
    recent: Type.Optional(
      Type.Array(Event, { description: 'Its last events, 64 at most, where one VM is asked for' }),
    ),
    firecracker: FirecrackerSnippet,
  },
  closed,
);

export const Network = Type.Object(
  {
    name: Type.String(),
    subnet: Type.String(),
    gateway: Type.String(),
    subnet6: Type.Optional(Type.String()),
    gateway6: Type.Optional(Type.String()),
    mode: Type.Enum(['isolated', 'shared']),
    clones: Type.Boolean(),
    mtu: Type.Integer(),
    hostPort: Type.Optional(
      Type.Object({
        name: Type.String(),
        address: Type.String(),
        plugged: Type.Boolean(),
        counters: Counters,
      }),
    ),
    vms: Type.Integer({ description: 'How many VMs it has' }),
  },
  closed,
);

export const Flow = Type.Object(
  {
    protocol: Type.Enum(['tcp', 'udp', 'icmp']),
    direction: Type.Enum(['in', 'out'], { description: 'in: begun by the host, out: begun by the guest' }),
    guest: Type.String({ description: 'ADDRESS:PORT of the guest' }),
    remote: Type.String({ description: 'ADDRESS:PORT of the other end, as the guest sees it' }),
    state: Type.String({ description: "TCP's state (RFC 9293), or offloaded; open for the others" }),
  },
  closed,
);

export const FdbEntry = Type.Object(
  {
    network: Type.String(),
    mac: Type.String(),
    port: Type.String({ description: 'Id of the VM, or name of the host port' }),
    state: Type.Enum(['configured', 'learned', 'own']),
  },
  closed,
);

export const Drop = Type.Object(
  {
    port: Type.String({ description: 'Id of the VM, or name of the host port' }),
    reason: Type.String(),
    frames: Type.Number(),
  },
  closed,
);

export const Lease = Type.Object(
  {
    vm: Type.String(),
    network: Type.String(),
    ip: Type.String(),
    mac: Type.Optional(Type.String()),
    kind: Type.Enum(['configured', 'offered'], { description: 'offered: by DHCP, where none is configured' }),
  },
  closed,
);

/** Where on the way to a port in a VM something failed. */
export const HOPS = ['vm', 'tap', 'guest', 'port'] as const;
export const DEFAULT_LINK_SECONDS = 3600;
const MAX_LINK_SECONDS = 86_400;

export const LinkRequest = Type.Object(
  {
    port: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 65_535,
        description: 'Port of the guest it is for; all where absent',
      }),
    ),
    path: Type.Optional(
      Type.String({
        maxLength: 2048,
        description: "The service's path it leads to, with its query (default /)",
      }),
    ),
    expiresIn: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MAX_LINK_SECONDS,
        description: `Seconds it holds (default ${DEFAULT_LINK_SECONDS})`,
      }),
    ),
  },
  { additionalProperties: false, description: 'What a link is to be for' },
);

export const Link = Type.Object(
  {
    url: Type.String({ description: 'To be opened by a browser; whoever has it can reach the VM' }),
    expires: Type.String({ description: 'RFC 3339, UTC' }),
  },
  { additionalProperties: false },
);

export type Hop = (typeof HOPS)[number];

export const Reached = Type.Object(
  {
    vm: Type.String(),
    port: Type.Integer(),
    waitedMs: Type.Integer(),
  },
  closed,
);

export const Diagnosis = Type.Object(
  {
    vm: Type.String(),
    port: Type.Optional(Type.Integer({ description: 'Port of the guest that was asked about' })),
    verdict: Type.Object(
      {
        code: Type.String({ description: 'Stable; docs/diagnosis.md has the list' }),
        sentence: Type.String(),
        nextStep: Type.String(),
      },
      closed,
    ),
    hops: Type.Array(
      Type.Object(
        {
          hop: Type.String(),
          status: Type.Enum(['ok', 'failed', 'skipped', 'unknown']),
          evidence: Type.String(),
        },
        closed,
      ),
      { description: 'In the order of the way to the guest' },
    ),
    recent: Type.Array(Event, { description: 'The last events of the VM, 64 at most, oldest first' }),
  },
  closed,
);

export const Generation = Type.Object(
  { generation: Type.Integer(), reset: Type.Integer({ description: 'Flows that were reset' }) },
  closed,
);

export const Health = Type.Object(
  {
    status: Type.Enum(['ok', 'degraded']),
    version: Type.String(),
    run: Type.String(),
    uptimeSeconds: Type.Number(),
    guard: Type.String({ description: 'nftables, tcx, off, or none while no VM is there' }),
    workers: Type.Array(Type.Object({ alive: Type.Boolean(), replaced: Type.Integer() }, closed)),
    vms: Type.Integer(),
  },
  closed,
);

export const Reloaded = Type.Object(
  {
    changes: Type.Array(Type.String(), { description: 'What was applied, one line each' }),
    needRestart: Type.Array(Type.String(), { description: 'What takes effect after a restart only' }),
  },
  closed,
);

/** RFC 9457, with the code of the error. */
export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  code: Type.String({ description: 'Stable, see docs/errors.md' }),
  nextStep: Type.Optional(Type.String()),
  hop: Type.Optional(Type.Enum([...HOPS], { description: 'Where on the way into the VM it failed' })),
});

export type ForwardRequest = Static<typeof ForwardRequest>;
export type VmRequest = Static<typeof VmRequest>;
export type Forward = Static<typeof Forward>;
export type Counters = Static<typeof Counters>;
export type Vm = Static<typeof Vm>;
export type FirecrackerSnippet = Static<typeof FirecrackerSnippet>;
export type Network = Static<typeof Network>;
export type Flow = Static<typeof Flow>;
export type FdbEntry = Static<typeof FdbEntry>;
export type Drop = Static<typeof Drop>;
export type Lease = Static<typeof Lease>;
export type EventType = (typeof EVENT_TYPES)[number];
export type Event = Static<typeof Event>;
export type Reached = Static<typeof Reached>;
export type Diagnosis = Static<typeof Diagnosis>;
export type Generation = Static<typeof Generation>;
export type Health = Static<typeof Health>;
export type Reloaded = Static<typeof Reloaded>;
export type Problem = Static<typeof Problem>;
export type LinkRequest = Static<typeof LinkRequest>;
export type Link = Static<typeof Link>;
