/**
 * A VM beside others that flood, hang or lie: what it is served in a round of the datapath is what it is served
 * without them. Counted in bytes and rounds, since time would measure the machine.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { BATCH_FRAMES } from '../../../src/port/batch.ts';
import { AF_INET, openSocket, SOCK_DGRAM } from '../../../src/sys/inet-socket.ts';
import { bind, check, close, getsockname } from '../../../src/sys/libc.ts';
import { A, arpRequest, B, C, GATEWAY, ipv4Tcp, ipv4Udp, NOBODY, SYN } from '../../lib/frames.ts';
import { listenOnLoopback } from '../../lib/socket-pair.ts';
import { type Manners, PUSH_BYTES, TcpGuest } from '../../lib/tcp-guest.ts';
import { NETWORK, type Sent, TestSwitch } from '../../lib/test-switch.ts';

const WARM_UP = 40;
const ROUNDS = 40;
const SERVICE = 80;
const DATAGRAMS = 53_000;
/** What a VM may lose by its neighbours */
const MOST_LOST = 0.05;
const VM_BUFFER_BYTES = 64 * 1024 * 1024;

/** Somebody beside the VM: what it sends in a round. */
interface Neighbour {
  readonly port: number;
  act(round: number, sent: readonly Sent[]): readonly Uint8Array[];
}

type Arrival = (net: TestSwitch) => Neighbour;

const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

function madeSwitch(): TestSwitch {
  const net = new TestSwitch();
  closers.push(() => net.gateway.close());
  const { fd, port } = listenOnLoopback();
  const socket = check('socket', openSocket(AF_INET, SOCK_DGRAM));
  closers.push(
    () => close(fd),
    () => close(socket),
  );
  const address = Uint8Array.from([2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  check('bind', bind(socket, address, 16));
  check('getsockname', getsockname(socket, address, Uint8Array.from([16, 0, 0, 0])));
  net.services.set(NETWORK, [
    { protocol: 'tcp', gatewayPort: SERVICE, hostPort: port },
    { protocol: 'udp', gatewayPort: DATAGRAMS, hostPort: new DataView(address.buffer).getUint16(2) },
  ]);
  return net;
}

function guestOn(net: TestSwitch, ...[station, manners]: [typeof A, Manners?]): TcpGuest {
  const guest = new TcpGuest(net, station, manners);
  closers.push(() => guest.dispose());
  return guest;
}

/** A whole batch each round, no frame like another. */
function flooding(frame: (number: number) => Uint8Array): Arrival {
  return (net) => ({
    port: net.vm(B),
    act: (round) => Array.from({ length: BATCH_FRAMES }, (_, i) => frame(round * BATCH_FRAMES + i)),
  });
}

/** So many connections whose hosts have data without end. */
function crowded(connections: number, manners: Manners): Arrival {
  return (net) => {
    const guest = guestOn(net, B, manners);
    guest.connect(connections);
    return {
      port: guest.port,
      act: (_, sent) => {
        guest.fill();
        return guest.answer(sent);
      },
    };
  };
}

const portOf = (number: number): number => 1024 + (number % 60_000);
const NEIGHBOURS: readonly (readonly [string, Arrival])[] = [
  [
    'floods with SYNs',
    flooding((n) => ipv4Tcp({ from: B, to: GATEWAY, toPort: SERVICE, fromPort: portOf(n), flags: SYN })),
  ],
  [
    'floods with SYNs for ports that nobody offers',
    flooding((n) => ipv4Tcp({ from: B, to: GATEWAY, toPort: portOf(n), flags: SYN })),
  ],
  [
    'floods with datagrams of a new flow each',
    flooding((n) => ipv4Udp({ from: B, to: GATEWAY, toPort: DATAGRAMS, fromPort: portOf(n) })),
  ],
  ['floods with ARP', flooding(() => arpRequest({ from: B, about: A }))],
  [
    'sends from a foreign MAC',
    flooding((n) => ipv4Tcp({ from: { ...B, mac: A.mac }, to: GATEWAY, toPort: portOf(n) })),
  ],
  [
    'sends from the VM`s address',
    flooding((n) => ipv4Tcp({ from: { ...B, ip: A.ip }, to: GATEWAY, toPort: portOf(n) })),
  ],
  [
    'claims the VM`s address by ARP',
    flooding(() => arpRequest({ from: { ...B, ip: A.ip }, about: GATEWAY })),
  ],
  ['has 500 connections that take all they get', crowded(500, {})],
  ['has 300 connections and acknowledges nothing', crowded(300, { deaf: true })],
  ['has 300 connections and closes its window', crowded(300, { window: 0 })],
];

interface Served {
  /** Bytes in the rounds that count */
  readonly bytes: number;
  /** The fewest in one of them */
  readonly least: number;
  readonly net: TestSwitch;
  readonly neighbours: readonly Neighbour[];
}

/**
 * Rounds of a VM with one connection beside its neighbours.
 *
 * @param turn what the VM sends in a round, and how many bytes it was served since the last
 */
function serve(
  arrivals: readonly Arrival[],
  turn: (guest: TcpGuest, sent: readonly Sent[]) => { frames: Uint8Array[]; bytes: number },
): Served {
  const net = madeSwitch();
  const neighbours = arrivals.map((arrive) => arrive(net));
  const guest = guestOn(net, A);
  guest.connect(1);
  let sent = net.poll();
  let [bytes, least] = [0, Number.POSITIVE_INFINITY];
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    const own = turn(guest, sent);
    if (round >= WARM_UP) {
      bytes += own.bytes;
      least = Math.min(least, own.bytes);
    }
    net.clock.pass(0.001);
    const others = neighbours.map((one) => [one.port, one.act(round, sent)] as const);
    sent = net.round([...others, [guest.port, own.frames]]);
  }
  return { bytes, least, net, neighbours };
}

/** The host sends without end, the VM takes it. */
function download(arrivals: readonly Arrival[]): Served {
  let before = 0;
  return serve(arrivals, (guest, sent) => {
    guest.fill();
    const frames = guest.answer(sent);
    const bytes = guest.received - before;
    before = guest.received;
    return { frames, bytes };
  });
}

/** The VM sends a batch each round, the host takes it. */
function upload(arrivals: readonly Arrival[]): Served {
  return serve(arrivals, (guest, sent) => {
    const bytes = guest.drain();
    const frames = guest.answer(sent);
    const isOpen = guest.connections > 0 && frames.length === 0;
    return { frames: isOpen ? guest.push(BATCH_FRAMES) : frames, bytes };
  });
}

/** Bytes a batch of the VM's carries */
const BATCH_BYTES = BATCH_FRAMES * PUSH_BYTES;

describe('the VM receives', () => {
  const alone = download([]);

  test('alone -> much in each round', () => {
    expect(alone.least).toBeGreaterThan(100_000);
  });

  test.each(NEIGHBOURS)('its neighbour %s -> it loses nothing to speak of', (_, arrive) => {
    const { bytes, least } = download([arrive]);
    expect(bytes).toBeGreaterThanOrEqual(alone.bytes * (1 - MOST_LOST));
    expect(least).toBeGreaterThanOrEqual(alone.least * (1 - MOST_LOST));
  });

  test('a neighbour whose connections all hang -> has its share of memory, and no more', () => {
    const { net, neighbours } = download([crowded(300, { deaf: true })]);
    const held = net.gateway.tcp.bufferedBytes((neighbours[0] as Neighbour).port);
    expect(held).toBeGreaterThan(VM_BUFFER_BYTES / 4);
    expect(held).toBeLessThanOrEqual(VM_BUFFER_BYTES);
  });

  test('one floods, one hangs, one lies, all at once -> it loses nothing to speak of', () => {
    const spoofing: Arrival = (net) => ({
      port: net.vm(C),
      act: () =>
        Array.from({ length: BATCH_FRAMES }, () => ipv4Tcp({ from: { ...C, ip: NOBODY.ip }, to: GATEWAY })),
    });
    const stuck: Arrival = (net) => {
      const guest = guestOn(net, { mac: '06:00:c0:a8:00:20', ip: '192.168.0.32' }, { deaf: true });
      guest.connect(100);
      return {
        port: guest.port,
        act: (_, sent) => {
          guest.fill();
          return guest.answer(sent);
        },
      };
    };
    const [, floods] = NEIGHBOURS[0] as (typeof NEIGHBOURS)[number];
    const { bytes } = download([floods, spoofing, stuck]);
    expect(bytes).toBeGreaterThanOrEqual(alone.bytes * (1 - MOST_LOST));
  });
});

describe('the VM sends', () => {
  const alone = upload([]);

  test('alone -> a batch in each round', () => {
    expect(alone.bytes).toBeGreaterThanOrEqual(ROUNDS * BATCH_BYTES * 0.5);
  });

  test.each(NEIGHBOURS)('its neighbour %s -> it loses nothing to speak of', (_, arrive) => {
    expect(upload([arrive]).bytes).toBeGreaterThanOrEqual(alone.bytes * (1 - MOST_LOST));
  });
});
