/** The rigs of the recovery set: two guests, and what joins them can be made to die. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type BenchGuest, GATEWAY, SUBNET, twoGuests, vethGuest } from './guests.ts';
import { loopbackUp, OUTSIDE, OUTSIDE_SUBNET, outside } from './host.ts';
import { startProgram, stopProgram } from './processes.ts';
import type { Build, RecoveryRigName } from './rig.ts';
import { runSwitch, vmsOf } from './switch.ts';
import { ROOT } from './tools.ts';

/** RestartSec of contrib/systemd/tapswitch.service */
const RESTART_MS = 1000;

const worker =
  (name: RecoveryRigName, fastPath: 'auto' | 'off'): Build =>
  async (host, undo) => {
    const guests = await twoGuests(vethGuest, host, undo);
    const [client, server] = guests as [BenchGuest, BenchGuest];
    const network = { mode: 'shared' } as const;
    // One, so that every frame is its.
    const child = await runSwitch(host, { vms: vmsOf(guests), network, fastPath, workers: 1 }, undo);
    const crash = async () => void child.kill('SIGHUP');
    const ends = { client: client.namespace, server: server.namespace, address: server.ip };
    return { name, ...ends, pid: child.pid, crash };
  };

const daemon: Build = async (host, undo) => {
  loopbackUp(host);
  const outsideServer = await outside(host, undo);
  const guests = await twoGuests(vethGuest, host, undo);
  const [client, server] = guests as [BenchGuest, BenchGuest];
  const directory = mkdtempSync(join(tmpdir(), 'tapswitch-bench-'));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  process.on('exit', remove);
  const config = join(directory, 'config.json');
  const network = { mode: 'shared', subnet: SUBNET, gateway: GATEWAY, egress: [`allow ${OUTSIDE_SUBNET}`] };
  writeFileSync(config, JSON.stringify({ networks: { default: network }, vms: vmsOf(guests) }));
  const place = [
    `TAPSWITCH_SOCKET=${join(directory, 'api.sock')}`,
    `TAPSWITCH_STATE=${join(directory, 'state')}`,
  ];
  const command = [
    'env',
    ...place,
    process.execPath,
    join(ROOT, 'dist/cli/main.js'),
    'up',
    '--config',
    config,
  ];
  const start = (): Promise<ChildProcess> => startProgram(host, command, '"ready"');
  let child = await start();
  undo.push(() => stopProgram(child));
  const crash = async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    await delay(RESTART_MS);
    child = await start();
  };
  return {
    name: 'daemon-restarted',
    client: client.namespace,
    server: server.namespace,
    address: server.ip,
    // Not the same process for long.
    pid: undefined,
    crash,
    outside: { server: outsideServer, address: OUTSIDE },
  };
};

export const RECOVERY_RIGS: Readonly<Record<RecoveryRigName, Build>> = {
  'tapswitch-worker': worker('tapswitch-worker', 'auto'),
  'datapath-worker': worker('datapath-worker', 'off'),
  'daemon-restarted': daemon,
};
