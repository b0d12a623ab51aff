import { describe, expect, test } from 'vitest';
import { expectMadeByGateway } from '../lib/check-frame.ts';
import { DHCP, type DhcpAnswer, type DhcpFields, dhcpFrame, readDhcp } from '../lib/dhcp-messages.ts';
import {
  A,
  B,
  EVERYBODY,
  GATEWAY,
  HOST,
  ipBytes,
  ipv4Udp,
  NOBODY,
  patched,
  withVnet,
} from '../lib/frames.ts';
import { ServiceSwitch } from '../lib/service-switch.ts';
import { dropped, int32, type Outcome } from '../lib/test-switch.ts';

const DISCOVER = 1;
const OFFER = 2;
const REQUEST = 3;
const DECLINE = 4;
const ACK = 5;
const NAK = 6;
const RELEASE = 7;
const INFORM = 8;
const BURST = 20;
const LEASE = '192.168.7.7';
const CLIENT_IDENTIFIER = [61, 7, 1, 6, 0, 0xc0, 0xa8, 0, 0x0e];

function hex(...bytes: number[]): string {
  return Buffer.from(bytes).toString('hex');
}

function seconds(value: number): string {
  return value.toString(16).padStart(8, '0');
}

const ROUTER = hex(...ipBytes(GATEWAY.ip));
/** What every answer but a NAK says of the network */
const SETTINGS = {
  1: 'ffff0000',
  3: ROUTER,
  6: ROUTER,
  15: Buffer.from('tapswitch.internal').toString('hex'),
  26: '05dc',
  121: `00${ROUTER}`,
};
const TIMES = { 51: seconds(86_400), 58: seconds(43_200), 59: seconds(75_600) };

/** A guest whose address is not known, with one set aside for it. */
function guest(mode: 'isolated' | 'shared' = 'isolated') {
  const net = new ServiceSwitch({ mode });
  const a = net.vm({ mac: A.mac });
  net.vm(B);
  net.tables.setLease(a, int32(LEASE));
  const send = (fields: Omit<DhcpFields, 'from'>): Outcome =>
    net.from(a).send(dhcpFrame({ from: A, ...fields }));
  return { net, a, send };
}

/** The one answer in the outcome, checked for what all answers have in common. */
function answerIn({ left, drops }: Outcome, port: number): DhcpAnswer {
  expect(drops).toEqual({});
  expect(left.map((sent) => sent.port)).toEqual([port]);
  const { frame } = left[0]!;
  expectMadeByGateway(frame);
  // 0 would say that there is no checksum
  expect(frame[DHCP - 2]! + frame[DHCP - 1]!).toBeGreaterThan(0);
  const answer = readDhcp(frame);
  expect(answer).toMatchObject({ operation: 2, ports: [67, 68], from: GATEWAY.ip, transaction: 0x3903f326 });
  expect(answer.hardware).toBe(A.mac);
  expect(answer.bytes).toBeGreaterThanOrEqual(300);
  return answer;
}

describe.each(['isolated', 'shared'] as const)('%s', (mode) => {
  test('discover -> offer of the address set aside, to the client’s MAC and that address', () => {
    const { send, a } = guest(mode);
    const answer = answerIn(send({ type: DISCOVER }), a);
    expect(answer).toMatchObject({
      toMac: A.mac,
      to: LEASE,
      client: '0.0.0.0',
      given: LEASE,
      broadcast: false,
    });
    expect(answer.options).toEqual({ 53: hex(OFFER), 54: ROUTER, ...TIMES, ...SETTINGS });
  });

  test('offer, request -> ack of the same', () => {
    const { send, a } = guest(mode);
    const answer = answerIn(send({ type: REQUEST, requested: LEASE, server: GATEWAY.ip }), a);
    expect(answer).toMatchObject({ toMac: A.mac, to: LEASE, client: '0.0.0.0', given: LEASE });
    expect(answer.options).toEqual({ 53: hex(ACK), 54: ROUTER, ...TIMES, ...SETTINGS });
  });

  test('discover, client that cannot take unicast -> offer to everybody', () => {
    const { send, a } = guest(mode);
    const answer = answerIn(send({ type: DISCOVER, broadcast: true }), a);
    expect(answer).toMatchObject({ toMac: EVERYBODY.mac, to: EVERYBODY.ip, given: LEASE, broadcast: true });
  });
});

describe('the address', () => {
  test('configured -> that one, whatever is set aside', () => {
    const { net } = guest();
    const c = net.vm(NOBODY);
    net.tables.setLease(c, int32(LEASE));
    const { left } = net.from(c).send(dhcpFrame({ from: NOBODY, type: DISCOVER }));
    expect(readDhcp(left[0]!.frame).given).toBe(NOBODY.ip);
  });

  test('learned -> that one', () => {
    const { net, a, send } = guest();
    net.from(a).send(ipv4Udp({ from: A, to: GATEWAY }));
    expect(answerIn(send({ type: DISCOVER }), a).given).toBe(A.ip);
  });

  test('another asked for in a discover -> the same nevertheless', () => {
    const { send, a } = guest();
    expect(answerIn(send({ type: DISCOVER, requested: NOBODY.ip }), a).given).toBe(LEASE);
  });

  test.each([
    ['discover', { type: DISCOVER }],
    ['request', { type: REQUEST, requested: LEASE }],
  ])('none: %s -> dropped as no-service', (_name, fields) => {
    const { net, a, send } = guest();
    net.tables.setLease(a, 0);
    expect(send(fields)).toEqual(dropped(a, 'no-service'));
  });

  test('of a port whose number is another VM’s now -> none', () => {
    const { net, a } = guest();
    net.tables.removePort(a);
    net.addVmAt(a, { mac: A.mac });
    expect(net.from(a).send(dhcpFrame({ from: A, type: DISCOVER }))).toEqual(dropped(a, 'no-service'));
  });
});

test('discover of a client that says it has an address -> offer to that, which says it has none', () => {
  const { send, a } = guest();
  const answer = answerIn(send({ type: DISCOVER, client: A.ip }), a);
  expect(answer).toMatchObject({ toMac: A.mac, to: A.ip, client: '0.0.0.0', given: LEASE });
});

describe('request', () => {
  const OWN = { from: { mac: A.mac, ip: LEASE }, to: EVERYBODY };

  test('after a restart, for its address -> ack', () => {
    const { send, a } = guest();
    expect(answerIn(send({ type: REQUEST, requested: LEASE }), a).options[53]).toBe(hex(ACK));
  });

  test('renewing, to the gateway alone -> ack to its address', () => {
    const { net, a } = guest();
    const ends = { from: OWN.from, to: GATEWAY };
    const outcome = net
      .from(a)
      .send(dhcpFrame({ from: A, type: REQUEST, client: LEASE, broadcast: true, ends }));
    const answer = answerIn(outcome, a);
    expect(answer).toMatchObject({ toMac: A.mac, to: LEASE, client: LEASE, given: LEASE });
    expect(answer.options[53]).toBe(hex(ACK));
  });

  test('rebinding, to everybody -> ack', () => {
    const { send, a } = guest();
    expect(answerIn(send({ type: REQUEST, client: LEASE, ends: OWN }), a).options[53]).toBe(hex(ACK));
  });

  test.each([
    ['offered by this server', { requested: NOBODY.ip, server: GATEWAY.ip }],
    ['after a restart', { requested: NOBODY.ip }],
    ['after a restart, from the gateway’s subnet', { requested: GATEWAY.ip }],
    ['to go on with', { client: NOBODY.ip }],
  ])('for another address %s -> nak to everybody, without settings', (_name, fields) => {
    const { send, a } = guest();
    const answer = answerIn(send({ type: REQUEST, ...fields }), a);
    expect(answer).toMatchObject({
      toMac: EVERYBODY.mac,
      to: EVERYBODY.ip,
      client: '0.0.0.0',
      given: '0.0.0.0',
    });
    expect(answer.options).toEqual({ 53: hex(NAK), 54: ROUTER });
  });

  test('nak, discover -> offer of the address that never moved', () => {
    const { send, a } = guest();
    send({ type: REQUEST, requested: NOBODY.ip });
    expect(answerIn(send({ type: DISCOVER }), a).given).toBe(LEASE);
  });

  test('for another server’s offer -> dropped as no-service', () => {
    const { send, a } = guest();
    const outcome = send({ type: REQUEST, requested: LEASE, server: B.ip });
    expect(outcome).toEqual(dropped(a, 'no-service'));
  });

  test('for no address -> dropped as malformed', () => {
    const { send, a } = guest();
    expect(send({ type: REQUEST })).toEqual(dropped(a, 'malformed'));
  });
});

describe('inform', () => {
  test('-> ack with the settings, without a lease', () => {
    const { net, a, send } = guest();
    net.tables.setLease(a, 0);
    const ends = { from: A, to: EVERYBODY };
    const answer = answerIn(send({ type: INFORM, client: A.ip, ends }), a);
    expect(answer).toMatchObject({ toMac: A.mac, to: A.ip, client: A.ip, given: '0.0.0.0' });
    expect(answer.options).toEqual({ 53: hex(ACK), 54: ROUTER, ...SETTINGS });
  });
});

describe('nothing to answer', () => {
  test.each<[string, Omit<DhcpFields, 'from'>]>([
    ['release', { type: RELEASE, client: LEASE, server: GATEWAY.ip, ends: { from: A, to: GATEWAY } }],
    ['decline', { type: DECLINE, requested: LEASE, server: GATEWAY.ip }],
    ['an offer', { type: OFFER }],
    ['a type that does not exist', { type: 99 }],
    ['BOOTP, without a type', {}],
    ['a discover from a relay', { type: DISCOVER, relay: '192.168.0.200' }],
  ])('%s -> dropped as no-service', (_name, fields) => {
    const { net, a } = guest();
    expect(net.from(a).send(dhcpFrame({ from: A, ...fields }))).toEqual(dropped(a, 'no-service'));
  });

  test.each([RELEASE, DECLINE])('message type %i, then discover -> the same address as before', (type) => {
    const { send, a } = guest();
    send({ type, requested: LEASE, server: GATEWAY.ip });
    expect(answerIn(send({ type: DISCOVER }), a).given).toBe(LEASE);
  });

  test('discover of the host at the gateway -> dropped as no-service', () => {
    const { net } = guest();
    net.tables.setLease(net.host, int32(LEASE));
    const frame = dhcpFrame({ from: HOST, type: DISCOVER, ends: { from: HOST, to: GATEWAY } });
    expect(net.from(net.host).send(frame)).toEqual(dropped(net.host, 'no-service'));
  });
});

describe('an answer', () => {
  test('to a client that identifies itself -> gives that back (RFC 6842)', () => {
    const { send, a } = guest();
    for (const type of [DISCOVER, REQUEST]) {
      const answer = answerIn(send({ type, requested: NOBODY.ip, more: CLIENT_IDENTIFIER }), a);
      expect(answer.options[61]).toBe('010600c0a8000e');
    }
    expect(answerIn(send({ type: DISCOVER }), a).options[61]).toBeUndefined();
  });

  test('with an identifier of 255 bytes -> whole', () => {
    const { send, a } = guest();
    const identifier = Array.from({ length: 255 }, (_, i) => i);
    const answer = answerIn(send({ type: DISCOVER, more: [61, 255, ...identifier] }), a);
    expect(answer.options[61]).toBe(hex(...identifier));
  });

  test('for a port with a host name -> says it; without -> not, nor for another port', () => {
    const { net, send, a } = guest();
    net.gateway.dhcp.setHostname(a + 1, 'vm-other');
    expect(answerIn(send({ type: DISCOVER }), a).options[12]).toBeUndefined();
    net.gateway.dhcp.setHostname(a, 'vm-02018');
    expect(answerIn(send({ type: DISCOVER }), a).options[12]).toBe(Buffer.from('vm-02018').toString('hex'));
    net.gateway.dhcp.setHostname(a, '');
    expect(answerIn(send({ type: DISCOVER }), a).options[12]).toBeUndefined();
  });

  test('on a network of another MTU -> says that', () => {
    const net = new ServiceSwitch({ mtu: 65_520 });
    const a = net.vm(A);
    const { left } = net.from(a).send(dhcpFrame({ from: A, type: DISCOVER }));
    expect(readDhcp(left[0]!.frame).options[26]).toBe('fff0');
  });

  test('to a request with IP header options -> without them', () => {
    const { send, a } = guest();
    expect(answerIn(send({ type: DISCOVER, headerOptions: [1, 1, 1, 0] }), a).given).toBe(LEASE);
  });

  test('to a checksum left to the receiver (NEEDS_CSUM) -> with a whole one', () => {
    const { net, a } = guest();
    const partial = patched(dhcpFrame({ from: A, type: DISCOVER }), 40, 0xab, 0xcd);
    const frame = withVnet(partial, { flags: 1, checksumStart: 34, checksumOffset: 6 });
    expect(answerIn(net.from(a).send(frame), a).given).toBe(LEASE);
  });

  test('to a client without a checksum -> with one', () => {
    const { net, a } = guest();
    const frame = patched(dhcpFrame({ from: A, type: DISCOVER }), 40, 0, 0);
    expect(answerIn(net.from(a).sendUnsound(frame), a).given).toBe(LEASE);
  });
});

describe('clones, all with the same MAC', () => {
  test('-> each port its own address', () => {
    const net = new ServiceSwitch({ clones: true, host: false });
    const ports = [net.vm({ mac: A.mac }), net.vm({ mac: A.mac })];
    ports.forEach((port, i) => {
      net.tables.setLease(port, int32(LEASE) + i);
    });
    const given = ports.map((port) => {
      const { left } = net.from(port).send(dhcpFrame({ from: A, type: DISCOVER }));
      expect(left.map((sent) => sent.port)).toEqual([port]);
      return readDhcp(left[0]!.frame).given;
    });
    expect(given).toEqual(['192.168.7.7', '192.168.7.8']);
  });
});

describe('rate', () => {
  test(`more than ${BURST} messages at once -> the rest dropped as flood-limit, another VM undisturbed`, () => {
    const { net, a } = guest();
    const frames = new Array(BURST + 3).fill(dhcpFrame({ from: A, type: DISCOVER }));
    const { left, drops } = net.from(a).send(...frames);
    expect(left).toHaveLength(BURST);
    expect(drops).toEqual({ [a]: { 'flood-limit': 3 } });
    const c = net.vm(NOBODY);
    expect(net.from(c).send(dhcpFrame({ from: NOBODY, type: DISCOVER })).left).toHaveLength(1);
  });

  test('a second later -> ten more', () => {
    const { net, a } = guest();
    const frames = new Array(BURST + 3).fill(dhcpFrame({ from: A, type: DISCOVER }));
    net.from(a).send(...frames);
    net.clock.pass(1);
    expect(net.from(a).send(...frames).left).toHaveLength(10);
  });
});
