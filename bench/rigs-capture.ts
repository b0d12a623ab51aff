/** The rigs of the capture set: two guests, a switch, and a capture of all that passes it. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { twoGuests, vethGuest } from './guests.ts';
import type { Build, CaptureCounts, CaptureRigName } from './rig.ts';
import { runSwitch, vmsOf } from './switch.ts';

/** Headers of Ethernet, IP and TCP with its options, without payload */
const SNAPLEN = 96;
const ANSWER_TIMEOUT_MS = 5000;
/** Longer than the switch takes to count what its rings hold, and than it takes to ask the kernel for what was lost */
const LOOK_MS = 250;
const MOST_LOOKS = 8;

async function askCounts(child: ChildProcess): Promise<CaptureCounts> {
  const answer = once(child.stdout!, 'data', { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
  child.kill('SIGUSR2');
  const [text] = (await answer) as [string];
  return JSON.parse(text);
}

/** What was captured once it has all been counted: frames wait in rings for a while. */
async function countsOf(child: ChildProcess): Promise<CaptureCounts> {
  let counts = await askCounts(child);
  for (let i = 0; i < MOST_LOOKS; i++) {
    await delay(LOOK_MS);
    const later = await askCounts(child);
    if (later.written === counts.written && later.lost === counts.lost) break;
    counts = later;
  }
  return counts;
}

const captured =
  (name: CaptureRigName, fastPath: 'auto' | 'off'): Build =>
  async (host, undo) => {
    const guests = await twoGuests(vethGuest, host, undo);
    const network = { mode: 'shared' } as const;
    const setup = { vms: vmsOf(guests), network, fastPath, capture: { snaplen: SNAPLEN } };
    const child = await runSwitch(host, setup, undo);
    const [client, server] = guests.map(({ namespace }) => namespace) as [string, string];
    const ends = { client, server, address: guests[1]!.ip };
    return { name, ...ends, pid: child.pid, captured: () => countsOf(child) };
  };

export const CAPTURE_RIGS: Readonly<Record<CaptureRigName, Build>> = {
  captured: captured('captured', 'auto'),
  'captured-datapath': captured('captured-datapath', 'off'),
};
