/** ICMP errors of a router beyond the host, on their way back to the guest that caused them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createNamespace, type Namespace } from '../../../src/sys/netns.ts';
import { internetChecksum } from '../../lib/checksum.ts';
import { DatagramStage } from '../../lib/datagram-stage.ts';
import { A, GATEWAY, icmpEcho, ipv4Udp, PACKET, patched } from '../../lib/frames.ts';
import { echo6, udp6 } from '../../lib/frames6.ts';
import { atTestEnd } from '../../lib/net-cleanup.ts';
import { Place } from '../../lib/net-place.ts';

const A6 = 'fd00:74:1:2::14';
const ROUTER = [192, 0, 2, 2];
const UNREACHABLE = { mac: GATEWAY.mac, ip: '203.0.113.200' };
const NARROW = { mac: GATEWAY.mac, ip: '203.0.113.9' };
const CLOSED = { mac: GATEWAY.mac, ip: '192.0.2.2' };
const PROHIBITED6 = '2001:db8:9::1';
const NARROW6 = '2001:db8:8::1';
const PATIENCE_ROUNDS = 50;

let host: Namespace;
let router: Namespace;
let stage: DatagramStage;

beforeAll(async () => {
  host = createNamespace();
  router = createNamespace();
  const here = new Place(host.path, ['nsenter', `--net=${host.path}`]);
  const there = new Place(router.path, ['nsenter', `--net=${router.path}`]);
  await here.must(
    'ip link set lo up',
    `ip link add up0 type veth peer name down0 netns /proc/${process.pid}/fd/${router.path.split('/').pop()}`,
    'ip link set up0 up',
    'ip addr add 192.0.2.1/24 dev up0',
    'ip addr add 2001:db8:1::1/64 dev up0 nodad',
  );
  await there.must(
    'ip link set lo up',
    'ip link set down0 up',
    'ip addr add 192.0.2.2/24 dev down0',
    'ip addr add 2001:db8:1::2/64 dev down0 nodad',
    'echo 1 >/proc/sys/net/ipv4/ip_forward',
    'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding',
    'echo 0 >/proc/sys/net/ipv4/icmp_ratemask',
    'echo 0 >/proc/sys/net/ipv6/icmp/ratelimit',
    'ip link add narrow type veth peer name end',
    'ip link set narrow mtu 1300 up',
    'ip link set end up',
    'ip addr add 203.0.113.1/25 dev narrow',
    'ip addr add 2001:db8:8::ffff/64 dev narrow nodad',
    'ip neigh add 203.0.113.9 lladdr 02:00:00:00:00:09 dev narrow',
    'ip neigh add 2001:db8:8::1 lladdr 02:00:00:00:00:09 dev narrow',
    'ip route add unreachable 203.0.113.128/25',
    'ip -6 route add prohibit 2001:db8:9::/64',
  );
  await here.must('ip route add default via 192.0.2.2', 'ip -6 route add default via 2001:db8:1::2');
});

afterAll(() => {
  host.close();
  router.close();
});

beforeEach(() => {
  stage = new DatagramStage({ path: host.path });
  atTestEnd().add(() => stage.close());
});

/** Rounds until the guest got something. */
function heard(): Uint8Array[] {
  for (let i = 0; i < PATIENCE_ROUNDS; i++) {
    const frames = stage.round();
    if (frames.length > 0) return frames;
  }
  return [];
}

function readError(frame: Uint8Array | undefined) {
  const bytes = frame as Uint8Array;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const isIpv4 = (bytes[PACKET] as number) >>> 4 === 4;
  const message = PACKET + (isIpv4 ? 20 : 40);
  const transport = message + 8 + (isIpv4 ? 20 : 40);
  return {
    source: [...bytes.subarray(PACKET + (isIpv4 ? 12 : 8), PACKET + (isIpv4 ? 16 : 24))],
    kind: [bytes[message], bytes[message + 1]],
    rest: view.getUint32(message + 4),
    first: view.getUint16(transport),
    second: view.getUint16(transport + 2),
    quoted: [...bytes.subarray(transport, transport + 8)],
  };
}

/** The frame with another time to live, its header checksum right again. */
function withTtl(frame: Uint8Array, ttl: number): Uint8Array {
  const packet = frame.subarray(PACKET, PACKET + 20).slice();
  packet.set([ttl], 8);
  packet.set([0, 0], 10);
  const sum = internetChecksum(packet);
  return patched(patched(frame, 14 + 8, ttl), 14 + 10, sum >>> 8, sum & 0xff);
}

describe('UDP', () => {
  test('unreachable route -> host unreachable, from the router', () => {
    expect(stage.send(ipv4Udp({ from: A, to: UNREACHABLE, fromPort: 4000, toPort: 9 }))).toBe('kept');
    const error = readError(heard()[0]);
    expect(error).toMatchObject({ source: ROUTER, kind: [3, 1], first: 4000, second: 9 });
  });

  test('longer than a link further on -> fragmentation needed, with its MTU', () => {
    stage.send(ipv4Udp({ from: A, to: NARROW, data: new Uint8Array(1400) }));
    expect(readError(heard()[0])).toMatchObject({ source: ROUTER, kind: [3, 4], rest: 1300, first: 40_000 });
  });

  test("the guest's time to live ends at the router -> time exceeded", () => {
    stage.send(withTtl(ipv4Udp({ from: A, to: NARROW }), 2));
    expect(readError(heard()[0])).toMatchObject({ source: ROUTER, kind: [11, 0] });
  });

  test('IPv6, prohibited route -> administratively prohibited, from the router', () => {
    stage.send(udp6({ from: A, to: GATEWAY, source: A6, destination: PROHIBITED6 }, { fromPort: 4000 }));
    const error = readError(heard()[0]);
    expect(error).toMatchObject({ kind: [1, 1], first: 4000, second: 5353 });
    expect(error.source.slice(0, 6)).toEqual([0x20, 1, 0x0d, 0xb8, 0, 1]);
  });

  test('IPv6, longer than a link further on -> packet too big, with its MTU', () => {
    const fields = { from: A, to: GATEWAY, source: A6, destination: NARROW6 };
    stage.send(udp6(fields, { data: new Uint8Array(1400) }));
    expect(readError(heard()[0])).toMatchObject({ kind: [2, 0], rest: 1300 });
  });
});

describe.each(['1 0', '0 2147483647'])('echo with ping_group_range %s', (range) => {
  beforeEach(async () => {
    const place = new Place(host.path, ['nsenter', `--net=${host.path}`]);
    await place.must(`echo '${range}' >/proc/sys/net/ipv4/ping_group_range`);
  });

  test("unreachable route -> told with the guest's identifier and sequence number, once", () => {
    stage.send(icmpEcho({ from: A, to: UNREACHABLE, identifier: 0x1234 }));
    stage.send(icmpEcho({ from: A, to: UNREACHABLE, identifier: 0x4321 }));
    const errors = [...heard(), ...stage.round(), ...stage.round()].map(readError);
    expect(errors.map(({ kind }) => kind)).toEqual([
      [3, 1],
      [3, 1],
    ]);
    expect(errors.map(({ quoted }) => quoted.slice(4)).sort()).toEqual([
      [0x12, 0x34, 0, 1],
      [0x43, 0x21, 0, 1],
    ]);
  });

  test('time to live of 2 -> time exceeded, from the router', () => {
    stage.send(withTtl(icmpEcho({ from: A, to: NARROW }), 2));
    expect(readError(heard()[0])).toMatchObject({ source: ROUTER, kind: [11, 0] });
  });

  test('IPv6, hop limit of 2 -> time exceeded', () => {
    stage.send(echo6({ from: A, to: GATEWAY, source: A6, destination: NARROW6, hopLimit: 2 }));
    expect(readError(heard()[0])).toMatchObject({ kind: [3, 0] });
  });
});

test('errors without end -> no more than a burst of them reaches the guest', () => {
  for (let i = 0; i < 80; i++) stage.send(ipv4Udp({ from: A, to: CLOSED, fromPort: 4000 + i }));
  let count = 0;
  for (let i = 0; i < 10; i++) count += stage.round().length;
  expect(count).toBe(50);
});
