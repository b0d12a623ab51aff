/** Loads of connections rather than of bytes: how many in a second, how fast a byte returns, what one costs in memory. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Load, Sample } from './loads.ts';
import { scaled } from './pace.ts';
import { mostResidentBytes, residentBytes, runProgram, startProgram, stopProgram } from './processes.ts';
import { CLIENT_PROCESSOR, pinned, SERVER_PROCESSOR } from './processors.ts';
import { PORTS, type Rig } from './rig.ts';
import { ownTool } from './tools.ts';

const PORT = String(PORTS.connections);
const TRIPS_MS = 500;
/** Longer: the code that opens and closes is compiled on the way */
const RATE_MS = 1000;
/** Many: beside fewer, what a garbage collector happens to hold is too much */
const IDLE_CONNECTIONS = 4000;
/** With a large buffer for each they stay within half of what a VM may have */
const ACTIVE_CONNECTIONS = 64;
/** Opened first, so that neither code nor tables used for the first time are counted */
const FIRST_CONNECTIONS = 100;
/** Until what was allocated on the way is back */
const SETTLE_MS = 500;

const tool = (...args: readonly string[]): string[] => [ownTool('connections'), ...args];

/** Runs `work` while the server of these loads runs at the rig's end. */
export async function served<T>(
  rig: Pick<Rig, 'server'>,
  processor: number | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const command = tool('serve', PORT);
  const pinnedTo = processor === undefined ? command : pinned(processor, command);
  const server = await startProgram(rig.server, pinnedTo, 'ready');
  try {
    return await work();
  } finally {
    await stopProgram(server);
  }
}

/** Connect, a byte there and back, close: by so many clients at once, on whatever processor is free. */
export const connectionRate = (clients: number): Load => ({
  id: `crr.${clients}`,
  unit: 'connections/s',
  run: (rig, pace) =>
    served(rig, undefined, async () => {
      const command = tool('rate', rig.address, PORT, String(clients), String(scaled(RATE_MS, pace)));
      const { connections, failed, ms } = JSON.parse(await runProgram(rig.client, command));
      return { value: (connections / ms) * 1000, detail: { failed } };
    }),
});

/** A byte there and back on one connection, one at a time, an end to each processor. */
export const byteTrip = (protocol: 'tcp' | 'udp'): Load => ({
  id: `rr.${protocol}`,
  unit: 'us',
  run: (rig, pace) =>
    served(rig, SERVER_PROCESSOR, async () => {
      const duration = String(scaled(TRIPS_MS, pace));
      const command = tool('trips', protocol, rig.address, PORT, duration);
      const { p50, p99, p999 } = JSON.parse(await runProgram(rig.client, pinned(CLIENT_PROCESSOR, command)));
      return { value: p50, detail: { p99, p999 } };
    }),
});

/** Runs `work` while so many connections are open, idle or sending. */
async function connected<T>(
  { client, address }: Rig,
  mode: 'hold' | 'stream',
  count: number,
  work: () => T | Promise<T>,
): Promise<T> {
  const holder = await startProgram(client, tool(mode, address, PORT, String(count)), 'ready');
  try {
    return await work();
  } finally {
    await stopProgram(holder);
  }
}

async function memoryFor(rig: Rig, mode: 'hold' | 'stream', count: number): Promise<Sample> {
  if (rig.startAfresh === undefined) throw new Error(`${rig.name} has no process whose memory to look at`);
  const pid = await rig.startAfresh();
  const grow = async () => {
    await delay(SETTLE_MS);
    const before = residentBytes(pid);
    const after = await connected(rig, mode, count, async () => {
      await delay(SETTLE_MS);
      return mode === 'hold' ? residentBytes(pid) : mostResidentBytes(pid);
    });
    return { value: (after - before) / count, detail: { before, after } };
  };
  return served(rig, undefined, () => connected(rig, 'hold', FIRST_CONNECTIONS, grow));
}

/** Growth of the process by a connection on which nothing moves. */
export const idleMemory: Load = {
  id: 'memory.idle',
  unit: 'bytes',
  run: (rig) => memoryFor(rig, 'hold', IDLE_CONNECTIONS),
};

/** Growth of the process, at its most, by a connection that sends as fast as it can. */
export const activeMemory: Load = {
  id: 'memory.active',
  unit: 'bytes',
  run: (rig) => memoryFor(rig, 'stream', ACTIVE_CONNECTIONS),
};
