/** Each path of the OpenAPI document by the methods it does not have. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Links } from '../../src/api/guest/links.ts';
import { type Stage, startStage } from './stage.ts';

const METHODS = ['DELETE', 'GET', 'PATCH', 'POST', 'PUT'];

let stage: Stage;

beforeAll(async () => {
  stage = await startStage({}, { links: { links: new Links() } });
});
afterAll(() => stage.close());

test('another method -> 405 with those it has, whatever the body, and nothing is done', async () => {
  const { json: document } = await stage.ask('GET', '/openapi.json');
  for (const [path, operations] of Object.entries(document.paths as Record<string, object>)) {
    const own = Object.keys(operations).map((method) => method.toUpperCase());
    const allowed = own.includes('GET') ? [...own, 'HEAD'] : own;
    for (const method of METHODS.filter((one) => !own.includes(one))) {
      const target = path.replace(/\{\w+\}/g, 'vm1');
      const { status, headers, json } = await stage.ask(method, target, {
        raw: '{',
        headers: { 'content-length': '1' },
      });
      expect([method, path, status, json?.code]).toEqual([method, path, 405, 'METHOD_NOT_ALLOWED']);
      expect(headers.allow?.split(', ').sort(), path).toEqual(allowed.sort());
    }
  }
  expect(stage.plane.calls).toEqual([]);
});
