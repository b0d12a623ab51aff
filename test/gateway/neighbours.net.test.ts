/**
 * A VM's transfers beside a VM that takes nothing, one that lies about who it is and one that scans, at rates that
 * leave the machine to the switch. How much it loses is printed; what is asserted leaves room for a noisy machine.
 * What the switch itself gives each VM is counted in test/gateway/tcp/neighbours.test.ts.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { close } from '../../src/sys/libc.ts';
import { VNET_HEADER_BYTES } from '../../src/wire/vnet.ts';
import { addressOf, GATEWAY, macOf, packetSocketIn, sendFrame } from '../lib/engine-stage.ts';
import { ipv4Tcp, type Station, SYN } from '../lib/frames.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const [GOOD, STUCK, LIAR, SCANNER] = [2, 3, 4, 5];
const ROUNDS = 5;
const MEBIBYTES = 256;
const MEBIBYTE = 1 << 20;
/** Of each of the two that send, frames a second; in bursts of what a tick is due */
const FRAMES_PER_SECOND = 2000;
const TICK_MS = 10;
const STUCK_FLOWS = 50;
/** A machine with two cores and other work: not what the switch takes, but what a test can rely on */
const MOST = 1.5;

let stage: GatewayStage;
let sw: Switch;
const guests = new Map<number, NetnsGuest>();

beforeEach(async () => {
  stage = new GatewayStage();
  sw = await stage.start({ networks: { default: stage.network() } });
  for (const n of [GOOD, STUCK, LIAR, SCANNER]) {
    guests.set(n, await stage.guest(n));
    const forwards = n === GOOD ? ['15300:5300', '15301:5301'] : n === STUCK ? ['15310:5300'] : [];
    await sw.attach(`vm${n}`, stage.vm(n, { mac: macOf(n), forwards }));
  }
  await stage.serve(namespaceOf(GOOD), 'blob', 5300, MEBIBYTES);
  await stage.serve(namespaceOf(GOOD), 'digest', 5301);
  await stage.serve(namespaceOf(STUCK), 'digest', 5300, 600_000);
});

afterEach(() => stage.end());

function namespaceOf(n: number): string {
  return (guests.get(n) as NetnsGuest).namespace;
}

const station = (n: number): Station => ({ mac: macOf(n), ip: addressOf(n) });
const GATEWAY_STATION: Station = { mac: '02:74:61:70:73:77', ip: GATEWAY };

/** Sends frames from a guest's interface, the next of the list each time, until stopped. */
function pace(n: number, frames: readonly Uint8Array[]): () => void {
  const socket = packetSocketIn(namespaceOf(n), 'eth0');
  const since = performance.now();
  let sent = 0;
  const tick = setInterval(() => {
    const due = ((performance.now() - since) * FRAMES_PER_SECOND) / 1000;
    // After a pause of this process no more than a few ticks' worth: a burst would be a flood.
    sent = Math.max(sent, due - (5 * FRAMES_PER_SECOND * TICK_MS) / 1000);
    for (; sent < due; sent++) {
      const frame = frames[Math.floor(sent) % frames.length] as Uint8Array;
      sendFrame(socket, frame.subarray(VNET_HEADER_BYTES));
    }
  }, TICK_MS);
  return () => {
    clearInterval(tick);
    close(socket);
  };
}

/** Lets them misbehave while `work` is done. */
async function beside<T>(work: () => Promise<T>): Promise<T> {
  const to = GATEWAY_STATION;
  const lies = [
    ipv4Tcp({ from: { ...station(LIAR), mac: macOf(GOOD) }, to, flags: SYN }),
    ipv4Tcp({ from: { ...station(LIAR), ip: addressOf(GOOD) }, to, flags: SYN }),
  ];
  const scan = Array.from({ length: 500 }, (_, i) =>
    ipv4Tcp({ from: station(SCANNER), to, toPort: 1000 + i, flags: SYN }),
  );
  const stuck = await stage.serve(stage.host.path, 'stuff', '127.0.0.1', 15310, STUCK_FLOWS, 3);
  const stops = [pace(LIAR, lies), pace(SCANNER, scan)];
  await delay(200);
  try {
    return await work();
  } finally {
    for (const stop of stops) stop();
    await stuck.kill();
    await delay(200);
  }
}

/** Receives what the guest has to send; `ms`. */
async function fetch(): Promise<number> {
  const since = performance.now();
  const socket = connect({ host: '127.0.0.1', port: 15300 });
  let bytes = 0;
  socket.on('data', (part) => {
    bytes += part.length;
  });
  await once(socket, 'end');
  expect(bytes).toBe(MEBIBYTES * MEBIBYTE);
  return performance.now() - since;
}

/** Sends, until the guest says that it has all of it; `ms`. */
async function push(): Promise<number> {
  const since = performance.now();
  const socket = connect({ host: '127.0.0.1', port: 15301, allowHalfOpen: true });
  const part = Buffer.alloc(MEBIBYTE, 7);
  for (let i = 0; i < MEBIBYTES; i++) if (!socket.write(part)) await once(socket, 'drain');
  socket.end();
  let heard = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    heard += text;
  });
  await once(socket, 'end');
  expect(heard).toMatch(`${MEBIBYTES * MEBIBYTE} `);
  return performance.now() - since;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}

test.each([
  ['sends', fetch],
  ['receives', push],
] as const)(
  'VM that %s beside one stuck, one that lies and one that scans: -> about as fast as without',
  async (what, transfer) => {
    await transfer();
    const [without, beside_]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      without.push(await transfer());
      beside_.push(await beside(transfer));
    }
    const ratio = median(beside_) / median(without);
    const ms = (values: readonly number[]) => values.map((value) => value.toFixed(0)).join(', ');
    console.log(`${what}: ${ratio.toFixed(3)} times as long (${ms(without)} ms alone; ${ms(beside_)} ms)`);
    expect(ratio).toBeLessThan(MOST);
    // They did misbehave, and it was seen.
    const { vms } = sw.stats();
    const { 'spoofed-mac': macs = 0, 'spoofed-ip': addresses = 0 } = vms[`vm${LIAR}`]?.drops ?? {};
    expect(Math.min(macs, addresses)).toBeGreaterThan(100);
    expect(vms[`vm${SCANNER}`]?.drops['no-service']).toBeGreaterThan(100);
    expect(vms[`vm${GOOD}`]?.drops).not.toHaveProperty('spoofed-ip');
  },
);
