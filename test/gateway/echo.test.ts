import { describe, expect, test } from 'vitest';
import { expectMadeByGateway } from '../lib/check-frame.ts';
import {
  A,
  B,
  GATEWAY,
  HOST,
  icmpEcho,
  ipv4,
  MORE_FRAGMENTS,
  PACKET,
  padded,
  patched,
  withVnet,
} from '../lib/frames.ts';
import { dropped, passed, type Sent, TestSwitch } from '../lib/test-switch.ts';

const PING = { from: A, to: GATEWAY };
const PONG = { from: GATEWAY, to: A, reply: true };

function guest() {
  const net = new TestSwitch();
  const a = net.vm(A);
  return { net, a };
}

describe('echo request to the gateway', () => {
  test.each([0, 1, 7, 56, 57, 1472, 65_507])('%i bytes of data -> its reply', (bytes) => {
    const { net, a } = guest();
    const data = Uint8Array.from({ length: bytes }, (_, i) => i * 7);
    const reply = icmpEcho({ ...PONG, data });
    expect(net.from(a).send(icmpEcho({ ...PING, data }))).toEqual(passed(reply, a));
    expectMadeByGateway(reply);
  });

  test('options in the IP header -> a reply with the same ones', () => {
    const { net, a } = guest();
    const options = [0x94, 4, 0, 0, 1, 1, 1, 0];
    const reply = icmpEcho({ ...PONG, options });
    expect(net.from(a).send(icmpEcho({ ...PING, options }))).toEqual(passed(reply, a));
  });

  test('padded to a minimum frame -> a reply without the padding', () => {
    const { net, a } = guest();
    const request = padded(icmpEcho({ ...PING, data: [1] }));
    expect(request.length).toBe(70);
    expect(net.from(a).send(request)).toEqual(passed(icmpEcho({ ...PONG, data: [1] }), a));
  });

  test('checksum left to the receiver (NEEDS_CSUM) -> a reply with a whole one, virtio-net header clear', () => {
    const { net, a } = guest();
    const data = [9, 8, 7];
    const partial = patched(icmpEcho({ ...PING, data }), 14 + 20 + 2, 0xab, 0xcd);
    const request = withVnet(partial, { flags: 1, checksumStart: 34, checksumOffset: 2 });
    expect(net.from(a).send(request)).toEqual(passed(icmpEcho({ ...PONG, data }), a));
  });

  test('checksum verified already (DATA_VALID) -> a reply that claims nothing', () => {
    const { net, a } = guest();
    const request = withVnet(icmpEcho(PING), { flags: 2 });
    expect(net.from(a).send(request)).toEqual(passed(icmpEcho(PONG), a));
  });

  test('checksum wrong -> a reply whose checksum is as wrong', () => {
    const { net, a } = guest();
    const good = icmpEcho(PING);
    const view = new DataView(good.buffer);
    view.setUint16(PACKET + 22, view.getUint16(PACKET + 22) - 1);
    const [sent] = net.from(a).sendUnsound(good).left as [Sent];
    const reply = icmpEcho(PONG);
    const right = new DataView(reply.buffer).getUint16(PACKET + 22);
    const given = new DataView(sent.frame.buffer).getUint16(PACKET + 22);
    expect(given).toBe(right - 1);
  });

  test('from the host -> its reply', () => {
    const { net } = guest();
    const reply = icmpEcho({ from: GATEWAY, to: HOST, reply: true });
    expect(net.from(net.host).send(icmpEcho({ from: HOST, to: GATEWAY }))).toEqual(passed(reply, net.host));
  });

  test('from a VM of another network with the same addresses -> to that VM', () => {
    const { net } = guest();
    net.addNetwork(5, 'shared');
    const other = net.vm(A, { network: 5 });
    expect(net.from(other).send(icmpEcho(PING))).toEqual(passed(icmpEcho(PONG), other));
  });

  test('counted at the port: one in, one out, no drop', () => {
    const { net, a } = guest();
    net.from(a).send(icmpEcho(PING));
    expect(net.stats(a)).toMatchObject({ rxFrames: 1, txFrames: 1, drops: {} });
  });
});

describe('not an echo request: no reply', () => {
  test.each([
    ['an echo reply', icmpEcho({ ...PING, reply: true })],
    ['a fragment, the first', ipv4({ ...PING, fragment: MORE_FRAGMENTS }, 1, [8, 0, 0, 0, 0, 7, 0, 1])],
    ['a fragment, a later one', ipv4({ ...PING, fragment: 3 }, 1, [8, 0, 0xf7, 0xf7, 0, 7, 0, 1])],
    ['ICMP of 7 bytes', ipv4(PING, 1, [8, 0, 0xf7, 0xf8, 0, 7, 0])],
  ])('%s -> dropped as no-service', (_name, frame) => {
    const { net, a } = guest();
    const { left, drops } = net.from(a).sendUnsound(frame);
    expect(drops).toEqual({ [a]: { 'no-service': 1 } });
    for (const sent of left) expect(sent.frame[PACKET + 20]).not.toBe(0);
  });

  test('an echo request for another address -> no reply in its name', () => {
    const { net, a } = guest();
    const stray = icmpEcho({ from: A, to: { mac: GATEWAY.mac, ip: B.ip } });
    const { left, drops } = net.from(a).send(stray);
    expect(drops).toEqual({ [a]: { isolated: 1 } });
    expect(left.map((sent) => sent.frame[PACKET + 20])).toEqual([3]);
  });

  test('an echo request the gateway did not get whole -> dropped as malformed', () => {
    const { net, a } = guest();
    expect(net.from(a).sendUnsound(icmpEcho(PING).slice(0, -1))).toEqual(dropped(a, 'malformed'));
  });
});
