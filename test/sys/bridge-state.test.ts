/** Messages about bridges, neighbours and forwarding entries: what is read from them, and that any bytes are fine. */
import { expect, test } from 'vitest';
import { parseBridgeLink, parsePortVlans } from '../../src/sys/bridge-state.ts';
import { parseForwardingEntry, parseNeighbour } from '../../src/sys/neighbour-table.ts';
import { attribute, concat, nested, u8, u16, u32 } from '../../src/sys/netlink-message.ts';

const MAC = Uint8Array.of(6, 0, 0, 0, 0, 0xb);
const AF_INET = 2;
const AF_BRIDGE = 7;

const received = (...parts: Uint8Array[]) => ({ type: 16, flags: 0, sequence: 1, payload: concat(parts) });
const ifinfomsg = (family: number, index: number) =>
  concat([Uint8Array.of(family, 0, 1, 0), u32(index), u32(1), u32(0)]);
const ndmsg = (family: number, index: number, state: number) =>
  concat([Uint8Array.of(family, 0, 0, 0), u32(index), u16(state), Uint8Array.of(0, 0)]);

test('a port -> its state and flags; those the kernel left out as if it had none', () => {
  const data = nested(5, [attribute(1, u8(2)), attribute(33, u8(1)), attribute(9, u8(0))]);
  const link = parseBridgeLink(received(ifinfomsg(0, 3), attribute(10, u32(7)), nested(18, [data])));
  expect(link?.port).toEqual({
    state: 'learning',
    isolated: true,
    unicastFlood: false,
    broadcastFlood: true,
    learning: true,
    locked: false,
  });
});

test('VLANs of a port -> PVID and untagged', () => {
  const vlan = (flags: number, id: number) => attribute(2, concat([u16(flags), u16(id)]));
  const message = received(ifinfomsg(AF_BRIDGE, 3), nested(26, [vlan(6, 1), vlan(0, 20)]));
  expect(parsePortVlans(message)).toEqual({
    index: 3,
    vlans: [
      { id: 1, pvid: true, untagged: true },
      { id: 20, pvid: false, untagged: false },
    ],
  });
});

test('a neighbour -> address, MAC and state', () => {
  const to = attribute(1, Uint8Array.of(10, 1, 0, 11));
  const known = parseNeighbour(received(ndmsg(AF_INET, 3, 4), to, attribute(2, MAC)));
  expect(known).toEqual({ index: 3, address: '10.1.0.11', mac: '06:00:00:00:00:0b', state: 'STALE' });
  const failed = parseNeighbour(received(ndmsg(AF_INET, 3, 32), to));
  expect([failed?.mac, failed?.state]).toEqual([undefined, 'FAILED']);
});

test.each([
  [2, 'learned'],
  [64, 'static'],
  [128, 'local'],
])('a forwarding entry of state %i -> %s', (state, kind) => {
  const message = received(ndmsg(AF_BRIDGE, 3, state), attribute(2, MAC), attribute(9, u32(7)));
  expect(parseForwardingEntry(message)).toEqual({ index: 3, mac: '06:00:00:00:00:0b', kind, vlan: 0 });
});

test("an entry of a device's own filter -> none of the bridge's", () => {
  expect(parseForwardingEntry(received(ndmsg(AF_BRIDGE, 3, 128), attribute(2, MAC)))).toBeUndefined();
});

test.each([0, 3, 11, 12, 16, 40])('%i bytes of anything -> read without an error', (bytes) => {
  const message = received(new Uint8Array(bytes).fill(7));
  for (const parse of [parseBridgeLink, parsePortVlans, parseNeighbour, parseForwardingEntry])
    expect(() => parse(message)).not.toThrow();
});
