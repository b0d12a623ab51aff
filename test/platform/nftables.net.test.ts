import { afterEach, beforeEach, expect, test } from 'vitest';
import { inNamespace } from '../../src/sys/netns.ts';
import {
  addIngressChain,
  addTable,
  deleteChain,
  deleteEmptyTable,
  NftablesSocket,
  type Policy,
} from '../../src/sys/nftables.ts';
import { RouteSocket } from '../../src/sys/rtnetlink.ts';
import {
  createScene,
  framesSeen,
  HOST_ADDRESSES,
  indexOf,
  joinGuest,
  reachable,
  run,
  type Scene,
} from '../port/guard-fixtures.ts';

const TABLE = 'probe';
const NAME = 'fc-vm-1';

let scene: Scene;
let nft: NftablesSocket;

beforeEach(() => {
  scene = createScene(NAME);
  nft = inNamespace(scene.host.path, () => new NftablesSocket());
});

afterEach(() => {
  nft.close();
  scene.close();
});

const chain = (device: string, policy: Policy = 'drop') =>
  addIngressChain({ table: TABLE, name: device, device, priority: -300, policy });
const ruleset = () => run(scene.host, 'nft', 'list', 'ruleset');
const ping = () => reachable(scene, ['10.77.0.1']);

test('a chain made: nft, an independent reader, lists it as meant', () => {
  nft.transaction([addTable(TABLE), chain(NAME)]);
  expect(ruleset()).toContain(`type filter hook ingress device "${NAME}" priority -300; policy drop;`);
  expect(nft.chains(TABLE)).toEqual([{ name: NAME, devices: [NAME], policy: 'drop' }]);
  expect(nft.chain(TABLE, NAME)).toEqual({ name: NAME, devices: [NAME], policy: 'drop' });
});

test('no such table or chain: nothing is listed', () => {
  expect(nft.chains(TABLE)).toEqual([]);
  expect(nft.chain(TABLE, NAME)).toBeUndefined();
  nft.transaction([addTable(TABLE)]);
  expect(nft.chains(TABLE)).toEqual([]);
  expect(nft.chain(TABLE, NAME)).toBeUndefined();
});

test('ingress chain without a rule, policy drop: packet sockets see the frames, the host does not', () => {
  expect(reachable(scene)).toEqual(HOST_ADDRESSES);
  nft.transaction([addTable(TABLE), chain(NAME)]);
  let answered: string[] = [];
  const seen = framesSeen(scene, NAME, () => {
    answered = reachable(scene);
  });
  expect(answered).toEqual([]);
  expect(seen).toBeGreaterThan(0);
  nft.transaction([deleteChain(TABLE, NAME)]);
  expect(reachable(scene)).toEqual(HOST_ADDRESSES);
});

test('what the host sends is not touched by an ingress chain', () => {
  nft.transaction([addTable(TABLE), chain(NAME)]);
  const sent = framesSeen({ ...scene, host: scene.guest, route: guestRoute() }, 'eth0', () => {
    try {
      run(scene.host, 'ping', '-n', '-c', '1', '-W', '0.2', '10.77.0.2');
    } catch {
      // unanswered, since the guest's answer is dropped
    }
  });
  expect(sent).toBeGreaterThan(0);
});

test('policy accept: everything passes; made again with drop: nothing does', () => {
  nft.transaction([addTable(TABLE), chain(NAME, 'accept')]);
  expect(ping()).toHaveLength(1);
  nft.transaction([addTable(TABLE), chain(NAME, 'drop')]);
  expect(ping()).toEqual([]);
  expect(nft.chains(TABLE)).toHaveLength(1);
});

test('a transaction with one impossible change: none is made, and the error names it', () => {
  const impossible = deleteChain(TABLE, 'nothere');
  expect(() => nft.transaction([addTable(TABLE), chain(NAME), impossible])).toThrow(
    expect.objectContaining({ code: 'ENOENT', operation: 'delete chain nothere' }),
  );
  expect(ruleset()).toBe('');
  expect(ping()).toHaveLength(1);
});

test('check: throws what the transaction would, and changes nothing either way', () => {
  nft.check([addTable(TABLE), chain(NAME)]);
  expect(() => nft.check([deleteChain(TABLE, 'nothere')])).toThrow(
    expect.objectContaining({ code: 'ENOENT' }),
  );
  expect(ruleset()).toBe('');
  nft.check([]);
  nft.transaction([]);
});

test('deleteEmptyTable: with a chain -> EBUSY; the chain deleted in the same transaction -> gone', () => {
  nft.transaction([addTable(TABLE), chain(NAME)]);
  expect(() => nft.transaction([deleteEmptyTable(TABLE)])).toThrow(
    expect.objectContaining({ code: 'EBUSY' }),
  );
  expect(ping()).toEqual([]);
  nft.transaction([deleteChain(TABLE, NAME), deleteEmptyTable(TABLE)]);
  expect(ruleset()).toBe('');
});

test('a chain deleted and made again in one transaction: bound anew', () => {
  scene.route.createVeth('other', 'peer');
  const misbound = addIngressChain({
    table: TABLE,
    name: NAME,
    device: 'other',
    priority: -300,
    policy: 'drop',
  });
  nft.transaction([addTable(TABLE), misbound]);
  expect(ping()).toHaveLength(1);
  nft.transaction([deleteChain(TABLE, NAME), chain(NAME)]);
  expect(ping()).toEqual([]);
});

test('a device`s name is exact: a chain for a shorter name does not hold the longer', () => {
  scene.route.createVeth('fc-vm', 'peer');
  nft.transaction([addTable(TABLE), chain('fc-vm')]);
  expect(ping()).toHaveLength(1);
});

test('the interface is deleted and made again: the chain is gone or unbound (to 6.15) or holds the new one (6.16)', () => {
  nft.transaction([addTable(TABLE), chain(NAME)]);
  scene.route.deleteLink(indexOf(scene.route, NAME));
  const left = nft.chain(TABLE, NAME)?.devices ?? [];
  joinGuest(scene, NAME);
  expect(nft.chain(TABLE, NAME)?.devices ?? []).toEqual(left);
  expect(ping()).toHaveLength(left.length === 0 ? 1 : 0);
});

function guestRoute() {
  return inNamespace(scene.guest.path, () => new RouteSocket());
}
