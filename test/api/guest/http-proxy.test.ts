import { type EventEmitter, once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type RequestListener } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  type Answer,
  ask,
  bodyOf,
  failed,
  problemIn,
  type Stage,
  serve,
  serveTcp,
  stage,
} from './fixtures.ts';

/** Closed, with an error or without. */
function closed(emitter: EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    emitter.once('close', resolve);
  });
}

const BASE = '/v1/vms/vm1/http/6080';

async function withService(listener: RequestListener): Promise<Stage> {
  const it = await stage();
  await serve(it.plane, 6080, createServer(listener));
  return it;
}

/** The headers the guest gets to see, by the service that tells them. */
async function seenByGuest(headers: Record<string, string>): Promise<IncomingMessage['headers']> {
  const { port } = await withService((request, response) => response.end(JSON.stringify(request.headers)));
  const answer = await ask(port, `${BASE}/`, { headers });
  return JSON.parse(answer.body.toString());
}

async function answeredWith(headers: Record<string, string | string[]>): Promise<Answer> {
  const { port } = await withService((_request, response) => response.writeHead(302, headers).end());
  return ask(port, `${BASE}/a/b`, { headers: { host: 'vm1.test:81' } });
}

describe('a request', () => {
  test('GET -> the guest sees path and query without the prefix', async () => {
    const { port } = await withService((request, response) => response.end(request.url));
    const answer = await ask(port, `${BASE}/vnc%2Flite.html?a=1&b=%20`);
    expect([answer.status, answer.body.toString()]).toEqual([200, '/vnc%2Flite.html?a=1&b=%20']);
  });

  test('over a stream that is no socket -> the same', async () => {
    const it = await withService((request, response) => response.end(request.url));
    it.plane.bareStreams = true;
    for (const path of ['/1', '/2', '/3']) {
      expect((await ask(it.port, BASE + path)).body.toString()).toBe(path);
    }
    expect(it.plane.dials.length).toBe(1);
  });

  test('without the slash after the port -> sent there', async () => {
    const { port } = await stage();
    const answer = await ask(port, `${BASE}?x=1`);
    expect([answer.status, answer.headers.location]).toEqual([308, `${BASE}/?x=1`]);
  });

  test('POST with a length, and in chunks -> the guest gets the body', async () => {
    const { port } = await withService(async (request, response) => {
      response.end(`${request.headers['content-length']} ${await bodyOf(request)}`);
    });
    const whole = await ask(port, `${BASE}/`, { method: 'POST', headers: { 'content-length': 5 } }, 'hello');
    expect(whole.body.toString()).toBe('5 hello');
    const chunked = { method: 'PUT', headers: { 'transfer-encoding': 'chunked' } };
    expect((await ask(port, `${BASE}/`, chunked, 'hello')).body.toString()).toMatch(/ hello$/);
  });

  test('HEAD, 204 and 304 -> status and headers, no body, no hang', async () => {
    const { port } = await withService((request, response) => {
      const status = Number(request.url?.slice(1));
      response.writeHead(status, { etag: '"e"', ...(status === 200 && { 'content-length': 5 }) });
      response.end(status === 200 ? 'hello' : undefined);
    });
    const head = await ask(port, `${BASE}/200`, { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '5', 0]);
    for (const status of [204, 304]) {
      const answer = await ask(port, `${BASE}/${status}`);
      expect([answer.status, answer.headers.etag, answer.body.length]).toEqual([status, '"e"', 0]);
    }
  });

  test('dot segments, a port that is none, a bad escape -> 400, nothing dialled', async () => {
    const { port, plane } = await stage();
    const bad = [`${BASE}/../../x`, `${BASE}/%2e%2E/x`, `${BASE}/a/..`, `${BASE}/..\\x`];
    bad.push('/v1/vms/vm1/http/0/', '/v1/vms/vm1/http/65536/', '/v1/vms/vm1/http/x/', '/v1/vms/%ff/http/80/');
    for (const path of bad) {
      const answer = await ask(port, path);
      expect([path, answer.status, problemIn(answer).code]).toEqual([path, 400, 'BAD_REQUEST']);
    }
    expect(plane.dials).toEqual([]);
  });

  test('x-tapswitch-wait -> handed to the dial; nonsense -> 400', async () => {
    const { port, plane } = await withService((_request, response) => response.end());
    await ask(port, `${BASE}/`, { headers: { 'x-tapswitch-wait': '7' } });
    expect(plane.dials[0]?.options?.waitMs).toBe(7000);
    const answer = await ask(port, `${BASE}/`, { headers: { 'x-tapswitch-wait': 'long' } });
    expect(answer.status).toBe(400);
  });
});

describe('headers', () => {
  test('Authorization, the link, what is for us or one hop -> the guest sees none', async () => {
    const seen = await seenByGuest({
      authorization: 'Bearer secret',
      cookie: 'theme=dark; tapswitch-link=secret; tapswitch-link-80=secret; a=b',
      'proxy-authorization': 'secret',
      connection: 'x-secret',
      'x-secret': 'secret',
      'x-tapswitch-wait': '1',
      te: 'trailers',
      referer: 'http://vm1.test/?tapswitch-link=secret',
      'x-forwarded-for': '6.6.6.6',
      'x-kept': 'yes',
    });
    expect(JSON.stringify(seen)).not.toContain('secret');
    expect(JSON.stringify(seen)).not.toContain('6.6.6.6');
    expect([seen.cookie, seen['x-kept'], seen.te]).toEqual(['theme=dark; a=b', 'yes', undefined]);
  });

  test('the link its only cookie -> no Cookie at all', async () => {
    expect((await seenByGuest({ cookie: 'tapswitch-link=secret' })).cookie).toBeUndefined();
  });

  test('where it comes from -> told, as is the prefix', async () => {
    const seen = await seenByGuest({ host: 'vm1.test:81' });
    expect(seen).toMatchObject({
      host: 'vm1.test:81',
      forwarded: 'for=127.0.0.1;host="vm1.test:81";proto=http',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-host': 'vm1.test:81',
      'x-forwarded-proto': 'http',
      'x-forwarded-prefix': BASE,
    });
  });

  test.each([
    ['/x?y', `${BASE}/x?y`],
    ['http://vm1.test:81/x', `${BASE}/x`],
    ['http://vm1.test:81', `${BASE}/`],
    [`${BASE}/x`, `${BASE}/x`],
    ['x', 'x'],
    ['//other.test/x', '//other.test/x'],
    ['http://other.test/x', 'http://other.test/x'],
  ])('Location: %s -> %s', async (location, mapped) => {
    expect((await answeredWith({ location })).headers.location).toBe(mapped);
  });

  test('Set-Cookie -> Path below the prefix, no Domain, never the link', async () => {
    const cookies = [
      'a=1; Path=/',
      'b=2; path=/x; Domain=test; HttpOnly',
      'c=3',
      'tapswitch-link=evil; Path=/',
    ];
    const { headers } = await answeredWith({ 'set-cookie': cookies });
    expect(headers['set-cookie']).toEqual([`a=1; Path=${BASE}/`, `b=2; Path=${BASE}/x; HttpOnly`, 'c=3']);
  });

  test("a guest's answer -> no security headers of ours", async () => {
    const { headers } = await answeredWith({ 'x-frame-options': 'DENY' });
    expect(headers['x-content-type-options']).toBeUndefined();
    expect(headers['content-security-policy']).toBeUndefined();
    expect(headers['x-frame-options']).toBe('DENY');
  });
});

describe('streams', () => {
  const MB = 1024 * 1024;

  test('50 MB to a reader that stops -> the guest is held back; all arrives once it goes on', async () => {
    let sent = 0;
    const { port } = await withService(async (_request, response) => {
      const chunk = Buffer.alloc(MB, 7);
      for (let count = 0; count < 50; count++) {
        sent += MB;
        if (!response.write(chunk)) await once(response, 'drain');
      }
      response.end();
    });
    const request = httpRequest({ host: '127.0.0.1', port, path: `${BASE}/`, agent: false }).end();
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    await sleep(500);
    expect(sent).toBeLessThan(30 * MB); // what the kernel's buffers take on two connections
    let received = 0;
    for await (const chunk of answer) received += (chunk as Buffer).length;
    expect(received).toBe(50 * MB);
  });

  test('upload of 50 MB -> arrives whole', async () => {
    const { port } = await withService(async (request, response) => {
      let received = 0;
      for await (const chunk of request) received += (chunk as Buffer).length;
      response.end(String(received));
    });
    const answer = await ask(port, `${BASE}/`, { method: 'POST' }, Buffer.alloc(50 * MB));
    expect(answer.body.toString()).toBe(String(50 * MB));
  });

  test('an event stream -> each part at once', async () => {
    let more: (text: string) => void = () => {};
    const { port } = await withService((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      more = (text) => void response.write(text);
    });
    const request = httpRequest({ host: '127.0.0.1', port, path: `${BASE}/`, agent: false }).end();
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    for (const text of ['one', 'two']) {
      more(text);
      expect(String((await once(answer, 'data'))[0])).toBe(text);
    }
    request.destroy();
  });

  test('slow guest -> waited for', async () => {
    const { port } = await withService((_request, response) => {
      setTimeout(() => response.end('late'), 300);
    });
    expect((await ask(port, `${BASE}/`)).body.toString()).toBe('late');
  });

  test('guest dies in the middle of its answer -> the connection breaks, no hang', async () => {
    const { port } = await withService((_request, response) => {
      response.writeHead(200, { 'content-length': 1000 });
      response.write('half');
      setTimeout(() => response.socket?.destroy(), 50);
    });
    await expect(ask(port, `${BASE}/`)).rejects.toThrow('aborted');
  });

  test('browser dies in the middle of its upload -> so does the connection into the VM', async () => {
    let begun = () => {};
    const halfway = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const it = await withService((request) => request.on('data', begun).on('error', () => {}));
    const headers = { 'content-length': 1000 };
    const options = {
      host: '127.0.0.1',
      port: it.port,
      path: `${BASE}/`,
      agent: false,
      method: 'POST',
      headers,
    };
    const upload = httpRequest(options);
    upload.on('error', () => {}).write('half');
    await halfway;
    upload.destroy();
    while (it.plane.sockets.size > 0) await sleep(5);
  });

  test('an answer before the upload has ended -> passed on', async () => {
    const { port } = await withService((_request, response) => response.writeHead(413).end('too much'));
    const answer = await ask(port, `${BASE}/`, { method: 'POST' }, Buffer.alloc(20 * MB));
    expect([answer.status, answer.body.toString()]).toEqual([413, 'too much']);
  });

  test('browser goes before the answer -> so does the connection into the VM', async () => {
    let gone: Promise<unknown> | undefined;
    const it = await withService((request) => {
      gone = closed(request.socket);
      pending.destroy();
    });
    const pending = httpRequest({ host: '127.0.0.1', port: it.port, path: `${BASE}/`, agent: false });
    pending.on('error', () => {}).end();
    await closed(pending);
    await gone;
    while (it.plane.sockets.size > 0) await sleep(5);
  });
});

describe('failures', () => {
  test.each([
    ['VM_UNKNOWN', undefined, 404, 'vm'],
    ['TAP_DOWN', undefined, 502, 'tap'],
    ['GUEST_SILENT', undefined, 502, 'guest'],
    ['PORT_REFUSED', undefined, 502, 'port'],
    ['VM_NOT_READY', 'TAP_DOWN', 504, 'tap'],
    ['VM_NOT_READY', 'GUEST_SILENT', 504, 'guest'],
    ['VM_NOT_READY', 'PORT_REFUSED', 504, 'port'],
    ['FLOW_LIMIT', undefined, 503, undefined],
    ['SWITCH_CLOSED', undefined, 503, undefined],
  ] as const)('%s (%s) -> %i, hop %s', async (code, cause, status, hop) => {
    const { port, plane } = await stage();
    plane.failures.set(6080, failed(code, cause));
    for (const body of [undefined, Buffer.alloc(1_000_000)]) {
      const answer = await ask(port, `${BASE}/`, { method: body ? 'POST' : 'GET' }, body);
      expect(answer.status).toBe(status);
      expect(answer.headers['content-type']).toBe('application/problem+json');
      expect(answer.headers['x-content-type-options']).toBe('nosniff');
      const problem = problemIn(answer);
      expect(problem).toMatchObject({ type: 'about:blank', status, code, detail: `it was ${code}` });
      expect(problem.hop).toBe(hop);
    }
  });

  test.each([
    ['closes at once', (): string | undefined => undefined],
    ['does not speak HTTP', () => 'RFB 003.008\n'],
  ])('a service that %s -> 502 SERVICE_FAILED', async (_name, greeting) => {
    const { port, plane } = await stage();
    await serveTcp(plane, 6080, (socket) => {
      const text = greeting();
      if (text === undefined) socket.destroy();
      else socket.write(text);
    });
    for (const method of ['GET', 'POST']) {
      const answer = await ask(port, `${BASE}/`, { method }, method === 'POST' ? 'x' : undefined);
      expect([answer.status, problemIn(answer).code, problemIn(answer).hop]).toEqual([
        502,
        'SERVICE_FAILED',
        'port',
      ]);
    }
  });
});

describe('connections', () => {
  test('an idle one the guest has closed meanwhile -> a new one, no failure', async () => {
    const it = await withService((_request, response) => response.end('ok'));
    expect((await ask(it.port, `${BASE}/`)).status).toBe(200);
    for (const socket of it.plane.sockets) socket.resetAndDestroy();
    expect((await ask(it.port, `${BASE}/`)).status).toBe(200);
    expect(it.plane.dials.length).toBe(2);
  });

  test('the VM goes -> idle ones end', async () => {
    const it = await withService((_request, response) => response.end('ok'));
    await ask(it.port, `${BASE}/`);
    expect(it.plane.sockets.size).toBe(1);
    const ended = [...it.plane.sockets].map(closed);
    it.plane.say({ type: 'vm-removed', vm: 'vm1' });
    await Promise.all(ended);
  });
});
