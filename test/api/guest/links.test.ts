import { createHmac } from 'node:crypto';
import fastify from 'fastify';
import { describe, expect, test } from 'vitest';
import { guestProblem, invalid } from '../../../src/api/guest/failure.ts';
import { linkRoutes, makeLink } from '../../../src/api/guest/link-routes.ts';
import { covers, type Grant, Links } from '../../../src/api/guest/links.ts';
import type { LinkRequest } from '../../../src/resources/resources.ts';
import { FakePlane } from './fixtures.ts';

const NOW = 1_800_000_000;
const GRANT: Grant = { vm: 'vm1', ports: [6080], expires: NOW + 60 };

function clocked(): { links: Links; pass: (seconds: number) => void } {
  let now = NOW;
  const links = new Links({ now: () => now * 1000 });
  return { links, pass: (seconds) => (now += seconds) };
}

describe('a token', () => {
  test('signed -> grants what was signed, until it expires', () => {
    const { links, pass } = clocked();
    const token = links.sign(GRANT);
    expect(links.verify(token)).toEqual(GRANT);
    pass(59);
    expect(links.verify(token)).toEqual(GRANT);
    pass(1);
    expect(links.verify(token)).toBeUndefined();
  });

  test('any character changed, cut or added -> nothing', () => {
    const { links } = clocked();
    const token = links.sign(GRANT);
    for (let at = 0; at < token.length - 1; at++) {
      const other = token[at] === 'A' ? 'B' : 'A';
      expect(links.verify(token.slice(0, at) + other + token.slice(at + 1))).toBeUndefined();
      expect(links.verify(token.slice(0, at))).toBeUndefined();
    }
  });

  test('another body with that signature, none at all, much too long -> nothing', () => {
    const { links } = clocked();
    const [, signature] = links.sign(GRANT).split('.');
    const body = Buffer.from(JSON.stringify({ ...GRANT, vm: 'vm2' })).toString('base64url');
    for (const token of ['', '.', 'a.b', `${body}.${signature}`, `${body}.`, 'x'.repeat(1e6)]) {
      expect(links.verify(token)).toBeUndefined();
    }
  });

  test('a signature of the same key for another purpose -> nothing', () => {
    const key = Buffer.alloc(32, 7);
    const body = Buffer.from(JSON.stringify(GRANT)).toString('base64url');
    const bare = createHmac('sha256', key).update(body).digest('base64url');
    expect(new Links({ key, now: () => NOW * 1000 }).verify(`${body}.${bare}`)).toBeUndefined();
  });

  test('the same key -> holds in another process; another key -> not; a short one -> refused', () => {
    const options = { key: Buffer.alloc(32, 7), now: () => NOW * 1000 };
    const token = new Links(options).sign(GRANT);
    expect(new Links(options).verify(token)).toEqual(GRANT);
    expect(new Links({ now: options.now }).verify(token)).toBeUndefined();
    expect(() => new Links({ key: Buffer.alloc(8) })).toThrow('too short');
  });

  test('covers its VM and ports, all ports where it has none', () => {
    expect(covers(GRANT, 'vm1', 6080)).toBe(true);
    expect(covers(GRANT, 'vm1', 8080)).toBe(false);
    expect(covers(GRANT, 'vm2', 6080)).toBe(false);
    expect(covers({ vm: 'vm1', expires: 1 }, 'vm1', 8080)).toBe(true);
  });
});

describe('POST links', () => {
  const originOf = (id: string) => `http://${id}.vms.test:81`;

  function made(request: LinkRequest): { url: URL; expires: string; grant: Grant | undefined } {
    const { links } = clocked();
    const { url, expires } = makeLink('vm1', request, { plane: new FakePlane().plane, links, originOf });
    const parsed = new URL(url);
    return { url: parsed, expires, grant: links.verify(parsed.searchParams.get('tapswitch-link') as string) };
  }

  test('port, path and time -> in the address and the grant', () => {
    const { url, expires, grant } = made({ port: 6080, path: '/vnc.html?autoconnect=1', expiresIn: 60 });
    expect(url.href).toMatch(
      /^http:\/\/vm1\.vms\.test:81\/v1\/vms\/vm1\/http\/6080\/vnc\.html\?autoconnect=1&tapswitch-link=/,
    );
    expect([expires, grant]).toEqual(['2027-01-15T08:01:00.000Z', GRANT]);
  });

  test('nothing -> the VM, an hour, all ports', () => {
    const { url, grant } = made({});
    expect(url.pathname).toBe('/v1/vms/vm1/');
    expect(grant).toEqual({ vm: 'vm1', expires: NOW + 3600 });
  });

  test.each([
    [{ port: 1, path: 'x' }, 'BAD_REQUEST'],
    [{ port: 1, path: '/a b' }, 'BAD_REQUEST'],
    [{ port: 1, path: '/a#b' }, 'BAD_REQUEST'],
    [{ port: 1, path: '/\r\nx: y' }, 'BAD_REQUEST'],
    [{ path: '/' }, 'BAD_REQUEST'],
  ])('%o -> %s', (request, code) => {
    expect(() => made(request)).toThrow(expect.objectContaining({ code }));
  });

  test('no such VM, no guest access -> refused', () => {
    const options = { plane: new FakePlane().plane, links: new Links() };
    const code = (wanted: string) => expect.objectContaining({ code: wanted });
    expect(() => makeLink('gone', {}, { ...options, originOf })).toThrow(code('VM_UNKNOWN'));
    expect(() => makeLink('vm1', {}, options)).toThrow(code('GUEST_ACCESS_OFF'));
  });

  test('the route -> 201, not to be kept; a body that is wrong -> 400', async () => {
    const app = fastify();
    app.setErrorHandler((error, _request, reply) => {
      const problem = guestProblem(invalid(String(error), ''));
      return reply.code(problem.status).send(problem);
    });
    linkRoutes(app, { plane: new FakePlane().plane, links: new Links(), originOf });
    const post = (payload: object) => app.inject({ method: 'POST', url: '/v1/vms/vm1/links', payload });
    const answer = await post({ port: 6080 });
    expect([answer.statusCode, answer.headers['cache-control']]).toEqual([201, 'no-store']);
    expect(Object.keys(answer.json())).toEqual(['url', 'expires']);
    for (const wrong of [{ port: 0 }, { port: 'x' }, { expiresIn: 86_401 }, { expiresIn: 0 }]) {
      expect((await post(wrong)).statusCode).toBe(400);
    }
  });
});
