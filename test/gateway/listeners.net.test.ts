/** Every kind of place a forward can listen at, and switches with several workers. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { openDescriptors } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

let stage: GatewayStage;
let guest: NetnsGuest;

beforeEach(async () => {
  stage = new GatewayStage();
  guest = await stage.guest(2);
});

afterEach(() => stage.end());

test('unix socket, ::1 and every address: -> lead into the VM, half-close and all', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'forward-'));
  stage.atEnd(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'vm.sock');
  const sw = await stage.start();
  const forwards = [`unix:${path}:5300`, '[::1]:15300:5300', '0.0.0.0:15301:5300'];
  await sw.attach('a', stage.vm(2, { forwards }));
  await stage.serve(guest.namespace, 'digest', 5300);
  for (const [host, port] of [
    ['unix', path],
    ['::1', 15300],
    ['127.0.0.1', 15301],
  ] as const) {
    expect(await stage.call(stage.host.path, 'push', host, port, 4)).toMatch(/^same /);
  }
});

test('unix socket to a VM where nobody listens: wait over -> the client is let go, nothing is left', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'forward-'));
  stage.atEnd(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'vm.sock');
  const sw = await stage.start();
  await sw.attach('a', stage.vm(2, { forwards: [{ listen: `unix:${path}:5300`, wait: 1 }] }));
  const before = openDescriptors();
  const said = await stage
    .call(stage.host.path, 'fetch', 'unix', path)
    .catch((error: Error) => error.message);
  expect(said).toMatch(/^0 |ECONNRESET/);
  expect(openDescriptors()).toEqual(before);
});

test('two workers, three VMs: -> each is reached by its own forward, and reaches the host', async () => {
  const guests = [guest, await stage.guest(3), await stage.guest(4)];
  const networks = { default: stage.network({ hostServices: ['5400'] }) };
  const sw = await stage.start({ networks, workers: 2 });
  await stage.serve(stage.host.path, 'echo', 5400);
  for (const [i, { namespace }] of guests.entries()) {
    await sw.attach(`vm${i}`, stage.vm(i + 2, { forwards: [`${15_300 + i}:5300`] }));
    await stage.serve(namespace, 'name', 5300, `vm${i}`);
  }
  for (const [i, { namespace }] of guests.entries()) {
    expect((await stage.probe(stage.host.path, '127.0.0.1', 15_300 + i)).result).toBe(`heard vm${i}`);
    expect((await stage.probe(namespace, '10.1.0.1', 5400)).result).toBe('heard hello');
  }
});
