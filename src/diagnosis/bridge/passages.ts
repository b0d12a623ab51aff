/**
 * The packets that must get through for the two ends to talk, and the hooks each passes.
 *
 * A frame of the guest's: ingress of the TAP, then the bridge's prerouting; from there to the host by the bridge's
 * input and the host's own, or to another port by the bridge's forward and postrouting. With bridge netfilter the
 * latter two also run the rules of ip and inet (br_netfilter_hooks.c), with the bridge as interface.
 */
import type { BridgeFacts, BridgePathFacts, PortFacts } from './facts.ts';
import type { Hook, Packet, Passage } from './packet.ts';

const BRIDGE = ['bridge'] as const;
const IP = ['ip', 'inet'] as const;
const ARP = ['arp'] as const;
const DEVICE = ['netdev', 'inet'] as const;
const BROADCAST = 'ff:ff:ff:ff:ff:ff';

const layer3 = ({ type }: Packet) => (type === 'arp' ? ARP : IP);
const ingress = (name: string): Hook => ({ families: DEVICE, hook: 'ingress', in: name });
const egress = (name: string): Hook => ({ families: DEVICE, hook: 'egress', out: name });

function toHost(packet: Packet, tap: string, { name, callIptables }: BridgeFacts): Hook[] {
  const families = layer3(packet);
  const portIn = callIptables && packet.type === 'ip' ? { portIn: tap } : {};
  const up: Hook = { families, hook: 'input', in: name, ...portIn };
  return [
    ingress(tap),
    { families: BRIDGE, hook: 'prerouting', in: tap, bridge: name },
    { families: BRIDGE, hook: 'input', in: tap, bridge: name },
    ingress(name),
    // ARP has no other hook on its way up.
    ...(packet.type === 'ip' ? [{ ...up, hook: 'prerouting' } as const] : []),
    up,
  ];
}

function fromHost(packet: Packet, tap: string, { name }: BridgeFacts): Hook[] {
  const families = layer3(packet);
  const down: Hook = { families, hook: 'output', out: name };
  return [
    down,
    ...(packet.type === 'ip' ? [{ ...down, hook: 'postrouting' } as const] : []),
    egress(name),
    { families: BRIDGE, hook: 'output', out: tap, bridge: name },
    { families: BRIDGE, hook: 'postrouting', out: tap, bridge: name },
    egress(tap),
  ];
}

function between(packet: Packet, from: string, to: string, bridge: BridgeFacts): Hook[] {
  const { name } = bridge;
  const isCalled = packet.type === 'arp' ? bridge.callArptables : bridge.callIptables;
  const ports = { in: name, out: name, portIn: from, portOut: to };
  const called = (hook: Hook['hook']): Hook[] => {
    if (!isCalled) return [];
    const { in: iif, out, ...physical } = ports;
    // As in any stack, the output is not known before routing, nor the input after it.
    if (hook === 'prerouting') return [{ families: IP, hook, in: iif, portIn: from }];
    if (hook === 'postrouting') return [{ families: IP, hook, out, ...physical }];
    return [{ families: layer3(packet), hook, ...ports }];
  };
  const isArp = packet.type === 'arp';
  return [
    ingress(from),
    { families: BRIDGE, hook: 'prerouting', in: from, bridge: name },
    ...(isArp ? [] : called('prerouting')),
    { families: BRIDGE, hook: 'forward', in: from, out: to, bridge: name },
    ...called('forward'),
    { families: BRIDGE, hook: 'postrouting', in: from, out: to, bridge: name },
    ...(isArp ? [] : called('postrouting')),
    egress(to),
  ];
}

interface End {
  readonly mac: string | undefined;
  readonly ip: string | undefined;
}

/** What must pass: both directions of ARP, and of ping or of TCP to the port. */
function packetsOf(from: End, to: End, port: number | undefined): { out: Packet[]; back: Packet[] } {
  const there = { etherSource: from.mac, etherDestination: to.mac, source: from.ip, destination: to.ip };
  const back = { etherSource: to.mac, etherDestination: from.mac, source: to.ip, destination: from.ip };
  const question = { ...there, etherDestination: BROADCAST, operation: 'request' } as const;
  const out: Packet[] = [{ what: 'ARP request to the guest', type: 'arp', state: 'new', ...question }];
  const replies: Packet[] = [
    { what: 'ARP reply of the guest', type: 'arp', operation: 'reply', state: 'new', ...back },
  ];
  if (port === undefined) {
    const ping = { type: 'ip', protocol: 'icmp' } as const;
    out.push({ what: 'ping to the guest', ...ping, icmpType: 'echo-request', state: 'new', ...there });
    replies.push({
      what: "the guest's answer to ping",
      ...ping,
      icmpType: 'echo-reply',
      state: 'established',
      ...back,
    });
  } else {
    const tcp = { type: 'ip', protocol: 'tcp' } as const;
    out.push({ what: `TCP to port ${port}`, ...tcp, destinationPort: port, state: 'new', ...there });
    replies.push({ what: `TCP from port ${port}`, ...tcp, sourcePort: port, state: 'established', ...back });
  }
  return { out, back: replies };
}

/** Address the host speaks from: the route's, or the bridge's first. */
function hostAddress({ route }: BridgePathFacts, { addresses }: BridgeFacts): string | undefined {
  return (typeof route === 'string' ? undefined : route.source) ?? addresses[0]?.split('/')[0];
}

/** The packets of the flow that is asked about, in the order that they are sent. */
export function passages(facts: BridgePathFacts, bridge: BridgeFacts, tap: PortFacts): Passage[] {
  const guest = { mac: facts.heard.arp.macs[0], ip: facts.ip };
  const { peer, port } = facts;
  if (peer === undefined) {
    const host = { mac: bridge.mac, ip: hostAddress(facts, bridge) };
    const { out, back } = packetsOf(host, guest, port);
    return out.flatMap((packet, i) => [
      { packet, hooks: fromHost(packet, tap.name, bridge) },
      { packet: back[i] as Packet, hooks: toHost(back[i] as Packet, tap.name, bridge) },
    ]);
  }
  if (peer.port === undefined) return [];
  const far = peer.port.name;
  const { out, back } = packetsOf(peer, guest, port);
  return out.flatMap((packet, i) => [
    { packet, hooks: between(packet, far, tap.name, bridge) },
    { packet: back[i] as Packet, hooks: between(back[i] as Packet, tap.name, far, bridge) },
  ]);
}
