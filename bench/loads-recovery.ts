/** The loads of the recovery set: what moves the frames dies, and somebody watches from the guests. */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { spawnIn } from '../src/lab/process.ts';
import { type Load, outputOf } from './loads.ts';
import { served } from './loads-connections.ts';
import { startProgram, stopProgram } from './processes.ts';
import { PORTS, type Rig } from './rig.ts';
import { ownTool } from './tools.ts';

const PROBE_PORT = '7779';
/** Traffic before the crash */
const BEFORE_MS = 300;
/** Until traffic must flow again, once everything is started again */
const AFTER_MS = 1500;
/** Without a datagram for so long at the end, traffic has not come back: they are a millisecond apart */
const QUIET_MS = 500;
const CONNECTIONS = 16;

function crashOf({ name, crash }: Rig): () => Promise<void> {
  if (crash === undefined) throw new Error(`${name} has nothing that could crash`);
  return crash;
}

/** The longest time in which nothing of a stream of datagrams gets from guest to guest. */
export const gap: Load = {
  id: 'recovery.gap',
  unit: 'ms',
  async run(rig) {
    const receiver = await startProgram(rig.server, [ownTool('probe'), 'receive', PROBE_PORT], 'ready');
    try {
      const send = [ownTool('probe'), 'send', rig.address, PROBE_PORT];
      const sender = spawnIn(rig.client, send, { stdio: 'ignore' });
      try {
        await delay(BEFORE_MS);
        await crashOf(rig)();
        await delay(AFTER_MS);
        const result = outputOf(receiver);
        receiver.kill('SIGTERM');
        const { gapMs, quietMs, lost } = JSON.parse(await result);
        if (quietMs > QUIET_MS) throw new Error(`${rig.name}: no traffic ${AFTER_MS} ms after the crash`);
        return { value: gapMs, detail: { lost } };
      } finally {
        await stopProgram(sender);
      }
    } finally {
      await stopProgram(receiver);
    }
  },
};

/** Idle connections of a guest to the other, and to a server outside, that are no more afterwards. */
export const connectionsLost: Load = {
  id: 'recovery.lost',
  unit: 'connections',
  async run(rig) {
    const { outside } = rig;
    if (outside === undefined) throw new Error(`${rig.name} has no server outside`);
    const hold = (address: string) => {
      const command = [ownTool('connections'), 'survive', address, String(PORTS.connections)];
      return startProgram(rig.client, [...command, String(CONNECTIONS)], 'ready');
    };
    return served(rig, undefined, () =>
      served(outside, undefined, async () => {
        const holders = await Promise.all([hold(rig.address), hold(outside.address)]);
        try {
          await crashOf(rig)();
          const [guests = 0, gateway = 0] = await Promise.all(holders.map(lostOf));
          return { value: guests, detail: { gateway, of: CONNECTIONS } };
        } finally {
          await Promise.all(holders.map((holder) => stopProgram(holder)));
        }
      }),
    );
  },
};

async function lostOf(holder: ChildProcess): Promise<number> {
  const result = outputOf(holder);
  holder.kill('SIGUSR1');
  return CONNECTIONS - JSON.parse(await result).alive;
}
