/** The load of the qemu set that needs something to run inside the virtual machine. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Guest } from '../src/lab/guest.ts';
import type { Load } from './loads.ts';
import { runProgram } from './processes.ts';
import { PORTS } from './rig.ts';
import { ownTool } from './tools.ts';

const PORT = String(PORTS.connections);
const LISTEN_TRIES = 100;
const POLL_MS = 20;

async function listening(machine: Guest): Promise<void> {
  for (let tries = 0; tries < LISTEN_TRIES; tries++) {
    if ((await machine.run(`netstat -ltn | grep -q :${PORT}`)).status === 0) return;
    await delay(POLL_MS);
  }
  throw new Error(`${machine.name} does not listen on ${PORT}`);
}

/** Bulk TCP into the machine, what a sink there counted until it saw the end. */
export const tcpIn: Load = {
  id: 'qemu.tcp.in',
  unit: 'Gbit/s',
  async run({ name, client, address, machine }, { seconds }) {
    if (machine === undefined) throw new Error(`${name} has no virtual machine`);
    const sink = machine.run(`nc -l -p ${PORT} | wc -c`);
    await listening(machine);
    const began = performance.now();
    await runProgram(client, [ownTool('connections'), 'fill', address, PORT, String(seconds * 1000)]);
    const { stdout, stderr } = await sink;
    const bytes = Number(stdout);
    if (!(bytes > 0)) throw new Error(`the sink in ${machine.name} got nothing: ${stderr.trim()}`);
    const elapsed = (performance.now() - began) / 1000;
    return { value: (bytes * 8) / elapsed / 1e9, gigabytes: bytes / 1e9, detail: {} };
  },
};
