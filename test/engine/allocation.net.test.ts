/**
 * No frame allocates, in the worker as it runs: a million small frames, and not one collection of its young
 * generation. Node says on stdout which isolate collects; the main thread is known by a collection it is told to make.
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { spawnIn } from '../../src/lab/process.ts';
import { macBytes } from '../../src/sys/link.ts';
import { DIST } from '../lib/engine-command.ts';
import { addressOf, ethernetFrame, macOf, ping, Stage } from '../lib/engine-stage.ts';

const FRAMES = 1_000_000;
/** By then the compiler has done most of its work */
const WARM_UP = 300_000;
/** A path taken for the first time makes the compiler start anew, and until it is done numbers are allocated */
const WINDOWS = 3;

let stage: Stage;

beforeEach(() => {
  stage = new Stage();
});

afterEach(() => stage.end());

const SWITCH = `
  import { createSwitch } from '${DIST}index.js';
  const { networks, vms } = JSON.parse(process.argv[1]);
  gc(); // the main thread's isolate, and its only one of this kind
  const sw = await createSwitch({ networks, vms, fastPath: 'off' });
  console.log('up');
  process.stdin.on('data', () => console.log(JSON.stringify(sw.stats())));
`;

const BLAST = `
  import { sendmmsg } from '${DIST}sys/libc.js';
  import { addressHigh, addressLow, MessageVector } from '${DIST}sys/message-vector.js';
  import { mapMemory } from '${DIST}sys/memory.js';
  import { openPacketSocket } from '${DIST}sys/packet-socket.js';
  const [index, hex] = process.argv.slice(1);
  const frame = Buffer.from(hex, 'hex');
  const memory = mapMemory(4096);
  memory.u8.set(frame, 10);
  const vector = new MessageVector(64, 0);
  for (let i = 0; i < 64; i++) vector.setBuffer(i, addressLow(memory.address), addressHigh(memory.address), 10 + frame.length);
  const fd = openPacketSocket(Number(index), 1 << 22);
  for (;;) sendmmsg(fd, vector.address, 64, 0);
`;

test(`${FRAMES} small frames through a worker -> its isolate collects nothing`, async () => {
  const [one] = [await stage.guest(11), await stage.guest(12)];
  const config = {
    networks: { default: stage.network() },
    vms: { a: stage.vm(11), b: stage.vm(12) },
  };
  const options = ['--input-type=module', '--trace-gc', '--expose-gc', '-e'];
  const child = spawnIn(undefined, [process.execPath, ...options, SWITCH, JSON.stringify(config)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  stage.atEnd(async () => {
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  const lines: string[] = [];
  const output = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  output.on('line', (line) => lines.push(line));
  await expect.poll(() => lines, { timeout: 20_000 }).toContain('up');
  const rxFrames = async () => {
    child.stdin?.write('?');
    const line = await new Promise<string>((resolve) => {
      const listen = (text: string) => {
        if (!text.startsWith('{')) return;
        output.off('line', listen);
        resolve(text);
      };
      output.on('line', listen);
    });
    return JSON.parse(line).vms.a.rxFrames as number;
  };
  expect((await ping(one.namespace, addressOf(12))).received).toBe(3);
  const frame = udpFrame();
  const [{ ifindex }] = JSON.parse((await one.run('ip -j link show eth0')).stdout);
  const blast = spawnIn(
    one.namespace,
    [
      'nice',
      '-n',
      '5',
      process.execPath,
      '--input-type=module',
      '-e',
      BLAST,
      String(ifindex),
      frame.toString('hex'),
    ],
    { stdio: 'inherit' },
  );
  stage.atEnd(async () => {
    blast.kill('SIGKILL');
    await once(blast, 'close');
  });
  const after = async (frames: number) => {
    while ((await rxFrames()) < frames) await new Promise((resolve) => setTimeout(resolve, 200));
    return lines.length;
  };
  let from = await after(WARM_UP);
  const main = lines.find((line) => line.includes('Mark-Compact') && line.includes('GC in old space'));
  expect(main).toBeDefined();
  const ofWorker = (line: string) =>
    isolateOf(line) !== undefined && isolateOf(line) !== isolateOf(main as string);
  expect(lines.some(ofWorker), 'the worker`s collections are seen').toBe(true);
  const windows: string[][] = [];
  while (windows.length < WINDOWS && !windows.some((window) => window.length === 0)) {
    const to = await after((await rxFrames()) + FRAMES);
    windows.push(lines.slice(from, to).filter(ofWorker));
    from = to;
  }
  expect(windows).toContainEqual([]);
});

/** The isolate that a line of `--trace-gc` is of. */
function isolateOf(line: string): string | undefined {
  return /^\[\d+:(0x[0-9a-f]+)\]/.exec(line)?.[1];
}

/** A 64-byte UDP frame between two guests, whose receiver has nobody listening there. */
function udpFrame(): Buffer {
  const frame = ethernetFrame(macBytes(macOf(12)), macBytes(macOf(11)), 64);
  frame.writeUInt16BE(0x0800, 12);
  frame.set([0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0x64, 0xa3, 10, 1, 0, 11, 10, 1, 0, 12], 14);
  frame.set([0x10, 0, 0x10, 0, 0, 30, 0, 0], 34);
  return frame;
}
