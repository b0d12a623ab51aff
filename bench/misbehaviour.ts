/** What a VM can do to its neighbours. */
import { spawnIn } from '../src/lab/process.ts';
import { type BenchGuest, GATEWAY } from './guests.ts';
import { framesFrom, OUTSIDE } from './host.ts';
import { runProgram, startProgram, stopProgram } from './processes.ts';
import { type EndMisbehaviour, PORTS } from './rig.ts';
import { ownTool } from './tools.ts';
import { until } from './waiting.ts';

/** Begins what `guest` does, whose link ends in the namespace `host`. */
export type Misbehaviour = (host: string, guest: BenchGuest) => Promise<EndMisbehaviour>;

/** Nobody listens there: the server answers no more than one in a second of what comes (icmp_ratelimit) */
const UDP_PORT = '9';
const PAYLOAD_BYTES = '64';
/** Longer than any sample: it is ended */
const LONG_MS = '60000';
/** So many have come: it is under way */
const FRAMES_UNDER_WAY = 100;
const STALLED_CONNECTIONS = '64';
/** Whoever has it: the frames are dropped for their source before their destination is looked at */
const ANY_MAC = '02:00:00:00:00:01';

/** A load on a processor and nothing else: what the others lose by that alone. */
export const compute: Misbehaviour = async (_host, { namespace }) => {
  const child = await startProgram(namespace, ['sh', '-c', 'echo ready; while :; do :; done'], 'ready');
  return async () => {
    await stopProgram(child);
    return {};
  };
};

/** Small datagrams to the server outside, as fast as they can be sent. */
export const flood: Misbehaviour = async (host, { namespace, interfaceName }) => {
  const before = framesFrom(host, interfaceName);
  const frames = () => framesFrom(host, interfaceName) - before;
  const command = [ownTool('udp-blast'), 'send', OUTSIDE, UDP_PORT, PAYLOAD_BYTES, LONG_MS];
  const child = spawnIn(namespace, command, { stdio: 'ignore' });
  const stop = async () => {
    await stopProgram(child);
    return { neighbourFrames: frames() };
  };
  try {
    await until('waited for a flood', () => frames() > FRAMES_UNDER_WAY);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
};

/** A flood from an address that is another than the guest's: for rigs whose switch was told of another. */
export const spoof: Misbehaviour = async (host, guest) => {
  // Its ARP requests are dropped, too
  const neighbour = ['ip', 'neigh', 'replace', GATEWAY, 'lladdr', ANY_MAC, 'dev', 'eth0'];
  await runProgram(guest.namespace, neighbour);
  return flood(host, guest);
};

/** Stops reading its TAP, as a paused VM does, with connections open whose clients on the host send all the time. */
export const stall: Misbehaviour = async (host, { namespace, interfaceName, vmm }) => {
  if (vmm === undefined) throw new Error('a guest on a veth cannot be paused');
  const tool = ownTool('connections');
  const port = String(PORTS.connections);
  const server = await startProgram(namespace, [tool, 'serve', port], 'ready');
  try {
    const stream = [tool, 'stream', '127.0.0.1', port, STALLED_CONNECTIONS];
    const clients = await startProgram(host, stream, 'ready');
    vmm.kill('SIGSTOP');
    const before = framesFrom(host, interfaceName);
    return async () => {
      const neighbourFrames = framesFrom(host, interfaceName) - before;
      vmm.kill('SIGCONT');
      await stopProgram(clients);
      await stopProgram(server);
      return { neighbourFrames };
    };
  } catch (error) {
    await stopProgram(server);
    throw error;
  }
};
