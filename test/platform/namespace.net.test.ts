/** What is taken for granted of network namespaces and of rtnetlink's news of them. */
import { statSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { EPOLLET, EPOLLIN, Epoll, openEpoll } from '../../src/sys/epoll.ts';
import { close } from '../../src/sys/libc.ts';
import { createNamespace, inNamespace } from '../../src/sys/netns.ts';
import { LinkMonitor, RouteSocket } from '../../src/sys/rtnetlink.ts';
import { createPersistentTap, openPersistentTap } from '../../src/sys/tun.ts';

const closers: (() => void)[] = [];

afterEach(() => {
  for (const end of closers.splice(0)) end();
});

function namespace() {
  const made = createNamespace();
  closers.push(() => made.close());
  return made.path;
}

test('socket and TAP opened in a namespace: thread back home -> they still belong there', () => {
  const path = namespace();
  const home = statSync('/proc/thread-self/ns/net').ino;
  const routes = inNamespace(path, () => new RouteSocket());
  const fd = inNamespace(path, () => openPersistentTap('inside'));
  closers.push(() => close(fd));
  expect(statSync('/proc/thread-self/ns/net').ino).toBe(home);
  expect(routes.linkByName('inside')).toMatchObject({ carrier: true });
  expect(withRoutes(undefined, (own) => own.linkByName('inside'))).toBeUndefined();
  routes.close();
});

test('namespace: its last descriptor is closed -> gone, with a veth`s other end elsewhere', async () => {
  const here = namespace();
  const there = createNamespace();
  withRoutes(here, (routes) => routes.createVeth('near', 'far', there.path));
  there.close();
  await expect.poll(() => withRoutes(here, (routes) => routes.linkByName('near'))).toBeUndefined();
});

test('link monitor in an epoll, edge-triggered: -> ready once for each burst of news, also of news before it was added', () => {
  const path = namespace();
  const monitor = inNamespace(path, () => new LinkMonitor());
  const epoll = new Epoll(openEpoll(), 4);
  closers.push(
    () => monitor.close(),
    () => close(epoll.fd),
  );
  inNamespace(path, () => createPersistentTap('t1'));
  epoll.add(monitor.fd, EPOLLIN | EPOLLET, 7);
  expect(epoll.wait(1000)).toBe(1);
  expect(epoll.token(0)).toBe(7);
  expect(epoll.wait(0)).toBe(0);
  expect(monitor.read().map((event) => event.type)).toContain('new');
  withRoutes(path, (routes) => routes.deleteLink(indexOf(routes, 't1')));
  expect(epoll.wait(1000)).toBe(1);
  expect(monitor.read().at(-1)).toMatchObject({ type: 'removed', link: { name: 't1' } });
});
