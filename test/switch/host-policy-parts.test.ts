import { describe, expect, test } from 'vitest';
import {
  A,
  B,
  HOST,
  icmp,
  icmpEcho,
  icmpError,
  ipv4,
  ipv4Tcp,
  ipv4Udp,
  MORE_FRAGMENTS,
  patched,
  SYN,
  UDP,
} from '../lib/frames.ts';
import { dropped, NETWORK, type Outcome, passed, TestSwitch } from '../lib/test-switch.ts';

const TO_HOST = { from: A, to: HOST };
const BEGIN_TCP = ipv4Tcp({ from: HOST, to: A, fromPort: 50_000, toPort: 8080, flags: SYN });
const BEGIN_UDP = ipv4Udp({ from: HOST, to: A, fromPort: 50_000, toPort: 53 });
const PING = icmpEcho({ from: HOST, to: A, identifier: 77 });

function guestAndHost() {
  const net = new TestSwitch();
  const a = net.vm(A);
  return {
    net,
    a,
    host: net.host,
    hostSends: (frame: Uint8Array): Outcome => net.from(net.host).send(frame),
    guestSends: (frame: Uint8Array): Outcome => net.from(a).send(frame),
  };
}

describe('ICMP error from a guest', () => {
  test.each([
    ['TCP', BEGIN_TCP],
    ['UDP', BEGIN_UDP],
    ['echo', PING],
  ])('about a %s packet of the host’s -> passes, unreachable and time exceeded', (_name, about) => {
    const { hostSends, guestSends, host } = guestAndHost();
    hostSends(about);
    for (const type of [3, 11]) {
      const error = icmpError(TO_HOST, about, { type });
      expect(guestSends(error)).toEqual(passed(error, host));
    }
  });

  test('about a packet the host never sent -> dropped as host-flow-denied', () => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(BEGIN_TCP);
    const strangers = [
      BEGIN_UDP,
      PING,
      ipv4Tcp({ from: HOST, to: A, fromPort: 50_001, toPort: 8080 }),
      ipv4Tcp({ from: A, to: HOST, fromPort: 50_000, toPort: 8080 }),
      ipv4Tcp({ from: { ...HOST, ip: '10.0.0.1' }, to: A, fromPort: 50_000, toPort: 8080 }),
      ipv4Tcp({ from: HOST, to: B, fromPort: 50_000, toPort: 8080 }),
    ];
    for (const about of strangers) {
      expect(guestSends(icmpError(TO_HOST, about))).toEqual(dropped(a, 'host-flow-denied'));
    }
  });

  test.each([
    ['source quench', 4],
    ['redirect', 5],
    ['parameter problem', 12],
  ])('%s about a flow -> dropped as host-flow-denied', (_name, type) => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(BEGIN_TCP);
    expect(guestSends(icmpError(TO_HOST, BEGIN_TCP, { type }))).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('that quotes a packet with options -> passes', () => {
    const { hostSends, guestSends, host } = guestAndHost();
    hostSends(BEGIN_TCP);
    const options = [0x94, 4, 0, 0];
    const about = ipv4Tcp({ from: HOST, to: A, fromPort: 50_000, toPort: 8080, options });
    const error = icmpError(TO_HOST, about, { quoteBytes: 32 });
    expect(guestSends(error)).toEqual(passed(error, host));
    expect(guestSends(icmpError(TO_HOST, about, { quoteBytes: 31 })).left).toEqual([]);
  });

  test.each([0, 7, 20, 27])('that quotes %i bytes only -> dropped as host-flow-denied', (quoteBytes) => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(BEGIN_TCP);
    const error = icmpError(TO_HOST, BEGIN_TCP, { quoteBytes });
    expect(guestSends(error)).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('whose quote has a header length of 0 -> dropped as host-flow-denied', () => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(BEGIN_TCP);
    const error = icmpError(TO_HOST, patched(BEGIN_TCP, 14, 0x40));
    expect(guestSends(error)).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('about a flow -> does not keep the flow alive', () => {
    const { net, hostSends, guestSends, a } = guestAndHost();
    hostSends(BEGIN_UDP);
    net.clock.pass(179);
    guestSends(icmpError(TO_HOST, BEGIN_UDP));
    net.clock.pass(1);
    expect(guestSends(icmpError(TO_HOST, BEGIN_UDP))).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('quoting a flow with another guest -> dropped as host-flow-denied', () => {
    const { net, hostSends } = guestAndHost();
    const b = net.vm(B);
    hostSends(BEGIN_TCP);
    const error = icmpError({ from: B, to: HOST }, BEGIN_TCP);
    expect(net.from(b).send(error)).toEqual(dropped(b, 'host-flow-denied'));
  });
});

describe('fragments from a guest', () => {
  const data = Uint8Array.from({ length: 64 }, (_, i) => i);
  const HEAD = [0, 53, 50_000 >> 8, 50_000 & 0xff, 0, 8 + data.length, 0, 0];
  const FIRST = ipv4({ ...TO_HOST, fragment: MORE_FRAGMENTS }, UDP, [...HEAD, ...data.subarray(0, 32)]);
  const LAST = ipv4({ ...TO_HOST, fragment: 5 }, UDP, data.subarray(32));

  test('of an answer -> pass after the first', () => {
    const { hostSends, guestSends, host } = guestAndHost();
    hostSends(BEGIN_UDP);
    expect(guestSends(FIRST)).toEqual(passed(FIRST, host));
    expect(guestSends(LAST)).toEqual(passed(LAST, host));
  });

  test('of a datagram to an allowed port -> pass after the first', () => {
    const { net, guestSends, host } = guestAndHost();
    net.tables.allowFromGuests(NETWORK, 'udp', 50_000);
    expect(guestSends(FIRST)).toEqual(passed(FIRST, host));
    expect(guestSends(LAST)).toEqual(passed(LAST, host));
  });

  test('the first refused -> the later ones too', () => {
    const { guestSends, a } = guestAndHost();
    expect(guestSends(FIRST)).toEqual(dropped(a, 'host-flow-denied'));
    expect(guestSends(LAST)).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('a later one without its first -> dropped as host-flow-denied', () => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(BEGIN_UDP);
    expect(guestSends(LAST)).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('a later one of another datagram or protocol -> dropped as host-flow-denied', () => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(BEGIN_UDP);
    guestSends(FIRST);
    const others = [
      ipv4({ ...TO_HOST, fragment: 5, identification: 9 }, UDP, data.subarray(32)),
      ipv4({ ...TO_HOST, fragment: 5 }, 6, data.subarray(32)),
    ];
    for (const frame of others) expect(guestSends(frame)).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('a later one half a minute after the first -> dropped as host-flow-denied', () => {
    const { net, hostSends, guestSends, a } = guestAndHost();
    hostSends(BEGIN_UDP);
    guestSends(FIRST);
    net.clock.pass(30);
    expect(guestSends(LAST)).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('of an echo reply -> pass', () => {
    const { hostSends, guestSends, host } = guestAndHost();
    hostSends(PING);
    const first = ipv4({ ...TO_HOST, fragment: MORE_FRAGMENTS }, 1, [0, 0, 0, 0, 0, 77, 0, 1, ...data]);
    const last = ipv4({ ...TO_HOST, fragment: 9 }, 1, data);
    expect(guestSends(first)).toEqual(passed(first, host));
    expect(guestSends(last)).toEqual(passed(last, host));
  });

  test('an answer that is no fragment -> lets none follow', () => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(BEGIN_UDP);
    guestSends(ipv4Udp({ ...TO_HOST, fromPort: 53, toPort: 50_000 }));
    expect(guestSends(LAST)).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('a first one without room for the ports -> dropped as malformed', () => {
    const { hostSends, guestSends, a } = guestAndHost();
    hostSends(BEGIN_UDP);
    const short = ipv4({ ...TO_HOST, fragment: MORE_FRAGMENTS }, UDP, HEAD.slice(0, 7));
    expect(guestSends(short)).toEqual(dropped(a, 'malformed'));
  });
});

describe('packets of the host that begin no flow', () => {
  test.each([
    ['a later fragment', ipv4({ from: HOST, to: A, fragment: 5 }, UDP, [0xc3, 0x50, 0, 53, 0, 8, 0, 0])],
    ['UDP without room for its header', ipv4({ from: HOST, to: A }, UDP, [0xc3, 0x50, 0, 53, 0, 8, 0])],
    ['ICMP without room for its header', icmp({ from: HOST, to: A }, 8, 0, [0, 77])],
    ['an ICMP error', icmpError({ from: HOST, to: A }, ipv4Udp({ from: A, to: HOST }))],
  ])('%s -> reaches the guest, whose packets do not reach the host', (_name, frame) => {
    const { net, hostSends, guestSends, a } = guestAndHost();
    expect(net.from(net.host).sendUnsound(frame)).toEqual(passed(frame, a));
    const answers = [
      ipv4Udp({ ...TO_HOST, fromPort: 53, toPort: 50_000 }),
      icmpEcho({ ...TO_HOST, identifier: 77, reply: true }),
      icmpEcho({ ...TO_HOST, identifier: 0, reply: true }),
    ];
    for (const answer of answers) expect(guestSends(answer)).toEqual(dropped(a, 'host-flow-denied'));
    hostSends(BEGIN_UDP);
    expect(guestSends(answers[0]!).drops).toEqual({});
  });
});
