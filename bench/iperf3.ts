/** One run of iperf3. */
import type { Pace } from './pace.ts';
import { runProgram, startProgram, stopProgram } from './processes.ts';
import { CLIENT_PROCESSOR, pinned, SERVER_PROCESSOR } from './processors.ts';
import type { Rig } from './rig.ts';

/** In place of a time below a second: iperf3 takes a fraction for none, and none for endless */
const FEW_BYTES = '16M';

export interface Bulk {
  readonly port: number;
  readonly streams: number;
  /** `down`: the server sends */
  readonly direction: 'up' | 'down';
}

/** What the receiver got. */
export interface Received {
  readonly bitsPerSecond: number;
  readonly bytes: number;
  /** Segments the sender sent again */
  readonly retransmits: number;
}

/** TCP as fast as it goes, an end to each processor. */
export async function bulk(
  { client, server, address }: Pick<Rig, 'client' | 'server' | 'address'>,
  { seconds }: Pace,
  { port, streams, direction }: Bulk,
): Promise<Received> {
  // One test per server process: a test that broke off cannot leave it busy.
  const serve = ['iperf3', '-s', '-p', String(port), '-1', '--forceflush'];
  const receiver = await startProgram(server, pinned(SERVER_PROCESSOR, serve), 'listening');
  try {
    const length = seconds >= 1 ? ['-t', String(Math.floor(seconds))] : ['-n', FEW_BYTES];
    const way = direction === 'down' ? ['-R'] : [];
    const options = ['-p', String(port), ...length, ...way, '-P', String(streams), '-J'];
    const send = pinned(CLIENT_PROCESSOR, ['iperf3', '-c', address, ...options]);
    const { end } = JSON.parse(await runProgram(client, send));
    const { bits_per_second: bitsPerSecond, bytes } = end.sum_received;
    return { bitsPerSecond, bytes, retransmits: end.sum_sent.retransmits };
  } finally {
    await stopProgram(receiver);
  }
}
