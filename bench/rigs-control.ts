/** The rig of the control set: a daemon as `tapswitch up` starts it, with as many VMs as a large host has. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VmWorld } from './control-vms.ts';
import { loopbackUp } from './host.ts';
import { type Pace, scaled } from './pace.ts';
import { startProgram, stopProgram } from './processes.ts';
import type { Build, ControlRigName } from './rig.ts';
import { ROOT } from './tools.ts';

const PRESENT = 1000;
/** VMs that are there already when the load begins */
export const present = (pace: Pace): number => scaled(PRESENT, pace);
/** It closes two sockets for each VM, which takes the kernel a while */
const STOP_TIMEOUT_MS = 60_000;

const daemon: Build = async (host, undo, pace) => {
  loopbackUp(host);
  const directory = mkdtempSync(join(tmpdir(), 'tapswitch-bench-'));
  undo.push(() => rmSync(directory, { recursive: true }));
  const config = join(directory, 'config.json');
  writeFileSync(
    config,
    JSON.stringify({
      networks: { default: VmWorld.network },
      autoAttach: [{ match: VmWorld.autoAttach }],
    }),
  );
  const socket = join(directory, 'api.sock');
  const place = [`TAPSWITCH_SOCKET=${socket}`, `TAPSWITCH_STATE=${join(directory, 'state')}`];
  const command = [process.execPath, join(ROOT, 'dist/cli/main.js'), 'up', '--config', config];
  const child = await startProgram(host, ['env', ...place, ...command], '"ready"');
  undo.push(() => stopProgram(child, STOP_TIMEOUT_MS));
  await new VmWorld(host, socket).put(0, present(pace));
  return { name: 'daemon', client: host, server: host, address: socket, pid: child.pid };
};

export const CONTROL_RIGS: Readonly<Record<ControlRigName, Build>> = { daemon };
