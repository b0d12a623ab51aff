/** UDP flows and echo against real sockets in a namespace of the test's own. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { indexOf, withRoutes } from '../../../src/lab/netns-guest.ts';
import { createNamespace, type Namespace } from '../../../src/sys/netns.ts';
import { internetChecksum, pseudoHeader, pseudoHeader6 } from '../../lib/checksum.ts';
import { DatagramStage, NETWORK, Peer, VM, words } from '../../lib/datagram-stage.ts';
import { A, GATEWAY, icmpEcho, ipv4Udp, PACKET, type Station, UDP, withVnet } from '../../lib/frames.ts';
import { echo6, GATEWAY6, udp6 } from '../../lib/frames6.ts';
import { atTestEnd } from '../../lib/net-cleanup.ts';
import { Place } from '../../lib/net-place.ts';

const FAR: Station = { mac: GATEWAY.mac, ip: '198.51.100.1' };
const FAR6 = '2001:db8::1';
const A6 = 'fd00:74:1:2::14';

let namespace: Namespace;
let stage: DatagramStage;

beforeAll(async () => {
  namespace = createNamespace();
  withRoutes(namespace.path, (routes) => routes.changeLink(indexOf(routes, 'lo'), { up: true }));
  const place = new Place(namespace.path, ['nsenter', `--net=${namespace.path}`]);
  await place.must(`ip addr add ${FAR.ip}/24 dev lo`, `ip addr add ${FAR6}/64 dev lo nodad`);
});

afterAll(() => namespace.close());

beforeEach(() => {
  stage = new DatagramStage({ path: namespace.path });
  atTestEnd().add(() => stage.close());
});

function peer(address: string, port = 0): Peer {
  const made = new Peer(namespace.path, address, port);
  atTestEnd().add(() => made.close());
  return made;
}

function view(frame: Uint8Array): DataView {
  return new DataView(frame.buffer, frame.byteOffset, frame.length);
}

/** What a guest reads out of a UDP frame that was not in fragments. */
function readUdp(frame: Uint8Array) {
  const at = view(frame);
  const isIpv4 = at.getUint8(PACKET) >>> 4 === 4;
  const header = PACKET + (isIpv4 ? 20 : 40);
  return {
    source: [...frame.subarray(PACKET + (isIpv4 ? 12 : 8), PACKET + (isIpv4 ? 16 : 24))],
    ports: [at.getUint16(header), at.getUint16(header + 2)],
    data: [...frame.subarray(header + 8)],
  };
}

function fill(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => (i * 7) & 0xff);
}

describe('a guest and a server', () => {
  test('IPv4 datagram -> sent as it is, the answer comes back from the server', () => {
    const server = peer(FAR.ip);
    expect(
      stage.send(ipv4Udp({ from: A, to: FAR, fromPort: 4000, toPort: server.port, data: [1, 2, 3] })),
    ).toBe('kept');
    const arrived = server.receive();
    expect(arrived?.data).toEqual(Uint8Array.of(1, 2, 3));
    server.send(FAR.ip, arrived?.port as number, Uint8Array.of(9, 8));
    const frames = stage.round();
    expect(frames.map(readUdp)).toEqual([
      { source: [198, 51, 100, 1], ports: [server.port, 4000], data: [9, 8] },
    ]);
    // The pseudo-header's sum is left in the checksum's place for whoever completes it.
    const frame = frames[0] as Uint8Array;
    expect(frame[0]).toBe(1);
    const pseudo = pseudoHeader(frame.subarray(PACKET + 12, PACKET + 20), UDP, 10);
    const partial = internetChecksum(pseudo) ^ 0xffff;
    expect(view(frame).getUint16(PACKET + 26)).toBe(partial);
  });

  test('a batch of datagrams of one flow -> each arrives, in order', () => {
    const server = peer(FAR.ip);
    const frames = Array.from({ length: 64 }, (_, i) =>
      ipv4Udp({ from: A, to: FAR, fromPort: 4000, toPort: server.port, data: fill(i + 1) }),
    );
    expect(new Set(stage.sendBatch(...frames))).toEqual(new Set(['kept']));
    for (const i of frames.keys()) expect(server.receive()?.data).toEqual(fill(i + 1));
    expect(server.receive()).toBeUndefined();
  });

  test('a batch of several flows in turns, a new one among them -> each datagram reaches its server', () => {
    const servers = [peer(FAR.ip), peer(FAR.ip), peer(FAR6)];
    const to = (server: number, data: number[]) => {
      const ports = { fromPort: 4000, toPort: servers[server]?.port as number, data };
      if (server < 2) return ipv4Udp({ from: A, to: FAR, ...ports });
      return udp6({ from: A, to: GATEWAY, source: A6, destination: FAR6 }, ports);
    };
    stage.sendBatch(to(0, [1]), to(0, [2]), to(1, [3]), to(0, [4]), to(2, [5]), to(2, [6]), to(1, [7]));
    const arrived = servers.map((server) => {
      const data: number[] = [];
      for (let one = server.receive(); one !== undefined; one = server.receive()) data.push(...one.data);
      return data;
    });
    expect(arrived).toEqual([
      [1, 2, 4],
      [3, 7],
      [5, 6],
    ]);
  });

  test('a batch to a port where nobody listens -> all are sent, and the guest hears of each that was refused', () => {
    const closed = new Peer(namespace.path, FAR.ip);
    closed.close();
    const frame = ipv4Udp({ from: A, to: FAR, fromPort: 4000, toPort: closed.port });
    expect(stage.sendBatch(frame, frame, frame)).toEqual(['kept', 'kept', 'kept']);
    const told = stage.round();
    expect(told).toHaveLength(3);
    for (const error of told) expect([...error.subarray(PACKET + 20, PACKET + 22)]).toEqual([3, 3]);
  });

  test('IPv6 datagram -> the same', () => {
    const server = peer(FAR6);
    const fields = { from: A, to: FAR, source: A6, destination: FAR6 };
    expect(stage.send(udp6(fields, { fromPort: 4000, toPort: server.port, data: [5] }))).toBe('kept');
    const arrived = server.receive();
    expect(arrived?.data).toEqual(Uint8Array.of(5));
    server.send(FAR6, arrived?.port as number, Uint8Array.of(6, 7));
    const frames = stage.round();
    expect(frames.map(readUdp)).toMatchObject([{ ports: [server.port, 4000], data: [6, 7] }]);
    const frame = frames[0] as Uint8Array;
    const pseudo = pseudoHeader6([...frame.subarray(PACKET + 8, PACKET + 40)], UDP, 10);
    expect(view(frame).getUint16(PACKET + 46)).toBe(internetChecksum(pseudo) ^ 0xffff);
  });

  test('two guest ports -> two sources; one guest port -> one', () => {
    const server = peer(FAR.ip);
    for (const fromPort of [4000, 4001, 4000]) {
      stage.send(ipv4Udp({ from: A, to: FAR, fromPort, toPort: server.port }));
    }
    const ports = [0, 1, 2].map(() => server.receive()?.port);
    expect(ports[0]).toBe(ports[2]);
    expect(ports[0]).not.toBe(ports[1]);
    expect(stage.sockets.size).toBe(2);
  });

  test('200 answers at once -> all arrive in order, over several turns', () => {
    const server = peer(FAR.ip);
    stage.send(ipv4Udp({ from: A, to: FAR, toPort: server.port }));
    const { port } = server.receive() as { port: number };
    for (let i = 0; i < 200; i++) server.send(FAR.ip, port, Uint8Array.of(i));
    const frames = stage.round();
    while (frames.length < 200) {
      const more = stage.round();
      if (more.length === 0) break;
      frames.push(...more);
    }
    expect(frames.map((frame) => frame[frame.length - 1])).toEqual([...fill(200).keys()]);
    expect(stage.datagrams.busy).toBe(false);
  });

  test('an answer longer than the MTU -> IPv4 fragments that make up the datagram', () => {
    const server = peer(FAR.ip);
    stage.send(ipv4Udp({ from: A, to: FAR, fromPort: 4000, toPort: server.port }));
    const data = fill(4001);
    server.send(FAR.ip, server.receive()?.port as number, data);
    const frames = stage.round();
    expect(frames.length).toBe(3);
    const fragments = frames.map((frame) => view(frame).getUint16(PACKET + 6));
    expect(fragments).toEqual([0x2000, 0x2000 | (1480 / 8), 2960 / 8]);
    expect(new Set(frames.map((frame) => view(frame).getUint16(PACKET + 4))).size).toBe(1);
    const datagram = Uint8Array.from(frames.flatMap((frame) => [...frame.subarray(PACKET + 20)]));
    expect(datagram.subarray(8)).toEqual(data);
    const addresses = (frames[0] as Uint8Array).subarray(PACKET + 12, PACKET + 20);
    expect(internetChecksum(pseudoHeader(addresses, UDP, datagram.length), datagram)).toBe(0);
  });

  test('an answer longer than the MTU -> IPv6 fragments that make up the datagram', () => {
    const server = peer(FAR6);
    const fields = { from: A, to: FAR, source: A6, destination: FAR6 };
    stage.send(udp6(fields, { fromPort: 4000, toPort: server.port }));
    const data = fill(3000);
    server.send(FAR6, server.receive()?.port as number, data);
    const frames = stage.round();
    expect(frames.map((frame) => view(frame).getUint16(PACKET + 42))).toEqual([1, 1448 | 1, 2896]);
    const datagram = Uint8Array.from(frames.flatMap((frame) => [...frame.subarray(PACKET + 48)]));
    expect(datagram.subarray(8)).toEqual(data);
    const addresses = [...(frames[0] as Uint8Array).subarray(PACKET + 8, PACKET + 40)];
    expect(internetChecksum(pseudoHeader6(addresses, UDP, datagram.length), datagram)).toBe(0);
  });

  test('a GSO frame of 5 segments, the last short -> 5 datagrams', () => {
    const server = peer(FAR.ip);
    const data = fill(4 * 100 + 7);
    const frame = ipv4Udp({ from: A, to: FAR, toPort: server.port, data });
    const gso = {
      flags: 1,
      gsoType: 5,
      gsoSize: 100,
      headerLength: 42,
      checksumStart: 34,
      checksumOffset: 6,
    };
    expect(stage.send(withVnet(frame, gso))).toBe('kept');
    const pieces = [0, 1, 2, 3, 4].map(() => server.receive()?.data);
    expect(pieces.map((piece) => piece?.length)).toEqual([100, 100, 100, 100, 7]);
    expect(Uint8Array.from(pieces.flatMap((piece) => [...(piece as Uint8Array)]))).toEqual(data);
    expect(server.receive()).toBeUndefined();
  });

  test('a GSO frame of more segments than the kernel takes at once -> sent one by one', () => {
    const server = peer(FAR.ip);
    const frame = ipv4Udp({ from: A, to: FAR, toPort: server.port, data: fill(400) });
    const gso = { flags: 1, gsoType: 5, gsoSize: 2, headerLength: 42, checksumStart: 34, checksumOffset: 6 };
    expect(stage.send(withVnet(frame, gso))).toBe('kept');
    let count = 0;
    while (server.receive() !== undefined) count++;
    expect(count).toBe(200);
  });
});

describe('refusals', () => {
  function icmpOf(answer: string | Uint8Array | undefined): number[] {
    const frame = answer as Uint8Array;
    const isIpv4 = (frame[PACKET] as number) >>> 4 === 4;
    const at = PACKET + (isIpv4 ? 20 : 40);
    return [...frame.subarray(at, at + 2)];
  }

  test('private destination -> administratively prohibited', () => {
    const to = { mac: GATEWAY.mac, ip: '10.0.0.1' };
    expect(icmpOf(stage.send(ipv4Udp({ from: A, to })))).toEqual([3, 13]);
    expect(stage.drops).toEqual({ 'egress-denied': 1 });
    expect(stage.sockets.size).toBe(0);
  });

  test('gateway port without service -> port unreachable, both families', () => {
    expect(icmpOf(stage.send(ipv4Udp({ from: A, to: GATEWAY })))).toEqual([3, 3]);
    const fields = { from: A, to: GATEWAY, source: A6, destination: GATEWAY6 };
    expect(icmpOf(stage.send(udp6(fields)))).toEqual([1, 4]);
    expect(stage.drops).toEqual({ 'no-service': 2 });
  });

  test('no route -> network unreachable', () => {
    const to = { mac: GATEWAY.mac, ip: '203.0.113.9' };
    expect(icmpOf(stage.send(ipv4Udp({ from: A, to })))).toEqual([3, 0]);
  });

  test('wrong checksum -> malformed; none -> sent in IPv4', () => {
    const server = peer(FAR.ip);
    const frame = ipv4Udp({ from: A, to: FAR, toPort: server.port });
    const wrong = frame.slice();
    wrong[PACKET + 27] = (wrong[PACKET + 27] as number) ^ 1;
    expect(stage.send(wrong)).toBe('malformed');
    const none = frame.slice();
    none.set([0, 0], PACKET + 26);
    expect(stage.send(none)).toBe('kept');
    expect(stage.send(withVnet(wrong, { flags: 2 }))).toBe('kept');
  });

  test('nobody listens -> the guest is told by port unreachable about its own packet, and sends on', () => {
    const gone = peer(FAR.ip);
    const { port } = gone;
    gone.close();
    const frame = ipv4Udp({ from: A, to: FAR, fromPort: 4000, toPort: port });
    expect(stage.send(frame)).toBe('kept');
    expect(stage.send(frame)).toBe('kept');
    const errors = stage.round();
    expect(errors.length).toBe(2);
    const error = errors[0] as Uint8Array;
    expect(icmpOf(error)).toEqual([3, 3]);
    expect([...error.subarray(PACKET + 12, PACKET + 16)]).toEqual([198, 51, 100, 1]);
    // The quote: the guest's addresses, and both ports.
    const quote = PACKET + 28;
    expect([...error.subarray(quote + 12, quote + 20)]).toEqual([192, 168, 0, 14, 198, 51, 100, 1]);
    expect(view(error).getUint16(quote + 20)).toBe(4000);
    expect(view(error).getUint16(quote + 22)).toBe(port);
  });

  test('nobody listens, IPv6 -> the same', () => {
    const gone = peer(FAR6);
    const { port } = gone;
    gone.close();
    const fields = { from: A, to: FAR, source: A6, destination: FAR6 };
    stage.send(udp6(fields, { toPort: port }));
    expect(stage.round().map(icmpOf)).toEqual([[1, 4]]);
  });
});

describe('services of the host at the gateway', () => {
  test.each([4, 6])('IPv%i: the loopback port behind answers as the gateway', (family) => {
    const server = peer('127.0.0.1');
    const record = { protocol: 'udp', gatewayPort: 7000, hostPort: server.port } as const;
    stage.services.set(NETWORK, [record]);
    const fields = { from: A, to: GATEWAY, source: A6, destination: GATEWAY6 };
    const four = ipv4Udp({ from: A, to: GATEWAY, fromPort: 4000, toPort: 7000 });
    expect(stage.send(family === 4 ? four : udp6(fields, { fromPort: 4000, toPort: 7000 }))).toBe('kept');
    server.send('127.0.0.1', server.receive()?.port as number, Uint8Array.of(1));
    const [answer] = stage.round();
    expect(readUdp(answer as Uint8Array)).toMatchObject({ ports: [7000, 4000], data: [1] });
  });
});

describe('the end of flows', () => {
  test('unanswered for 30 s -> ended; answered -> after 180 s', () => {
    const server = peer(FAR.ip);
    stage.send(ipv4Udp({ from: A, to: FAR, fromPort: 1, toPort: server.port }));
    stage.send(ipv4Udp({ from: A, to: FAR, fromPort: 2, toPort: server.port }));
    server.send(FAR.ip, server.receive()?.port as number, Uint8Array.of(1));
    stage.round();
    stage.pass(29);
    expect(stage.sockets.size).toBe(2);
    stage.pass(2);
    expect(stage.sockets.size).toBe(1);
    stage.pass(140);
    expect(stage.sockets.size).toBe(1);
    stage.pass(10);
    expect(stage.sockets.size).toBe(0);
  });

  test('port 53 -> 15 s; use in between -> counted from there', () => {
    const frame = ipv4Udp({ from: A, to: FAR, toPort: 53 });
    stage.send(frame);
    stage.pass(10);
    stage.send(frame);
    stage.pass(10);
    expect(stage.sockets.size).toBe(1);
    stage.pass(6);
    expect(stage.sockets.size).toBe(0);
  });

  test('1024 flows, none idle -> refused and counted; idle -> the oldest gives way', () => {
    const server = peer(FAR.ip);
    for (let fromPort = 1; fromPort <= 1024; fromPort++) {
      stage.send(ipv4Udp({ from: A, to: FAR, fromPort, toPort: server.port }));
    }
    stage.send(ipv4Udp({ from: A, to: FAR, fromPort: 2000, toPort: server.port }));
    expect(stage.drops).toEqual({ 'flow-limit': 1 });
    stage.clock.pass(2);
    expect(stage.send(ipv4Udp({ from: A, to: FAR, fromPort: 2000, toPort: server.port }))).toBe('kept');
    expect(stage.datagrams.udp.flows.size).toBe(1024);
    expect(stage.sockets.size).toBe(1024);
  });

  test('endPort -> nothing is left', () => {
    stage.send(ipv4Udp({ from: A, to: FAR }));
    stage.send(icmpEcho({ from: A, to: FAR }));
    expect(stage.sockets.size).toBe(2);
    stage.datagrams.endPort(VM);
    expect(stage.sockets.size).toBe(0);
  });
});

describe('forwarded ports', () => {
  test('two clients -> two ports of the gateway; each gets its own answer', () => {
    const bound = peer('127.0.0.1');
    expect(stage.datagrams.forwards.open(7, bound.fd, VM, 8080)).toBe(0);
    const clients = [peer('127.0.0.1'), peer('127.0.0.1')];
    for (const [i, client] of clients.entries()) client.send('127.0.0.1', bound.port, Uint8Array.of(i));
    const seen = stage.round().map(readUdp);
    expect(seen.map(({ source, data }) => [...source, ...data])).toEqual([
      [192, 168, 0, 1, 0],
      [192, 168, 0, 1, 1],
    ]);
    const ports = seen.map((one) => one.ports[0] as number);
    expect(ports[0]).not.toBe(ports[1]);
    for (const [i, toPort] of ports.entries()) {
      expect(toPort).toBeGreaterThanOrEqual(49_152);
      const answer = ipv4Udp({ from: A, to: GATEWAY, fromPort: 8080, toPort, data: [10 + i] });
      expect(stage.send(answer)).toBe('kept');
      expect(clients[i]?.receive()).toEqual({
        data: Uint8Array.of(10 + i),
        from: '127.0.0.1',
        port: bound.port,
      });
    }
  });

  test('closed -> nothing arrives, flows are gone, the socket is still open', () => {
    const bound = peer('127.0.0.1');
    stage.datagrams.forwards.open(7, bound.fd, VM, 8080);
    const client = peer('127.0.0.1');
    client.send('127.0.0.1', bound.port, Uint8Array.of(1));
    stage.round();
    expect(stage.datagrams.udp.flows.size).toBe(1);
    stage.datagrams.forwards.close(7);
    expect(stage.datagrams.udp.flows.size).toBe(0);
    client.send('127.0.0.1', bound.port, Uint8Array.of(2));
    expect(stage.round()).toEqual([]);
    expect(bound.receive()?.data).toEqual(Uint8Array.of(2));
  });

  test('VM without carrier -> dropped as port-down', () => {
    const bound = peer('127.0.0.1');
    stage.datagrams.forwards.open(7, bound.fd, VM, 8080);
    stage.tables.setCarrier(VM, false);
    peer('127.0.0.1').send('127.0.0.1', bound.port, Uint8Array.of(1));
    expect(stage.round()).toEqual([]);
    expect(stage.drops).toEqual({ 'port-down': 1 });
  });

  test('the guest has another address meanwhile -> the client reaches it there', () => {
    const bound = peer('127.0.0.1');
    stage.datagrams.forwards.open(7, bound.fd, VM, 8080);
    const client = peer('127.0.0.1');
    client.send('127.0.0.1', bound.port, Uint8Array.of(1));
    stage.round();
    stage.tables.bindIp(VM, words('192.168.0.77')[3], 1, stage.clock.seconds);
    client.send('127.0.0.1', bound.port, Uint8Array.of(2));
    const [frame] = stage.round();
    expect([...(frame as Uint8Array).subarray(PACKET + 16, PACKET + 20)]).toEqual([192, 168, 0, 77]);
  });
});

describe.each(['1 0', '0 2147483647'])('echo with ping_group_range %s', (range) => {
  beforeEach(async () => {
    const place = new Place(namespace.path, ['nsenter', `--net=${namespace.path}`]);
    await place.must(`echo '${range}' >/proc/sys/net/ipv4/ping_group_range`);
  });

  test('IPv4 -> the reply has the identifier, sequence number and data of the guest', () => {
    expect(stage.send(icmpEcho({ from: A, to: FAR, identifier: 0x1234, data: [1, 2, 3] }))).toBe('kept');
    const [reply] = stage.round();
    expect([...(reply as Uint8Array).subarray(PACKET + 12, PACKET + 20)]).toEqual([
      198, 51, 100, 1, 192, 168, 0, 14,
    ]);
    const message = (reply as Uint8Array).subarray(PACKET + 20);
    expect([message[0], message[1], ...message.subarray(4)]).toEqual([0, 0, 0x12, 0x34, 0, 1, 1, 2, 3]);
  });

  test('IPv6 -> the same', () => {
    const fields = { from: A, to: FAR, source: A6, destination: FAR6 };
    expect(stage.send(echo6(fields))).toBe('kept');
    const replies = stage.round();
    expect(replies.length).toBe(1);
    const message = (replies[0] as Uint8Array).subarray(PACKET + 40);
    expect([message[0], message[1], ...message.subarray(4)]).toEqual([129, 0, 0, 7, 0, 1, 0x61, 0x62, 0x63]);
  });

  test('two identifiers to one destination -> each gets its own reply, once', () => {
    for (const identifier of [1, 2]) stage.send(icmpEcho({ from: A, to: FAR, identifier }));
    const identifiers = stage.round().map((frame) => view(frame).getUint16(PACKET + 24));
    expect(identifiers.sort()).toEqual([1, 2]);
  });

  test('a reply longer than the MTU -> fragments that make up the message', () => {
    stage.send(icmpEcho({ from: A, to: FAR, data: fill(2000) }));
    const frames = stage.round();
    expect(frames.length).toBe(2);
    const message = Uint8Array.from(frames.flatMap((frame) => [...frame.subarray(PACKET + 20)]));
    expect(message.subarray(8)).toEqual(fill(2000));
    expect(internetChecksum(message)).toBe(0);
  });

  test('10 s of silence -> ended; denied destination -> prohibited', () => {
    stage.send(icmpEcho({ from: A, to: FAR }));
    stage.round();
    stage.pass(9);
    expect(stage.sockets.size).toBe(1);
    stage.pass(2);
    expect(stage.sockets.size).toBe(0);
    stage.send(icmpEcho({ from: A, to: { mac: GATEWAY.mac, ip: '10.1.2.3' } }));
    expect(stage.drops).toEqual({ 'egress-denied': 1 });
  });
});
