/** Starts the switch under test. */
import type { ChildProcess } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CaptureOptions, SwitchOptions } from 'tapswitch';
import { type BenchGuest, GATEWAY, SUBNET } from './guests.ts';
import { startProgram, stopProgram } from './processes.ts';
import type { Undo } from './rig.ts';

type Vms = NonNullable<SwitchOptions['vms']>;
type Network = SwitchOptions['networks'][string];

export interface SwitchSetup {
  readonly vms: Vms;
  /** What is said of the only network beyond its addresses */
  readonly network?: Partial<Network>;
  readonly fastPath?: 'auto' | 'off';
  /** A capture that runs from the start, its file written to nowhere */
  readonly capture?: CaptureOptions;
  readonly workers?: number;
  /** Options of Node.js */
  readonly node?: readonly string[];
  /** Time it may take until its VMs are attached */
  readonly timeoutMs?: number;
}

/** Guests as VMs of the configuration, each under its interface's name. */
export function vmsOf(guests: readonly BenchGuest[], extra: Partial<Vms[string]> = {}): Vms {
  const vms = guests.map(({ interfaceName, mac, ip }) => [
    interfaceName,
    { tap: interfaceName, mac, ip, ...extra },
  ]);
  return Object.fromEntries(vms);
}

/**
 * Starts the switch in the namespace `host`, in a process of its own: its processor time is its own, and the bench's
 * main thread is not in its way.
 */
export function startSwitch(
  host: string,
  { vms, network, fastPath = 'auto', workers, node = [], capture, timeoutMs }: SwitchSetup,
): Promise<ChildProcess> {
  const networks = { default: { subnet: SUBNET, gateway: GATEWAY, ...network } };
  const config = {
    networks,
    vms,
    guard: 'required',
    fastPath,
    ...(workers === undefined ? {} : { workers }),
  };
  const program = join(dirname(fileURLToPath(import.meta.url)), 'switch-process.js');
  const options = capture === undefined ? [] : [JSON.stringify(capture)];
  return startProgram(
    host,
    [process.execPath, ...node, program, JSON.stringify(config), ...options],
    'ready',
    timeoutMs,
  );
}

/** {@link startSwitch} for as long as the rig stands. */
export async function runSwitch(host: string, setup: SwitchSetup, undo: Undo): Promise<ChildProcess> {
  const child = await startSwitch(host, setup);
  undo.push(() => stopProgram(child, setup.timeoutMs));
  return child;
}
