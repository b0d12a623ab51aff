import { describe, expect, test } from 'vitest';
import { FrameBatch } from '../../src/port/batch.ts';
import { ADDRESS_LEARNED } from '../../src/switch/tables.ts';
import { expectMadeByGateway } from '../lib/check-frame.ts';
import {
  A,
  arp,
  arpReply,
  arpRequest,
  B,
  C,
  EVERYBODY,
  ethernet,
  GATEWAY,
  HOST,
  ipBytes,
  ipv4Udp,
  macBytes,
  NOBODY,
  padded,
  type Station,
} from '../lib/frames.ts';
import { ABSORBED, dropped, NETWORK, type Outcome, passed, TestSwitch } from '../lib/test-switch.ts';

const UNSET: Station = { mac: A.mac, ip: '0.0.0.0' };

/** The reply that `about` has `mac`, as the switch gives it to `to`. */
function answer(about: Station, to: Station, mac = about.mac): Uint8Array {
  const head = [0, 1, 8, 0, 6, 4, 0, 2];
  const ends = [...macBytes(mac), ...ipBytes(about.ip), ...macBytes(to.mac), ...ipBytes(to.ip)];
  return ethernet({ from: GATEWAY, to }, 0x0806, [...head, ...ends]);
}

function expectAnswer(outcome: Outcome, port: number, frame: Uint8Array): void {
  expect(outcome).toEqual(passed(frame, port));
  expectMadeByGateway(frame);
}

describe.each(['isolated', 'shared'] as const)('%s', (mode) => {
  function scene() {
    const net = new TestSwitch({ mode });
    return { net, host: net.host, a: net.vm(A), b: net.vm(B) };
  }

  test('a VM asks for the gateway -> its MAC, to that VM alone', () => {
    const { net, a } = scene();
    const outcome = net.from(a).send(arpRequest({ from: A, about: GATEWAY }));
    expectAnswer(outcome, a, answer(GATEWAY, A));
  });

  test('a padded question -> an answer without the padding', () => {
    const { net, a } = scene();
    const outcome = net.from(a).send(padded(arpRequest({ from: A, about: GATEWAY })));
    expectAnswer(outcome, a, answer(GATEWAY, A));
  });

  test('the question sent to the gateway’s MAC -> the same answer', () => {
    const { net, a } = scene();
    const outcome = net.from(a).send(arpRequest({ from: A, about: GATEWAY, to: GATEWAY }));
    expectAnswer(outcome, a, answer(GATEWAY, A));
  });

  test('a VM without an address yet probes the gateway’s -> told that it is taken', () => {
    const { net, a } = scene();
    const outcome = net.from(a).send(arpRequest({ from: UNSET, about: GATEWAY }));
    expectAnswer(outcome, a, answer(GATEWAY, UNSET));
  });

  test('a VM asks for the host port -> the host port’s MAC', () => {
    const { net, a } = scene();
    const outcome = net.from(a).send(arpRequest({ from: A, about: HOST }));
    expectAnswer(outcome, a, answer(HOST, A));
  });

  test('the host asks for the gateway -> its MAC', () => {
    const { net, host } = scene();
    const outcome = net.from(host).send(arpRequest({ from: HOST, about: GATEWAY }));
    expectAnswer(outcome, host, answer(GATEWAY, HOST));
  });

  test('the host asks for a VM whose MAC is known -> that MAC', () => {
    const { net, host } = scene();
    const outcome = net.from(host).send(arpRequest({ from: HOST, about: A }));
    expectAnswer(outcome, host, answer(A, HOST));
  });

  test('the host asks for a VM whose MAC is not known -> the question goes to that VM, as broadcast', () => {
    const { net, host } = scene();
    const c = net.vm({ ip: C.ip });
    const question = arpRequest({ from: HOST, about: C });
    expect(net.from(host).send(question)).toEqual(passed(question, c));
    const unicast = arpRequest({ from: HOST, about: C, to: GATEWAY });
    expect(net.from(host).send(unicast)).toEqual(passed(question, c));
  });

  test('that VM answers -> the host has it, and the next question is answered here', () => {
    const { net, host } = scene();
    const c = net.vm({ ip: C.ip });
    const reply = arpReply({ from: C, to: HOST });
    expect(net.from(c).send(reply)).toEqual(passed(reply, host));
    expectAnswer(net.from(host).send(arpRequest({ from: HOST, about: C })), host, answer(C, HOST));
  });

  test('the host asks for a VM without carrier, MAC not known -> the gateway’s MAC', () => {
    const { net, host } = scene();
    net.vm({ ip: C.ip }, { carrier: false });
    const outcome = net.from(host).send(arpRequest({ from: HOST, about: C }));
    expectAnswer(outcome, host, answer(C, HOST, GATEWAY.mac));
  });

  test('the host asks for a VM without carrier, MAC configured -> that MAC', () => {
    const { net, host } = scene();
    net.vm(C, { carrier: false });
    expectAnswer(net.from(host).send(arpRequest({ from: HOST, about: C })), host, answer(C, HOST));
  });

  test('the host asks for nobody -> every VM hears it', () => {
    const { net, host, a, b } = scene();
    const question = arpRequest({ from: HOST, about: NOBODY });
    expect(net.from(host).send(question)).toEqual(passed(question, a, b));
  });

  test('the host announces itself -> every VM hears it', () => {
    const { net, host, a, b } = scene();
    const announcement = arpRequest({ from: HOST, about: HOST });
    expect(net.from(host).send(announcement)).toEqual(passed(announcement, a, b));
  });

  test('the host probes its own address -> every VM hears it, and the switch does not claim it', () => {
    const { net, host, a, b } = scene();
    const probe = arpRequest({ from: { mac: HOST.mac, ip: '0.0.0.0' }, about: HOST });
    expect(net.from(host).send(probe)).toEqual(passed(probe, a, b));
  });

  test('a reply to the gateway’s MAC -> dropped as no-service', () => {
    const { net, a } = scene();
    const reply = arpReply({ from: A, to: GATEWAY });
    expect(net.from(a).send(reply)).toEqual(dropped(a, 'no-service'));
  });

  test('another operation, to the gateway’s MAC -> dropped as no-service', () => {
    const { net, a } = scene();
    const reverse = arp({ from: A, about: GATEWAY, to: GATEWAY, operation: 3 });
    expect(net.from(a).send(reverse)).toEqual(dropped(a, 'no-service'));
  });

  test('no host port: its address asked for -> nobody’s', () => {
    const net = new TestSwitch({ mode, host: false });
    const a = net.vm(A);
    const outcome = net.from(a).send(arpRequest({ from: A, about: HOST }));
    expect(outcome).toEqual(mode === 'isolated' ? dropped(a, 'isolated') : ABSORBED);
  });
});

describe('isolated', () => {
  test.each([
    ['another VM', B],
    ['nobody', NOBODY],
    ['itself, to see whether it is taken', A],
  ])('a VM asks for %s -> dropped as isolated', (_name, about) => {
    const net = new TestSwitch();
    const a = net.vm(A);
    net.vm(B);
    const from = about === A ? UNSET : A;
    expect(net.from(a).send(arpRequest({ from, about }))).toEqual(dropped(a, 'isolated'));
  });

  test('a VM announces itself, by request or reply -> dropped as isolated', () => {
    const net = new TestSwitch();
    const a = net.vm(A);
    net.vm(B);
    for (const operation of [1, 2]) {
      expect(net.from(a).send(arp({ from: A, about: A, operation }))).toEqual(dropped(a, 'isolated'));
    }
  });
});

describe('shared', () => {
  function scene() {
    const net = new TestSwitch({ mode: 'shared' });
    return { net, host: net.host, a: net.vm(A), b: net.vm(B) };
  }

  test('a VM asks for another whose MAC is known -> that MAC', () => {
    const { net, a } = scene();
    expectAnswer(net.from(a).send(arpRequest({ from: A, about: B })), a, answer(B, A));
  });

  test('a VM asks for another whose MAC was learned long ago -> that MAC', () => {
    const { net, a } = scene();
    const c = net.vm({ ip: C.ip });
    net.tables.bindMac(c, 0x0600, 0xc0a80010 | 0, ADDRESS_LEARNED, net.clock.seconds);
    net.clock.pass(100_000);
    expectAnswer(net.from(a).send(arpRequest({ from: A, about: C })), a, answer(C, A));
  });

  test('a VM asks for another whose MAC is not known -> the question goes to that VM alone', () => {
    const { net, a } = scene();
    const c = net.vm({ ip: C.ip });
    const question = arpRequest({ from: A, about: C });
    expect(net.from(a).send(question)).toEqual(passed(question, c));
  });

  test('a VM asks for another without carrier, MAC not known -> dropped as port-down', () => {
    const { net, a } = scene();
    net.vm({ ip: C.ip }, { carrier: false });
    expect(net.from(a).send(arpRequest({ from: A, about: C }))).toEqual(dropped(a, 'port-down'));
  });

  test('a VM asks for nobody, or announces itself -> every other VM hears it, the host not', () => {
    const { net, a, b } = scene();
    const heard = [
      arpRequest({ from: A, about: NOBODY }),
      arpRequest({ from: A, about: A }),
      arp({ from: A, about: A, operation: 2 }),
    ];
    for (const frame of heard) expect(net.from(a).send(frame)).toEqual(passed(frame, b));
  });

  test('a VM probes its own address -> dropped as hairpin', () => {
    const { net, a } = scene();
    expect(net.from(a).send(arpRequest({ from: UNSET, about: A }))).toEqual(dropped(a, 'hairpin'));
  });

  test('a VM’s reply to another -> that VM, untouched', () => {
    const { net, a, b } = scene();
    const reply = arpReply({ from: A, to: B });
    expect(net.from(a).send(reply)).toEqual(passed(reply, b));
  });
});

describe('the host’s packet for a VM whose MAC was forgotten', () => {
  test('to the MAC it had -> dropped as unknown-unicast, and the VM is asked in the host’s name', () => {
    const { net, host, c } = forgotten();
    const { left, drops } = net.from(host).send(toC());
    expect(drops).toEqual({ [host]: { 'unknown-unicast': 1 } });
    const question = arpRequest({ from: HOST, about: C, targetMac: EVERYBODY.mac });
    question.set(macBytes(GATEWAY.mac), 16);
    expect(left).toEqual([{ port: c, frame: question }]);
  });

  test('after the VM’s answer -> passes', () => {
    const { net, host, c } = forgotten();
    net.from(host).send(toC());
    net.from(c).send(arpReply({ from: C, to: HOST }));
    expect(net.from(host).send(toC())).toEqual(passed(toC(), c));
  });

  function forgotten() {
    const net = new TestSwitch();
    return { net, host: net.host, c: net.vm({ ip: C.ip }) };
  }

  function toC(): Uint8Array {
    return ipv4Udp({ from: HOST, to: C });
  }
});

test('the gateway announced -> the bytes of RFC 5227 section 3, whatever lay in the slot', () => {
  const net = new TestSwitch();
  const batch = new FrameBatch(2);
  batch.u8.fill(0xee);
  net.gateway.neighbours.announceGateway(batch, 1, NETWORK);
  const start = batch.start[1]!;
  const frame = batch.u8.slice(start, start + batch.length[1]!);
  const [mac, ip] = ['027461707377', 'c0a80001'];
  expect(Buffer.from(frame).toString('hex')).toBe(
    `${'00'.repeat(10)}ffffffffffff${mac}08060001080006040001${mac}${ip}ffffffffffff${ip}`,
  );
  expectMadeByGateway(frame);
  batch.release();
});
