/** DHCP messages that are not what they say: none throws, and none is answered but where it is right all the same. */
import { expect, test } from 'vitest';
import { dhcpFrame, dhcpMessage, readDhcp } from '../lib/dhcp-messages.ts';
import { A, EVERYBODY, GATEWAY, ipv4, ipv4Udp, PACKET, patched } from '../lib/frames.ts';
import { ServiceSwitch } from '../lib/service-switch.ts';
import { dropped } from '../lib/test-switch.ts';

const DISCOVER = 1;
const OFFER = 2;

function guest() {
  const net = new ServiceSwitch();
  return { net, a: net.vm(A) };
}

const good = dhcpMessage({ from: A, type: DISCOVER });
const ends = { from: { mac: A.mac, ip: '0.0.0.0' }, to: EVERYBODY };
const carrying = (data: readonly number[]) => ipv4Udp({ ...ends, fromPort: 68, toPort: 67, data });

test.each<[string, Uint8Array]>([
  ['of 239 bytes', carrying(good.slice(0, 239))],
  ['without data', carrying([])],
  ['without the cookie', carrying(good.with(236, 0))],
  ['for a hardware address of 16 bytes', carrying(good.with(2, 16))],
  ['of a server', dhcpFrame({ from: A, type: OFFER, operation: 2 })],
  ['whose UDP checksum is wrong', patched(dhcpFrame({ from: A, type: DISCOVER }), 40, 0xab, 0xcd)],
])('%s -> dropped as malformed', (_name, frame) => {
  const { net, a } = guest();
  expect(net.from(a).sendUnsound(frame)).toEqual(dropped(a, 'malformed'));
});

test('in a fragment to the gateway -> no DHCP: refused like any other', () => {
  const { net, a } = guest();
  const bytes = 8 + good.length;
  const datagram = [0, 68, 0, 67, bytes >>> 8, bytes & 0xff, 0, 0, ...good];
  const frame = ipv4({ from: A, to: GATEWAY, fragment: 0x2000 }, 17, datagram);
  const { left, drops } = net.from(a).sendUnsound(frame);
  expect(drops).toEqual({ [a]: { 'no-service': 1 } });
  // ICMP, destination unreachable
  expect([left[0]!.frame[PACKET + 9], left[0]!.frame[PACKET + 20]]).toEqual([1, 3]);
});

test.each<[string, number[]]>([
  ['whose type option has no data', [53, 0]],
  ['whose type option reaches past the end', [53, 5, 1]],
  ['whose type stands behind an option past the end', [12, 200, 53, 1, 1]],
  ['whose type stands behind the end', [255, 53, 1, 1, 255]],
  ['of padding only', [0, 0, 0, 0]],
  ['with an option code and nothing behind it', [53]],
])('%s -> dropped as no-service', (_name, options) => {
  const { net, a } = guest();
  const frame = carrying([...good.slice(0, 240), ...options]);
  expect(net.from(a).send(frame)).toEqual(dropped(a, 'no-service'));
});

test('without an end option -> answered', () => {
  const { net, a } = guest();
  const { left } = net.from(a).send(carrying([...good.slice(0, 240), 53, 1, 1]));
  expect(left.map(({ frame }) => readDhcp(frame).given)).toEqual([A.ip]);
});

test.each([
  [
    'in a fragment',
    ipv4({ ...ends, fragment: 0x2000 }, 17, [0, 68, 0, 67, 0, 16, 0, 0, ...new Array(8).fill(0)]),
  ],
  ['whose UDP length is past the packet', ipv4(ends, 17, [0, 68, 0, 67, 1, 0, 0, 0, ...good])],
  ['from another port than 68', dhcpFrame({ from: A, type: DISCOVER, fromPort: 1068 })],
  [
    'to the subnet’s broadcast address',
    dhcpFrame({ from: A, type: DISCOVER, ends: { ...ends, to: { ...EVERYBODY, ip: '192.168.255.255' } } }),
  ],
])('%s, to everybody -> no DHCP: dropped as isolated', (_name, frame) => {
  const { net, a } = guest();
  expect(net.from(a).sendUnsound(frame)).toEqual(dropped(a, 'isolated'));
});

test('to the gateway’s MAC but another’s address -> no DHCP: refused like any other', () => {
  const { net, a } = guest();
  const beyond = { from: A, to: { mac: GATEWAY.mac, ip: '203.0.113.7' } };
  const { drops } = net.from(a).send(dhcpFrame({ from: A, type: DISCOVER, ends: beyond }));
  expect(drops).toEqual({ [a]: { 'egress-denied': 1 } });
});
