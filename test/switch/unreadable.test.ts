import { describe, expect, test } from 'vitest';
import { MAX_FRAME_BYTES, RECEIVED_TAGGED } from '../../src/port/batch.ts';
import type { Port } from '../../src/port/port.ts';
import {
  A,
  arpRequest,
  B,
  cut,
  EVERYBODY,
  ethernet,
  GATEWAY,
  HOST,
  ipv4Tcp,
  ipv4Udp,
  ipv6,
  patched,
  type VnetFields,
  vlanTagged,
  withVnet,
} from '../lib/frames.ts';
import { dropped, type Outcome, passed, TestSwitch } from '../lib/test-switch.ts';

/** Sends the frame as A, on a shared network where nothing but the frame itself speaks against it. */
function sendAsA(frame: Uint8Array): { outcome: Outcome; a: number; b: number } {
  const net = new TestSwitch({ mode: 'shared' });
  const [a, b] = [net.vm(A), net.vm(B)];
  return { outcome: net.from(a).sendUnsound(frame), a, b };
}

const TO_B = ipv4Udp({ from: A, to: B });

describe('length', () => {
  test.each([0, 1, 13])('%i bytes of Ethernet -> dropped as runt', (bytes) => {
    const { outcome, a } = sendAsA(cut(TO_B, bytes));
    expect(outcome).toEqual(dropped(a, 'runt'));
  });

  test('not even a whole virtio-net header -> dropped as runt', () => {
    const { outcome, a } = sendAsA(new Uint8Array(3));
    expect(outcome).toEqual(dropped(a, 'runt'));
  });

  test('an Ethernet header and nothing else -> passes', () => {
    const frame = ethernet({ from: A, to: B }, 0x88f7, []);
    const { outcome, b } = sendAsA(frame);
    expect(outcome).toEqual(passed(frame, b));
  });

  test('longer than a slot -> dropped as too-long', () => {
    const frame = ethernet({ from: A, to: B }, 0x88f7, new Uint8Array(MAX_FRAME_BYTES - 23));
    expect(frame.length).toBe(MAX_FRAME_BYTES + 1);
    const { outcome, a } = sendAsA(frame);
    expect(outcome).toEqual(dropped(a, 'too-long'));
  });

  test('as long as a slot -> passes whole', () => {
    const frame = ethernet({ from: A, to: B }, 0x88f7, new Uint8Array(MAX_FRAME_BYTES - 24).fill(0xa5));
    const { outcome, b } = sendAsA(frame);
    expect(outcome).toEqual(passed(frame, b));
  });
});

describe('VLAN tag', () => {
  test.each([
    ['802.1Q', 0x8100],
    ['802.1ad', 0x88a8],
  ])('%s in the frame -> dropped as vlan', (_name, protocol) => {
    const { outcome, a } = sendAsA(vlanTagged(TO_B, protocol));
    expect(outcome).toEqual(dropped(a, 'vlan'));
  });

  test('two tags -> dropped as vlan', () => {
    const { outcome, a } = sendAsA(vlanTagged(vlanTagged(TO_B), 0x88a8));
    expect(outcome).toEqual(dropped(a, 'vlan'));
  });

  test('from the host -> dropped as vlan', () => {
    const net = new TestSwitch();
    net.vm(A);
    const frame = vlanTagged(ipv4Udp({ from: HOST, to: A }));
    expect(net.from(net.host).sendUnsound(frame)).toEqual(dropped(net.host, 'vlan'));
  });

  test('told by the kernel beside the frame -> dropped as vlan', () => {
    const net = new TestSwitch({ mode: 'shared' });
    const [a] = [net.vm(A), net.vm(B)];
    net.wrap(
      a,
      (inner): Port => ({
        fd: -1,
        receive: (batch) => {
          const count = inner.receive(batch);
          batch.condition.fill(RECEIVED_TAGGED, 0, count);
          return count;
        },
        transmit: (...all) => inner.transmit(...all),
        transmitPieces: (...all) => inner.transmitPieces(...all),
      }),
    );
    expect(net.from(a).send(TO_B)).toEqual(dropped(a, 'vlan'));
  });
});

describe('virtio-net header', () => {
  const SEGMENT = ipv4Tcp({ from: A, to: B, data: new Uint8Array(3000) });
  const BYTES = SEGMENT.length - 10;
  const TSO = { gsoType: 1, headerLength: 54, gsoSize: 1448, checksumStart: 34, checksumOffset: 16 };

  test.each<[string, VnetFields]>([
    ['checksum start past the end', { flags: 1, checksumStart: BYTES }],
    ['checksum field one byte past the end', { flags: 1, checksumStart: BYTES - 17, checksumOffset: 16 }],
    ['GSO size 0', { ...TSO, gsoSize: 0 }],
    ['headers past the end', { ...TSO, headerLength: BYTES + 1 }],
    ['GSO type that does not exist', { ...TSO, gsoType: 2 }],
    ['flag that does not exist', { flags: 0x10 }],
  ])('%s -> dropped as bad-offload', (_name, fields) => {
    const { outcome, a } = sendAsA(withVnet(SEGMENT, fields));
    expect(outcome).toEqual(dropped(a, 'bad-offload'));
  });

  test('of an honest GSO frame -> passes as it is', () => {
    const frame = withVnet(SEGMENT, { flags: 1, ...TSO });
    const { outcome, b } = sendAsA(frame);
    expect(outcome).toEqual(passed(frame, b));
  });
});

describe('network header', () => {
  const ARP_FRAME = arpRequest({ from: A, about: B });
  const IPV6_FRAME = ipv6({ from: A, to: B }, 'fe80::1', 'fe80::2', [1, 2, 3, 4]);

  test.each([
    ['IPv4 of 19 bytes', cut(TO_B, 14 + 19)],
    ['IPv4 whose total length is past the end', TO_B.slice(0, -1)],
    ['IPv4 whose total length is below its header', patched(TO_B, 16, 0, 19)],
    ['IPv4 whose header length is 16', patched(TO_B, 14, 0x44)],
    ['IPv4 of version 6', patched(TO_B, 14, 0x65)],
    ['IPv4 with no byte', cut(TO_B, 14)],
    ['ARP of 27 bytes', cut(ARP_FRAME, 14 + 27)],
    ['ARP for hardware addresses of 8 bytes', patched(ARP_FRAME, 18, 8)],
    ['ARP for another protocol', patched(ARP_FRAME, 16, 0x86, 0xdd)],
    ['IPv6 of 39 bytes', cut(IPV6_FRAME, 14 + 39)],
    ['IPv6 whose payload is past the end', IPV6_FRAME.slice(0, -1)],
    ['IPv6 of version 4', patched(IPV6_FRAME, 14, 0x40)],
  ])('%s -> dropped as malformed', (_name, frame) => {
    const { outcome, a } = sendAsA(frame);
    expect(outcome).toEqual(dropped(a, 'malformed'));
  });

  test('of a guest’s packet for the gateway -> dropped as malformed', () => {
    const { outcome, a } = sendAsA(ipv4Udp({ from: A, to: GATEWAY }).slice(0, -1));
    expect(outcome).toEqual(dropped(a, 'malformed'));
  });

  test('ARP of the host, cut -> dropped as malformed', () => {
    const net = new TestSwitch();
    const frame = cut(arpRequest({ from: HOST, about: A, to: EVERYBODY }), 14 + 27);
    expect(net.from(net.host).sendUnsound(frame)).toEqual(dropped(net.host, 'malformed'));
  });
});
