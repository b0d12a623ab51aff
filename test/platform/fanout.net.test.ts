/** What spreading a VM's flows over workers takes for granted of the kernel's fanout groups. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { fanoutSocket } from '../../src/sys/fanout.ts';
import { close } from '../../src/sys/libc.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { openPacketSocket, openPacketSockets } from '../../src/sys/packet-socket.ts';
import { receiveFrames, Stage, sendFrame } from '../lib/engine-stage.ts';
import * as frames from '../lib/frames.ts';
import * as frames6 from '../lib/frames6.ts';

const SOCKETS = 3;
const HOME = 1;
const BUFFER_BYTES = 1 << 22;
const GUEST = { from: frames.A, to: frames.GATEWAY };
const GUEST6 = { ...GUEST, source: 'fd00:74:1:2::e', destination: frames6.GATEWAY6 };

let stage: Stage;
let guest: number;
let sockets: number[];

beforeEach(() => {
  stage = new Stage();
  const [left, right] = withRoutes(stage.host.path, (routes) => {
    routes.createVeth('left', 'right');
    const ends = [indexOf(routes, 'left'), indexOf(routes, 'right')] as const;
    for (const index of ends) routes.changeLink(index, { addrGenMode: 'none', arp: false, up: true });
    return ends;
  });
  inNamespace(stage.host.path, () => {
    guest = openPacketSocket(left, BUFFER_BYTES);
    sockets = openPacketSockets(right, BUFFER_BYTES, SOCKETS, HOME);
  });
  stage.atEnd(() => {
    for (const fd of [guest, ...sockets]) close(fd);
  });
});

afterEach(() => stage.end());

/** How many frames each socket gets when the guest sends `frame`. */
function dealt(frame: Uint8Array): number[] {
  sendFrame(guest, frame.subarray(frames.VNET_BYTES));
  return sockets.map((fd) => receiveFrames(fd).length);
}

function only(socket: number): number[] {
  return sockets.map((_, index) => (index === socket ? 1 : 0));
}

test('the group -> has as many sockets as were asked for', () => {
  expect(sockets).toHaveLength(SOCKETS);
});

test.each([
  [40_000, 8080],
  [40_001, 8080],
  [40_002, 8080],
  [40_004, 8080],
  [65_535, 65_535],
  [1, 1],
  [0, 0],
])(
  'TCP segment from port %i to %i -> the socket of their sum, IPv4 and IPv6, and the way back alike',
  (fromPort, toPort) => {
    const socket = fanoutSocket(fromPort, toPort, SOCKETS);
    const back = { fromPort: toPort, toPort: fromPort };
    expect(dealt(frames.ipv4Tcp({ ...GUEST, fromPort, toPort }))).toEqual(only(socket));
    expect(dealt(frames.ipv4Tcp({ ...GUEST, ...back }))).toEqual(only(socket));
    expect(dealt(frames6.tcp6({ ...GUEST6, fromPort, toPort }))).toEqual(only(socket));
    expect(dealt(frames.ipv4Tcp({ ...GUEST, fromPort, toPort, options: [1, 1, 1, 0] }))).toEqual(
      only(socket),
    );
  },
);

test.each([40_000, 40_002, 40_004])(
  'ICMP error that quotes a segment of port %i -> the socket of that segment',
  (fromPort) => {
    const toPort = 8080;
    const sent = frames.ipv4Tcp({ from: frames.GATEWAY, to: frames.A, fromPort, toPort });
    const sent6 = frames6.tcp6({ ...GUEST6, fromPort, toPort });
    const quote = [0, 0, 0, 0, ...sent.subarray(frames.PACKET)];
    const quote6 = [0, 0, 0, 0, ...sent6.subarray(frames.PACKET)];
    const socket = only(fanoutSocket(fromPort, toPort, SOCKETS));
    expect(dealt(frames.icmp(GUEST, 3, 3, quote))).toEqual(socket);
    expect(dealt(frames.icmp(GUEST, 11, 0, quote))).toEqual(socket);
    expect(dealt(frames6.icmpv6(GUEST6, 1, 4, quote6))).toEqual(socket);
  },
);

test.each([
  ['ARP', frames.arpRequest({ from: frames.A, about: frames.GATEWAY })],
  ['UDP', frames.ipv4Udp(GUEST)],
  ['UDP over IPv6', frames6.udp6(GUEST6)],
  ['echo', frames.icmpEcho(GUEST)],
  ['echo over IPv6', frames6.echo6(GUEST6)],
  ['first fragment of TCP', frames.ipv4Tcp({ ...GUEST, fragment: frames.MORE_FRAGMENTS })],
  ['later fragment of TCP', frames.ipv4Tcp({ ...GUEST, fragment: 3 })],
  [
    'ICMP error about UDP',
    frames.icmp(GUEST, 3, 3, [0, 0, 0, 0, ...frames.ipv4Udp(GUEST).subarray(frames.PACKET)]),
  ],
])('%s -> the home socket', (_, frame) => {
  expect(dealt(frame)).toEqual(only(HOME));
});

test('what a member sends -> no member receives it', () => {
  const frame = frames.ipv4Tcp({ from: frames.GATEWAY, to: frames.A });
  sendFrame(sockets[0] as number, frame.subarray(frames.VNET_BYTES));
  expect(receiveFrames(guest)).toHaveLength(1);
  expect(sockets.map((fd) => receiveFrames(fd).length)).toEqual([0, 0, 0]);
});
