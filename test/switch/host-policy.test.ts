import { describe, expect, test } from 'vitest';
import { PICKUP_SECONDS } from '../../src/switch/host-policy.ts';
import {
  A,
  ACK,
  arp,
  arpReply,
  B,
  ethernet,
  FIN,
  HOST,
  icmp,
  icmpEcho,
  ipv4,
  ipv4Tcp,
  ipv4Udp,
  NOBODY,
  PSH,
  RST,
  SYN,
} from '../lib/frames.ts';
import { dropped, NETWORK, type Outcome, passed, TestSwitch } from '../lib/test-switch.ts';

const HOST_TCP = 50_000;
const GUEST_TCP = 8080;
const HOST_UDP = 50_053;
const GUEST_UDP = 53;

const ANSWER_TCP = { from: A, to: HOST, fromPort: GUEST_TCP, toPort: HOST_TCP };
const ANSWER_UDP = { from: A, to: HOST, fromPort: GUEST_UDP, toPort: HOST_UDP };
const BEGIN_TCP = { from: HOST, to: A, fromPort: HOST_TCP, toPort: GUEST_TCP };
const BEGIN_UDP = { from: HOST, to: A, fromPort: HOST_UDP, toPort: GUEST_UDP };

function guestAndHost(options: { pickup?: boolean } = {}) {
  const net = new TestSwitch(options);
  const a = net.vm(A);
  return {
    net,
    a,
    host: net.host,
    hostSends: (frame: Uint8Array): Outcome => net.from(net.host).send(frame),
    guestSends: (frame: Uint8Array): Outcome => net.from(a).send(frame),
  };
}

describe('no flow', () => {
  test.each([
    ['TCP SYN', ipv4Tcp({ ...ANSWER_TCP, flags: SYN })],
    ['TCP SYN ACK', ipv4Tcp({ ...ANSWER_TCP, flags: SYN | ACK })],
    ['TCP ACK', ipv4Tcp({ ...ANSWER_TCP, flags: ACK })],
    ['TCP RST', ipv4Tcp({ ...ANSWER_TCP, flags: RST })],
    ['TCP without flags', ipv4Tcp({ ...ANSWER_TCP, flags: 0 })],
    ['UDP', ipv4Udp(ANSWER_UDP)],
    ['echo request', icmpEcho({ from: A, to: HOST })],
    ['echo reply', icmpEcho({ from: A, to: HOST, reply: true })],
    ['ICMP redirect', icmp({ from: A, to: HOST }, 5, 1, new Uint8Array(32))],
    ['another protocol', ipv4({ from: A, to: HOST }, 47, [0, 0, 0, 0])],
  ])('%s from a guest -> dropped as host-flow-denied', (_name, frame) => {
    const { guestSends, a } = guestAndHost();
    expect(guestSends(frame)).toEqual(dropped(a, 'host-flow-denied'));
  });
});

describe('address', () => {
  test.each([
    ['loopback', '127.0.0.1'],
    ['another subnet', '10.77.0.1'],
    ['the guests’ own subnet', NOBODY.ip],
    ['the limited broadcast', '255.255.255.255'],
  ])('the host port’s MAC with an address of %s -> dropped as host-address-denied', (_name, ip) => {
    const { guestSends, a } = guestAndHost();
    const frame = ipv4Tcp({ ...ANSWER_TCP, to: { mac: HOST.mac, ip } });
    expect(guestSends(frame)).toEqual(dropped(a, 'host-address-denied'));
  });

  test('neither IPv4 nor ARP -> dropped as host-address-denied', () => {
    const { guestSends, a } = guestAndHost();
    expect(guestSends(ethernet({ from: A, to: HOST }, 0x88f7, [1]))).toEqual(
      dropped(a, 'host-address-denied'),
    );
  });

  test('ARP reply to the host -> passes; about another address -> host-address-denied; a request -> the gateway answers it', () => {
    const { guestSends, a, host } = guestAndHost();
    const reply = arpReply({ from: A, to: HOST });
    expect(guestSends(reply)).toEqual(passed(reply, host));
    const others = [
      arp({ from: A, about: NOBODY, to: HOST, operation: 2, targetMac: HOST.mac }),
      arp({ from: A, about: HOST, to: HOST, operation: 3 }),
    ];
    for (const frame of others) expect(guestSends(frame)).toEqual(dropped(a, 'host-address-denied'));
    const { left } = guestSends(arp({ from: A, about: HOST, to: HOST }));
    expect(left.map(({ port }) => port)).toEqual([a]);
  });

  test.each([
    ['0.0.0.0', '0.0.0.0'],
    ['link-local', '169.254.169.254'],
  ])('%s as source, to an allowed port of the host -> spoofed-ip', (_name, ip) => {
    const { net, guestSends, a } = guestAndHost();
    net.tables.allowFromGuests(net.tables.network(a), 'udp', 53);
    const frame = ipv4Udp({ from: { ...A, ip }, to: HOST, toPort: 53 });
    expect(guestSends(frame)).toEqual(dropped(a, 'spoofed-ip'));
  });

  test('answers of the host from an allowed port: note no flow a guest could fill the table with', () => {
    const { net, hostSends, a } = guestAndHost();
    net.tables.allowFromGuests(net.tables.network(a), 'tcp', 7000);
    hostSends(ipv4Tcp({ from: HOST, to: A, fromPort: 7000, toPort: 4000, flags: SYN | ACK }));
    expect([...net.tables.hostFlows.entries(0)]).toEqual([]);
  });
});

describe('TCP flow of the host', () => {
  test.each([
    ['SYN ACK', SYN | ACK],
    ['ACK', ACK],
    ['data', PSH | ACK],
    ['FIN', FIN | ACK],
    ['RST', RST],
    ['RST ACK', RST | ACK],
  ])('%s from the guest -> passes', (_name, flags) => {
    const { hostSends, guestSends, host } = guestAndHost();
    hostSends(ipv4Tcp({ ...BEGIN_TCP, flags: SYN }));
    const answer = ipv4Tcp({ ...ANSWER_TCP, flags });
    expect(guestSends(answer)).toEqual(passed(answer, host));
  });

  test.each([
    ['SYN', SYN],
    ['SYN with FIN', SYN | FIN],
    ['SYN with data', SYN | PSH],
  ])('%s from the guest on the very ports -> dropped as host-flow-denied', (_name, flags) => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(ipv4Tcp({ ...BEGIN_TCP, flags: SYN }));
    expect(guestSends(ipv4Tcp({ ...ANSWER_TCP, flags }))).toEqual(dropped(a, 'host-flow-denied'));
  });

  test.each([
    ['another port of the host', { toPort: HOST_TCP + 1 }],
    ['another port of the guest', { fromPort: GUEST_TCP + 1 }],
    ['both ports exchanged', { fromPort: HOST_TCP, toPort: GUEST_TCP }],
  ])('an answer with %s -> dropped as host-flow-denied', (_name, odd) => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(ipv4Tcp({ ...BEGIN_TCP, flags: SYN }));
    expect(guestSends(ipv4Tcp({ ...ANSWER_TCP, ...odd }))).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('UDP on its ports -> dropped as host-flow-denied', () => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(ipv4Tcp({ ...BEGIN_TCP, flags: SYN }));
    expect(guestSends(ipv4Udp(ANSWER_TCP))).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('another guest that answers -> dropped as host-flow-denied', () => {
    const { net, hostSends } = guestAndHost();
    const b = net.vm(B);
    hostSends(ipv4Tcp({ ...BEGIN_TCP, flags: SYN }));
    expect(net.from(b).send(ipv4Tcp({ ...ANSWER_TCP, from: B }))).toEqual(dropped(b, 'host-flow-denied'));
  });

  test('a clone of the guest, same address on another port -> dropped as host-flow-denied', () => {
    const { net, a, hostSends } = guestAndHost();
    hostSends(ipv4Tcp({ ...BEGIN_TCP, flags: SYN }));
    net.tables.removePort(a);
    const clone = net.vm(A);
    expect(net.from(clone).send(ipv4Tcp(ANSWER_TCP))).toEqual(dropped(clone, 'host-flow-denied'));
  });

  test('a new VM on the old one’s port number, with its address -> dropped as host-flow-denied', () => {
    const { net, a, hostSends, guestSends } = guestAndHost();
    hostSends(ipv4Tcp({ ...BEGIN_TCP, flags: SYN }));
    net.tables.removePort(a);
    net.addVmAt(a, A);
    expect(guestSends(ipv4Tcp(ANSWER_TCP))).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('a segment cut inside its header -> dropped as malformed', () => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(ipv4Tcp({ ...BEGIN_TCP, flags: SYN }));
    const head = [GUEST_TCP >> 8, GUEST_TCP & 0xff, HOST_TCP >> 8, HOST_TCP & 0xff];
    const short = ipv4({ from: A, to: HOST, fragment: 0x2000 }, 6, [...head, 0, 0, 0, 0]);
    expect(guestSends(short)).toEqual(dropped(a, 'malformed'));
  });

  test('silent for two hours -> over; used in between -> goes on', () => {
    const { net, hostSends, guestSends, a, host } = guestAndHost();
    const answer = ipv4Tcp(ANSWER_TCP);
    hostSends(ipv4Tcp({ ...BEGIN_TCP, flags: SYN }));
    net.clock.pass(7199);
    expect(guestSends(answer)).toEqual(passed(answer, host));
    net.clock.pass(7199);
    hostSends(ipv4Tcp({ ...BEGIN_TCP, flags: ACK }));
    net.clock.pass(7199);
    expect(guestSends(answer)).toEqual(passed(answer, host));
    net.clock.pass(7200);
    expect(guestSends(answer)).toEqual(dropped(a, 'host-flow-denied'));
  });
});

describe('UDP flow of the host', () => {
  test('an answer -> passes; with other ports -> dropped as host-flow-denied', () => {
    const { hostSends, guestSends, a, host } = guestAndHost();
    hostSends(ipv4Udp(BEGIN_UDP));
    const answer = ipv4Udp(ANSWER_UDP);
    expect(guestSends(answer)).toEqual(passed(answer, host));
    const other = ipv4Udp({ ...ANSWER_UDP, fromPort: GUEST_UDP + 1 });
    expect(guestSends(other)).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('TCP on its ports -> dropped as host-flow-denied', () => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(ipv4Udp(BEGIN_UDP));
    expect(guestSends(ipv4Tcp(ANSWER_UDP))).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('a datagram whose length is past the packet -> dropped as malformed', () => {
    const { net, hostSends, a } = guestAndHost();
    hostSends(ipv4Udp(BEGIN_UDP));
    const head = [0, GUEST_UDP, HOST_UDP >> 8, HOST_UDP & 0xff, 0, 9, 0, 0];
    const frame = ipv4({ from: A, to: HOST }, 17, head);
    expect(net.from(a).sendUnsound(frame)).toEqual(dropped(a, 'malformed'));
  });

  test('silent for three minutes -> over; 179 s -> not', () => {
    const { net, hostSends, guestSends, a, host } = guestAndHost();
    const answer = ipv4Udp(ANSWER_UDP);
    hostSends(ipv4Udp(BEGIN_UDP));
    net.clock.pass(179);
    expect(guestSends(answer)).toEqual(passed(answer, host));
    net.clock.pass(180);
    expect(guestSends(answer)).toEqual(dropped(a, 'host-flow-denied'));
  });
});

describe('echo of the host', () => {
  const PING = icmpEcho({ from: HOST, to: A, identifier: 77 });
  const PONG = icmpEcho({ from: A, to: HOST, identifier: 77, reply: true });

  test('its reply -> passes; with another identifier, or a request -> dropped as host-flow-denied', () => {
    const { hostSends, guestSends, a, host } = guestAndHost();
    hostSends(PING);
    expect(guestSends(PONG)).toEqual(passed(PONG, host));
    const others = [
      icmpEcho({ from: A, to: HOST, identifier: 78, reply: true }),
      icmpEcho({ from: A, to: HOST, identifier: 77 }),
    ];
    for (const frame of others) expect(guestSends(frame)).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('half a minute later -> over', () => {
    const { net, hostSends, guestSends, a } = guestAndHost();
    hostSends(PING);
    net.clock.pass(30);
    expect(guestSends(PONG)).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('the host’s own reply -> begins nothing', () => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(icmpEcho({ from: HOST, to: A, identifier: 77, reply: true }));
    expect(guestSends(PONG)).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('a reply without room for its identifier -> dropped as malformed', () => {
    const { guestSends, a } = guestAndHost();
    expect(guestSends(icmp({ from: A, to: HOST }, 0, 0, [0, 77]))).toEqual(dropped(a, 'malformed'));
  });
});

describe('allowFromGuests', () => {
  test.each([
    ['tcp', ipv4Tcp, ipv4Udp],
    ['udp', ipv4Udp, ipv4Tcp],
  ] as const)(
    '%s 9000 -> reaches the host; its neighbours and the other protocol do not',
    (protocol, build, other) => {
      const { net, guestSends, a, host } = guestAndHost();
      net.tables.allowFromGuests(NETWORK, protocol, 9000);
      const to9000 = { from: A, to: HOST, toPort: 9000, flags: SYN };
      expect(guestSends(build(to9000))).toEqual(passed(build(to9000), host));
      const refused = [
        build({ ...to9000, toPort: 8999 }),
        build({ ...to9000, toPort: 9001 }),
        build({ ...to9000, toPort: 9000 - 32 }),
        other(to9000),
      ];
      for (const frame of refused) expect(guestSends(frame)).toEqual(dropped(a, 'host-flow-denied'));
    },
  );

  test('a port allowed -> still only at the host port’s own address', () => {
    const { net, guestSends, a } = guestAndHost();
    net.tables.allowFromGuests(NETWORK, 'tcp', 9000);
    const frame = ipv4Tcp({ from: A, to: { mac: HOST.mac, ip: '10.77.0.1' }, toPort: 9000, flags: SYN });
    expect(guestSends(frame)).toEqual(dropped(a, 'host-address-denied'));
  });

  test('a port allowed on another network -> refused here', () => {
    const { net, guestSends, a } = guestAndHost();
    net.tables.allowFromGuests(NETWORK + 1, 'tcp', 9000);
    net.tables.allowFromGuests(NETWORK - 1, 'tcp', 9000);
    const frame = ipv4Tcp({ from: A, to: HOST, toPort: 9000, flags: SYN });
    expect(guestSends(frame)).toEqual(dropped(a, 'host-flow-denied'));
  });
});

describe('pick-up after a start', () => {
  const MIDSTREAM = ipv4Tcp({ ...ANSWER_TCP, flags: PSH | ACK, data: [1, 2, 3] });

  test(`TCP in mid-stream in the first ${PICKUP_SECONDS} s -> passes, and not after`, () => {
    const { net, guestSends, a, host } = guestAndHost({ pickup: true });
    expect(guestSends(MIDSTREAM)).toEqual(passed(MIDSTREAM, host));
    net.clock.pass(PICKUP_SECONDS - 1);
    expect(guestSends(MIDSTREAM)).toEqual(passed(MIDSTREAM, host));
    net.clock.pass(1);
    expect(guestSends(MIDSTREAM)).toEqual(dropped(a, 'host-flow-denied'));
  });

  test.each([
    ['SYN', ipv4Tcp({ ...ANSWER_TCP, flags: SYN })],
    ['SYN ACK', ipv4Tcp({ ...ANSWER_TCP, flags: SYN | ACK })],
    ['RST', ipv4Tcp({ ...ANSWER_TCP, flags: RST })],
    ['RST ACK', ipv4Tcp({ ...ANSWER_TCP, flags: RST | ACK })],
    ['no flags', ipv4Tcp({ ...ANSWER_TCP, flags: 0 })],
    ['FIN without ACK', ipv4Tcp({ ...ANSWER_TCP, flags: FIN })],
    ['UDP', ipv4Udp(ANSWER_UDP)],
    ['echo reply', icmpEcho({ from: A, to: HOST, reply: true })],
  ])('%s -> dropped as host-flow-denied', (_name, frame) => {
    const { guestSends, a } = guestAndHost({ pickup: true });
    expect(guestSends(frame)).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('the host’s next segment -> the flow is known, and goes on after', () => {
    const { net, hostSends, guestSends, host } = guestAndHost({ pickup: true });
    guestSends(MIDSTREAM);
    hostSends(ipv4Tcp(BEGIN_TCP));
    net.clock.pass(PICKUP_SECONDS);
    expect(guestSends(MIDSTREAM)).toEqual(passed(MIDSTREAM, host));
  });
});
