import { once } from 'node:events';
import { createServer } from 'node:http';
import pino from 'pino';
import { describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { hostOf } from '../../../src/api/guest/host-name.ts';
import { makeLink } from '../../../src/api/guest/link-routes.ts';
import { Links } from '../../../src/api/guest/links.ts';
import { type GuestAccess, startGuestAccess } from '../../../src/api/guest/listener.ts';
import { ask, atEnd, browser, closeOf, FakePlane, problemIn, refusal, serve } from './fixtures.ts';

const TOKEN = 'Bearer api-token';

interface Door {
  readonly access: GuestAccess;
  readonly plane: FakePlane;
  readonly links: Links;
  readonly port: number;
  /** Every line of the log, whatever its level */
  readonly logged: string[];
}

/** The guest access with a service of HTTP and WebSockets behind it. */
async function door(): Promise<Door> {
  const plane = new FakePlane();
  const service = createServer((request, response) =>
    response.end(`${request.url} ${request.headers.cookie}`),
  );
  new WebSocketServer({ server: service }).on('connection', (socket) => {
    socket.on('error', () => {});
    socket.on('message', (data) => socket.send(data));
  });
  await serve(plane, 6080, service);
  const links = new Links();
  const logged: string[] = [];
  const access = await startGuestAccess({
    plane: plane.plane,
    config: { listen: { host: '127.0.0.1', port: 0 }, domain: 'VMs.test' },
    isBearer: ({ headers }) => headers.authorization === TOKEN,
    log: pino({ level: 'trace' }, { write: (line: string) => logged.push(line) }),
    links,
  });
  atEnd(() => access.close());
  return { access, plane, links, port: access.address.port, logged };
}

const PATH = '/v1/vms/vm1/http/6080/';

function host({ port }: Door, id = 'vm1'): string {
  return `${hostOf(id, 'vms.test')}:${port}`;
}

/** A link's address as the browser opens it: path with query. */
function linkPath(it: Door, request: Parameters<typeof makeLink>[1]): string {
  const { url } = makeLink('vm1', request, {
    plane: it.plane.plane,
    links: it.links,
    originOf: it.access.originOf,
  });
  const { host: named, pathname, search } = new URL(url);
  expect(named).toBe(host(it));
  return pathname + search;
}

function cookieFor(it: Door, ports?: number[], expiresIn = 60): string {
  const expires = it.links.now() + expiresIn;
  return `tapswitch-link=${it.links.sign({ vm: 'vm1', expires, ...(ports && { ports }) })}`;
}

describe('hosts', () => {
  test('an id that is a label -> itself; any other -> a hash, never the same as an id', () => {
    expect(hostOf('vm-02018', 'VMs.test')).toBe('vm-02018.vms.test');
    const others = ['VM1', 'vm1', 'vm_1', 'vm.1', 'vm1-', 'x-1', 'a'.repeat(63), 'A'.repeat(63)];
    const hosts = others.map((id) => hostOf(id, 'vms.test'));
    expect(new Set(hosts).size).toBe(others.length);
    for (const name of hosts) expect(name).toMatch(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.vms\.test$/);
    expect(hostOf(hosts[0]?.split('.')[0] as string, 'vms.test')).not.toBe(hosts[0]);
  });

  test.each([
    ['vm1.vms.test', 200],
    ['VM1.VMS.test:80', 200],
    ['vm2.vms.test', 403],
    ['vms.test', 421],
    ['.vms.test', 421],
    ['a.vm1.vms.test', 421],
    ['vm1.vms.test.evil.test', 421],
    ['vm1.vms.test@evil.test', 421],
    ['127.0.0.1', 421],
    ['localhost', 421],
    ['', 421],
  ])('Host %s -> %i', async (name, status) => {
    const it = await door();
    const answer = await ask(it.port, PATH, { headers: { host: name, authorization: TOKEN } });
    expect(answer.status).toBe(status);
    if (status === 421) expect(problemIn(answer).code).toBe('HOST_REFUSED');
  });

  test('an id that is no label -> reached by its host', async () => {
    const it = await door();
    const headers = { host: host(it, 'VM_1'), authorization: TOKEN };
    expect((await ask(it.port, '/v1/vms/VM_1/http/6080/', { headers })).status).toBe(200);
  });

  test('a path that is none -> 404, whoever asks', async () => {
    const it = await door();
    for (const path of ['/', '/v1/vms', '/v1/vms/vm1', '/healthz', '/v1/vms/vm1/flows', `http://x${PATH}`]) {
      const answer = await ask(it.port, path, { headers: { host: host(it) } });
      expect([path, answer.status, problemIn(answer).code]).toEqual([path, 404, 'NOT_FOUND']);
    }
  });
});

describe('admission', () => {
  test('nothing -> 401; a token that is wrong -> 401; nothing dialled', async () => {
    const it = await door();
    for (const authorization of [undefined, 'Bearer wrong']) {
      const headers = { host: host(it), ...(authorization && { authorization }) };
      const answer = await ask(it.port, PATH, { headers });
      expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, 'Bearer']);
      expect(problemIn(answer).code).toBe('UNAUTHORIZED');
      expect((await refusal(browser(it.port, PATH, [], { headers }))).status).toBe(401);
    }
    expect(it.plane.dials).toEqual([]);
  });

  test('a link -> cookie and the address without it; the cookie -> page, subresource and upgrade', async () => {
    const it = await door();
    const first = await ask(it.port, linkPath(it, { port: 6080, path: '/vnc.html?a=1' }), {
      headers: { host: host(it) },
    });
    expect([first.status, first.headers.location]).toEqual([302, `${PATH}vnc.html?a=1`]);
    expect(first.headers['referrer-policy']).toBe('no-referrer');
    const [set] = first.headers['set-cookie'] as [string];
    const [cookie, ...attributes] = set.split('; ') as [string, ...string[]];
    expect(attributes).toEqual(['Path=/v1/vms/vm1/', 'Max-Age=3600', 'HttpOnly', 'SameSite=Lax']);

    const headers = { host: host(it), cookie: `theme=dark; ${cookie}` };
    const page = await ask(it.port, `${PATH}vnc.html?a=1`, { headers });
    expect(page.body.toString()).toBe('/vnc.html?a=1 theme=dark');
    const socket = browser(it.port, `${PATH}websockify`, [], { headers, origin: `http://${host(it)}` });
    await once(socket, 'open');
    socket.send('x');
    expect(String((await once(socket, 'message'))[0])).toBe('x');
  });

  test('a second link, for another port -> both hold', async () => {
    const it = await door();
    const names: string[] = [];
    for (const port of [6080, 8080]) {
      const { headers } = await ask(it.port, linkPath(it, { port }), { headers: { host: host(it) } });
      const [cookie] = headers['set-cookie'] as [string];
      names.push(cookie.split('=')[0] as string);
    }
    expect(names).toEqual(['tapswitch-link-6080', 'tapswitch-link-8080']);
  });

  test('a link without port -> a page that names the paths', async () => {
    const it = await door();
    const first = await ask(it.port, linkPath(it, {}), { headers: { host: host(it) } });
    expect([first.status, first.headers.location]).toEqual([302, '/v1/vms/vm1/']);
    const page = await ask(it.port, '/v1/vms/vm1/', { headers: { host: host(it), cookie: cookieFor(it) } });
    expect(page.body.toString()).toContain('/v1/vms/vm1/http/PORT/');
  });

  test('a link in the address of an upgrade -> lets it in', async () => {
    const it = await door();
    const socket = browser(it.port, linkPath(it, { port: 6080 }), [], { headers: { host: host(it) } });
    await once(socket, 'open');
  });

  test('a link of another VM, another port, expired, or changed -> 401', async () => {
    const it = await door();
    const other = it.links.sign({ vm: 'vm2', expires: it.links.now() + 60 });
    const bad = [
      `tapswitch-link=${other}`,
      cookieFor(it, [8080]),
      cookieFor(it, [6080], 0),
      `${cookieFor(it)}x`,
    ];
    for (const cookie of bad) {
      const headers = { host: host(it), cookie };
      expect((await ask(it.port, PATH, { headers })).status).toBe(401);
      expect((await ask(it.port, `${PATH}?${cookie}`, { headers: { host: host(it) } })).status).toBe(401);
      expect((await refusal(browser(it.port, PATH, [], { headers }))).status).toBe(401);
    }
  });

  test("a page's own cookie of that name beside the true one -> the true one counts", async () => {
    const it = await door();
    const cookie = `tapswitch-link=x; ${cookieFor(it)}`;
    expect((await ask(it.port, PATH, { headers: { host: host(it), cookie } })).status).toBe(200);
  });

  test.each([
    ['http://vm2.vms.test', 403],
    ['http://evil.test', 403],
    ['null', 403],
    ['file://', 403],
  ])('Origin %s -> %i, for requests and upgrades', async (origin, status) => {
    const it = await door();
    const headers = { host: host(it), cookie: cookieFor(it), origin };
    expect((await ask(it.port, PATH, { method: 'POST', headers })).status).toBe(status);
    expect((await refusal(browser(it.port, PATH, [], { headers }))).status).toBe(status);
  });

  test("another VM's page that loads from here -> 403; that leads here -> shown", async () => {
    const it = await door();
    const from = (mode: string) => ({
      host: host(it),
      cookie: cookieFor(it),
      'sec-fetch-site': 'same-site',
      'sec-fetch-mode': mode,
    });
    expect((await ask(it.port, PATH, { headers: from('no-cors') })).status).toBe(403);
    expect((await ask(it.port, PATH, { headers: from('navigate') })).status).toBe(200);
  });

  test('neither token nor link -> ever in the log', async () => {
    const it = await door();
    const path = linkPath(it, { port: 6080 });
    const token = path.split('tapswitch-link=')[1] as string;
    await ask(it.port, path, { headers: { host: host(it), authorization: TOKEN } });
    await ask(it.port, `${path}x`, { headers: { host: host(it) } });
    await ask(it.port, path, { headers: { host: 'evil.test', cookie: cookieFor(it) } });
    it.plane.dial = () => Promise.reject(new Error('a bug'));
    await ask(it.port, PATH, { headers: { host: host(it), cookie: `tapswitch-link=${token}` } });
    expect(it.logged.length).toBe(2); // that it listens, and the bug
    expect(it.logged.join()).not.toContain(token.slice(0, 20));
    expect(it.logged.join()).not.toContain('api-token');
  });
});

test('close -> 1001 to browsers, the port free again', async () => {
  const it = await door();
  const headers = { host: host(it), cookie: cookieFor(it) };
  const socket = browser(it.port, PATH, [], { headers });
  await once(socket, 'open');
  const closed = closeOf(socket);
  const done = it.access.close();
  expect((await closed).code).toBe(1001);
  await done;
  await expect(ask(it.port, PATH, { headers })).rejects.toThrow('ECONNREFUSED');
});

test('a port that is taken -> SYSTEM_CALL_FAILED that says where', async () => {
  const it = await door();
  const starting = startGuestAccess({
    plane: it.plane.plane,
    config: { listen: it.access.address, domain: 'vms.test' },
    isBearer: () => false,
    log: pino({ level: 'silent' }),
    links: it.links,
  });
  await expect(starting).rejects.toMatchObject({
    code: 'SYSTEM_CALL_FAILED',
    message: `guestAccess: cannot listen at 127.0.0.1:${it.port}: EADDRINUSE`,
  });
});
