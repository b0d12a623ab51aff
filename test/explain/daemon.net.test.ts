/** A daemon with guests: what `why` says of a flow is what the guest then meets, and asking leaves no trace. */
import { join } from 'node:path';
import type { ConfigInput } from 'tapswitch';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Client, createClient } from '../../src/client/client.ts';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { type Daemon, scratch, startUp } from '../lib/engine-command.ts';
import { addressOf, HOST_ADDRESS, macOf } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const PATIENCE_MS = 3000;

let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let guests: [NetnsGuest, NetnsGuest];
let client: Client;
let daemon: Daemon;

const vm = (n: number) => ({ tap: `vm${n}`, mac: macOf(n), ip: addressOf(n) });

beforeEach(async () => {
  stage = new GatewayStage();
  files = scratch();
  guests = [await stage.guest(11), await stage.guest(12)];
  const socket = join(files.path, 'api.sock');
  client = createClient({ socket });
  const { hostPort: _, ...network } = stage.network({
    mode: 'isolated',
    egress: ['deny 192.0.2.0/24', 'allow 127.0.0.9'],
    hostServices: ['8080:9000'],
  });
  const hostPort = { name: stage.hostPort, address: HOST_ADDRESS, allowFromGuests: ['tcp/7000'] };
  const config: ConfigInput = {
    networks: { default: { ...network, hostPort } },
    vms: { one: { ...vm(11), forwards: ['127.0.0.1:16300:5300'] }, two: vm(12) },
  };
  const env = { TAPSWITCH_SOCKET: socket, TAPSWITCH_STATE: join(files.path, 'state') };
  daemon = await startUp(stage.host.path, config, files, { env });
});

afterEach(async () => {
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  await stage.end();
  files.remove();
});

async function outcomeOf(flow: string): Promise<string> {
  const { action, reason, to } = (await client.explain(flow)).outcome;
  return [action, reason ?? to].filter((word) => word !== undefined).join(' ');
}

const dropsOf = async (id: string) => ({ ...(await client.vm(id)).counters.drops });

test('flows of a guest -> as explained, and as counted', async () => {
  const [one] = guests;
  await stage.serve(stage.host.path, 'echo', 9000, '127.0.0.1');
  await stage.serve(stage.host.path, 'echo', 7000, HOST_ADDRESS);
  await stage.serve(stage.host.path, 'echo', 7001, HOST_ADDRESS);
  const cases = [
    ['one -> tcp 192.0.2.9:443', '192.0.2.9', 443, 'refuse egress-denied', 'ECONNREFUSED'],
    ['one -> tcp 10.9.9.9:443', '10.9.9.9', 443, 'refuse egress-denied', 'ECONNREFUSED'],
    ['one -> tcp gateway:81', '10.1.0.1', 81, 'refuse no-service', 'ECONNREFUSED'],
    ['one -> tcp gateway:8080', '10.1.0.1', 8080, 'connect 127.0.0.1:9000', 'heard hello'],
    ['one -> tcp host:7000', HOST_ADDRESS, 7000, 'forward host', 'heard hello'],
    ['one -> tcp host:7001', HOST_ADDRESS, 7001, 'drop host-flow-denied', 'silence'],
    ['one -> tcp two:22', addressOf(12), 22, 'drop isolated', 'silence'],
  ] as const;
  for (const [flow, address, port, explained, met] of cases) {
    expect([flow, await outcomeOf(flow)]).toEqual([flow, explained]);
    const before = await dropsOf('one');
    expect([flow, (await stage.probe(one.namespace, address, port, PATIENCE_MS)).result]).toEqual([
      flow,
      met,
    ]);
    const [action, reason = ''] = explained.split(' ');
    if (action !== 'drop' && action !== 'refuse') continue;
    const after = await dropsOf('one');
    expect([flow, (after[reason] ?? 0) > (before[reason] ?? 0)]).toEqual([flow, true]);
  }
}, 60_000);

test('flows of the host -> as explained', async () => {
  const [one] = guests;
  await stage.serve(one.namespace, 'echo', 5300);
  expect(await outcomeOf('host -> one:5300')).toBe('forward one');
  expect(await outcomeOf('host -> 127.0.0.1:16300')).toBe(`connect ${addressOf(11)}:5300`);
  expect(await outcomeOf('host -> 127.0.0.1:16301')).toBe('refuse');
  expect((await stage.probe(stage.host.path, addressOf(11), 5300)).result).toBe('heard hello');
  expect((await stage.probe(stage.host.path, '127.0.0.1', 16300)).result).toBe('heard hello');
  expect((await stage.probe(stage.host.path, '127.0.0.1', 16301)).result).toBe('ECONNREFUSED');
}, 30_000);

test('asking again and again -> no drop, flow or address more', async () => {
  const seen = async () => ({
    drops: (await client.drops()).filter(({ port }) => port === 'one'),
    flows: await client.flows('one'),
    fdb: (await client.fdb()).map(({ mac, port }) => [mac, port]).sort(),
  });
  const before = await seen();
  for (let i = 0; i < 20; i++) {
    await client.explain(`one from 10.1.0.${100 + i} -> gateway`);
    await client.explain(`one mac 06:00:00:00:01:${10 + i} -> gateway`);
    await client.explain('one -> two:22');
    await client.explain(`one -> tcp 127.0.0.9:${9000 + i}`);
  }
  const after = await seen();
  // The guest's own kernel may say something meanwhile: never of these reasons.
  const spoofed = ({ reason }: { reason: string }) => reason.startsWith('spoofed');
  expect(after.drops.filter(spoofed)).toEqual(before.drops.filter(spoofed));
  expect({ flows: after.flows, fdb: after.fdb }).toEqual({ flows: before.flows, fdb: before.fdb });
}, 30_000);

test('what cannot be asked -> the code and the column; a VM that is not there -> VM_UNKNOWN', async () => {
  await expect(client.explain('one -> tcp 10.0.0.5')).rejects.toMatchObject({ code: 'EXPLAIN_INVALID' });
  await expect(client.explain('three -> gateway')).rejects.toMatchObject({ code: 'VM_UNKNOWN' });
});
