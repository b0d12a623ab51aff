import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createNamespace, inNamespace, type Namespace } from '../../src/sys/netns.ts';
import { LinkMonitor, RouteSocket } from '../../src/sys/rtnetlink.ts';

let space: Namespace;
let route: RouteSocket;
const closers: (() => void)[] = [];

beforeEach(() => {
  space = createNamespace();
  route = inNamespace(space.path, () => new RouteSocket());
});

afterEach(() => {
  for (const close of closers.splice(0)) close();
  route.close();
  space.close();
});

/** What iproute2, an independent reader, says of the namespace */
function ip(...words: string[]) {
  return JSON.parse(
    execFileSync('nsenter', [`--net=${space.path}`, 'ip', '-j', '-d', ...words], { encoding: 'utf8' }),
  );
}

function monitor(): LinkMonitor {
  const made = inNamespace(space.path, () => new LinkMonitor());
  closers.push(() => made.close());
  return made;
}

function indexOf(name: string): number {
  const link = route.linkByName(name);
  if (link === undefined) throw new Error(`no link ${name}`);
  return link.index;
}

test('empty namespace: links -> the loopback alone, down', () => {
  expect(route.links().map(({ name, up, arpHardwareType }) => ({ name, up, arpHardwareType }))).toEqual([
    { name: 'lo', up: false, arpHardwareType: 772 },
  ]);
  expect(route.linkByName('nothere')).toBeUndefined();
  expect(route.linkByName('a name longer than the kernel takes')).toBeUndefined();
  expect(route.linkByName('')).toBeUndefined();
  expect(route.linkByIndex(4711)).toBeUndefined();
  expect(route.linkByIndex(0)).toBeUndefined();
});

test('createVeth: both ends appear and know each other', () => {
  route.createVeth('left', 'right');
  const left = route.linkByName('left');
  const right = route.linkByName('right');
  expect(left).toMatchObject({ kind: 'veth', arpHardwareType: 1, up: false, carrier: false, master: 0 });
  expect(left?.peerIndex).toBe(right?.index);
  expect(right?.peerIndex).toBe(left?.index);
  expect(left?.mac).toBe(ip('link', 'show', 'left')[0].address);
});

test('createVeth: the peer in another namespace -> it is there and not here', () => {
  const other = createNamespace();
  closers.push(() => other.close());
  route.createVeth('left', 'right', other.path);
  expect(route.linkByName('right')).toBeUndefined();
  const there = inNamespace(other.path, () => new RouteSocket());
  expect(there.linkByName('right')?.kind).toBe('veth');
  there.close();
});

test('createVeth: the name is taken -> EEXIST with the operation in the message', () => {
  route.createVeth('left', 'right');
  expect(() => route.createVeth('left', 'more')).toThrow(
    expect.objectContaining({ code: 'EEXIST', message: expect.stringContaining('create veth left') }),
  );
});

test('a refusal: the message carries the kernel`s own words', () => {
  route.createVeth('left', 'right');
  expect(() => route.changeLink(indexOf('left'), { mtu: 1 })).toThrow(
    /change link \d+: EINVAL \(mtu less than device minimum\)/,
  );
});

test('createBridge: options reach the bridge', () => {
  route.createBridge('br0', { stp: true });
  expect(route.linkByName('br0')?.kind).toBe('bridge');
  const [{ linkinfo }] = ip('link', 'show', 'br0');
  expect(linkinfo.info_data).toMatchObject({ stp_state: 1 });
});

test('createBridge: VLAN filtering -> on, or EOPNOTSUPP from a kernel built without it', () => {
  let refusal: unknown;
  try {
    route.createBridge('br0', { vlanFiltering: true, defaultPvid: 7 });
  } catch (error) {
    refusal = error;
  }
  if (refusal !== undefined) expect(refusal).toMatchObject({ code: 'EOPNOTSUPP' });
  else {
    const [{ linkinfo }] = ip('link', 'show', 'br0');
    expect(linkinfo.info_data).toMatchObject({ vlan_filtering: 1, vlan_default_pvid: 7 });
  }
});

test('changeLink: every property at once -> as iproute2 reads it, and master 0 releases', () => {
  route.createVeth('left', 'right');
  route.createBridge('br0');
  const index = indexOf('left');
  const mac = '02:00:00:00:00:2a';
  route.changeLink(index, {
    up: true,
    mtu: 9000,
    mac,
    txQueueLength: 4321,
    arp: false,
    master: indexOf('br0'),
    addrGenMode: 'none',
  });
  const [seen] = ip('link', 'show', 'left');
  expect(seen).toMatchObject({
    mtu: 9000,
    address: mac,
    txqlen: 4321,
    master: 'br0',
    inet6_addr_gen_mode: 'none',
  });
  expect(seen.flags).toEqual(expect.arrayContaining(['UP', 'NOARP']));
  expect(route.linkByIndex(index)).toMatchObject({ up: true, mtu: 9000, mac, txQueueLength: 4321 });
  expect(route.linkByIndex(index)?.master).toBe(indexOf('br0'));

  route.changeLink(index, { master: 0, arp: true, up: false });
  expect(route.linkByIndex(index)).toMatchObject({ up: false, master: 0, mtu: 9000 });
  expect(ip('link', 'show', 'left')[0].flags).not.toContain('NOARP');
});

test('addrGenMode none, then up with carrier: no link-local address forms; without it one does', async () => {
  route.createVeth('quiet', 'right');
  route.changeLink(indexOf('quiet'), { addrGenMode: 'none', up: true });
  route.changeLink(indexOf('right'), { up: true });
  const linkLocal = (name: string) =>
    route.addresses().filter(({ index, address }) => index === indexOf(name) && address.startsWith('fe80:'));
  expect(route.linkByName('quiet')?.carrier).toBe(true);
  await expect.poll(() => linkLocal('right').length).toBe(1); // the kernel forms it a moment later
  expect(linkLocal('quiet')).toEqual([]);
});

test('changeLink: another namespace -> the link is there and gone here', () => {
  const other = createNamespace();
  closers.push(() => other.close());
  route.createVeth('left', 'right');
  route.changeLink(indexOf('right'), { namespacePath: other.path, up: true });
  expect(route.linkByName('right')).toBeUndefined();
  const there = inNamespace(other.path, () => new RouteSocket());
  expect(there.linkByName('right')?.up).toBe(true);
  there.close();
});

test('changeLink: nothing to change, or no such link -> nothing, or ENODEV', () => {
  route.createVeth('left', 'right');
  route.changeLink(indexOf('left'), {});
  expect(() => route.changeLink(4711, { up: true })).toThrow(expect.objectContaining({ code: 'ENODEV' }));
  expect(() => route.changeLink(indexOf('left'), { mac: '02:00:00:00:00' })).toThrow(RangeError);
});

test('deleteLink: one end of a veth -> both are gone', () => {
  route.createVeth('left', 'right');
  route.deleteLink(indexOf('left'));
  expect(route.links().map(({ name }) => name)).toEqual(['lo']);
  expect(() => route.deleteLink(4711)).toThrow(expect.objectContaining({ code: 'ENODEV' }));
});

test('addresses: added twice, listed once, removed twice', () => {
  route.createVeth('left', 'right');
  const index = indexOf('left');
  for (const address of ['10.1.2.3/24', '10.1.2.3/24', 'fd00::1:0/64', 'fd00::1:0/64']) {
    route.addAddress(index, address);
  }
  expect(route.addresses()).toEqual([
    { index, family: 4, address: '10.1.2.3', prefix: 24 },
    { index, family: 6, address: 'fd00::1:0', prefix: 64 },
  ]);
  const flags = ip('addr', 'show', 'left')[0].addr_info.find(
    ({ family }: { family: string }) => family === 'inet6',
  );
  expect(flags).toMatchObject({ nodad: true });
  for (const address of ['10.1.2.3/24', '10.1.2.3/24', 'fd00::1:0/64', 'fd00::1:0/64']) {
    route.removeAddress(index, address);
  }
  expect(route.addresses()).toEqual([]);
  for (const wrong of ['10.1.2.3', '10.1.2.3/33', 'fe80::1%left/64', 'x/1']) {
    expect(() => route.addAddress(index, wrong)).toThrow(RangeError);
  }
});

test('addRoute: by gateway, by interface, default -> in the main table; taken -> EEXIST', () => {
  route.createVeth('left', 'right');
  const index = indexOf('left');
  route.changeLink(index, { up: true });
  route.addAddress(index, '10.1.2.3/24');
  route.addRoute({ destination: 'default', gateway: '10.1.2.9' });
  route.addRoute({ destination: '10.9.0.0/16', index });
  route.addRoute({ destination: 'fd01::/64', index });
  const routes = ip('route', 'show').map(
    ({ dst, gateway, dev, scope, protocol }: Record<string, string>) => ({
      dst,
      gateway,
      dev,
      scope,
      protocol,
    }),
  );
  expect(routes).toContainEqual({
    dst: 'default',
    gateway: '10.1.2.9',
    dev: 'left',
    scope: 'global',
    protocol: 'static',
  });
  expect(routes).toContainEqual({
    dst: '10.9.0.0/16',
    gateway: undefined,
    dev: 'left',
    scope: 'link',
    protocol: 'static',
  });
  expect(ip('-6', 'route', 'show').map(({ dst }: { dst: string }) => dst)).toContain('fd01::/64');
  expect(() => route.addRoute({ destination: '10.9.0.0/16', index })).toThrow(
    expect.objectContaining({ code: 'EEXIST' }),
  );
});

test('LinkMonitor: a link made, changed and deleted -> new, new, removed; a bridge role alone is no removal', () => {
  const news = monitor();
  expect(news.read()).toEqual([]);
  route.createVeth('left', 'right');
  route.createBridge('br0');
  const index = indexOf('left');
  expect(news.read()).toContainEqual({ type: 'new', link: expect.objectContaining({ index, name: 'left' }) });

  route.changeLink(index, { master: indexOf('br0') });
  route.changeLink(index, { master: 0 });
  expect(news.read().map(({ type }) => type)).not.toContain('removed');

  route.deleteLink(index);
  const removed = news.read().filter(({ type }) => type === 'removed');
  expect(removed.map((event) => 'link' in event && event.link.name).sort()).toEqual(['left', 'right']);
  expect(news.read()).toEqual([]);
});

test('LinkMonitor: a link moved to another namespace -> removed', () => {
  const other = createNamespace();
  closers.push(() => other.close());
  route.createVeth('left', 'right');
  const news = monitor();
  route.changeLink(indexOf('right'), { namespacePath: other.path });
  expect(news.read()).toContainEqual({ type: 'removed', link: expect.objectContaining({ name: 'right' }) });
});

test('LinkMonitor: more news than its queue holds -> overrun, and news go on afterwards', () => {
  const news = monitor();
  route.createVeth('left', 'right');
  const index = indexOf('left');
  for (let i = 0; i < 4000; i++) route.changeLink(index, { txQueueLength: 100 + i });
  expect(news.read()).toContainEqual({ type: 'overrun' });
  expect(news.read()).toEqual([]);
  route.deleteLink(index);
  expect(news.read().map(({ type }) => type)).toContain('removed');
});

test('300 links: the dump is complete though it needs many parts', () => {
  for (let i = 0; i < 150; i++) route.createVeth(`l${i}`, `r${i}`);
  const names = new Set(route.links().map(({ name }) => name));
  expect(names.size).toBe(301);
  expect(names.has('r149')).toBe(true);
});
