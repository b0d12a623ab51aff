/** The loads: what runs between the two guests of a rig for one sample. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { bulk } from './iperf3.ts';
import { type Pace, scaled } from './pace.ts';
import { runProgram, startProgram, stopProgram } from './processes.ts';
import { CLIENT_PROCESSOR, pinned, SERVER_PROCESSOR } from './processors.ts';
import { PORTS, type Rig } from './rig.ts';
import { percentile } from './statistics.ts';
import { ownTool } from './tools.ts';

/** What one run of a load found. */
export interface Sample {
  readonly value: number;
  /** Further figures of the same run, by name */
  readonly detail: Readonly<Record<string, number>>;
  /** Payload moved, for loads of bulk traffic: what it costs is then told by the gigabyte */
  readonly gigabytes?: number;
}

export interface Load {
  readonly id: string;
  readonly unit: string;
  run(rig: Rig, pace: Pace): Promise<Sample>;
}

const UDP_PORT = 7777;
const UDP_PAYLOAD_BYTES = 64;
const UDP_WINDOW_MS = 1000;
/** How much longer than the receiver's window the sender goes on: its ramp up and the receiver's, and a margin */
const UDP_MARGIN_MS = 400;
const PINGS = 300;
const PING_INTERVAL_SECONDS = 0.005;

/** Bulk TCP by iperf3, what the receiver got; `down`: the server sends. */
export const tcp = (streams: number, direction: 'up' | 'down' = 'up'): Load => ({
  id: `tcp.${streams}.${direction}`,
  unit: 'Gbit/s',
  async run(rig, pace) {
    const { bitsPerSecond, bytes, retransmits } = await bulk(rig, pace, {
      port: PORTS.iperf3,
      streams,
      direction,
    });
    return { value: bitsPerSecond / 1e9, gigabytes: bytes / 1e9, detail: { retransmits } };
  },
});

/** What a program prints next, rejects after 10 s. */
export async function outputOf(child: ChildProcess): Promise<string> {
  const [text] = (await once(child.stdout!, 'data', { signal: AbortSignal.timeout(10_000) })) as [string];
  return text;
}

/** UDP datagrams of 64 bytes as fast as a sender can; counts what is received, not what is offered. */
export const smallFrames: Load = {
  id: 'pps64',
  unit: 'packets/s',
  async run({ client, server, address }, pace) {
    const window = scaled(UDP_WINDOW_MS, pace);
    const tool = ownTool('udp-blast');
    const receiver = await startProgram(
      server,
      pinned(SERVER_PROCESSOR, [tool, 'receive', String(UDP_PORT), String(window)]),
      'ready',
    );
    try {
      const result = outputOf(receiver);
      const duration = String(window + UDP_MARGIN_MS);
      const sender = [tool, 'send', address, String(UDP_PORT), String(UDP_PAYLOAD_BYTES), duration];
      await runProgram(client, pinned(CLIENT_PROCESSOR, sender));
      const { received, offered, ms } = JSON.parse(await result);
      return { value: (received / ms) * 1000, detail: { offered: (offered / ms) * 1000 } };
    } finally {
      await stopProgram(receiver);
    }
  },
};

/** Round trips of ping, one at a time. */
export const roundTrip: Load = {
  id: 'rtt',
  unit: 'us',
  async run({ client, address }, pace) {
    const pings = scaled(PINGS, pace);
    const interval = String(PING_INTERVAL_SECONDS);
    const output = await runProgram(client, ['ping', '-n', '-i', interval, '-c', String(pings), address]);
    const times = [...output.matchAll(/time=([\d.]+) ms/g)].map(([, ms]) => Number(ms) * 1000);
    if (times.length < pings / 2) throw new Error(`ping: ${times.length} of ${pings} answered`);
    const detail = { p99: percentile(times, 0.99), p999: percentile(times, 0.999) };
    return { value: percentile(times, 0.5), detail };
  },
};
