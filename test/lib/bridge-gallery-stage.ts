/**
 * A host that still has a bridge, with two guests on it: `sick`, behind a TAP that a process holds, to which a fault is
 * done, and `well` beside it; and `apart`, on a bridge of its own, for faults that all of a bridge suffers from.
 */
import { fileURLToPath } from 'node:url';
import type { BridgeDecision } from '../../src/diagnosis/bridge/decide.ts';
import { createLabBridge } from '../../src/lab/bridge.ts';
import { type NetnsGuest, startNetnsGuest } from '../../src/lab/netns-guest.ts';
import { A, B } from './frames.ts';
import type { Cleanup } from './net-cleanup.ts';
import { createPlace, type Place } from './net-place.ts';
import { answers, curl } from './net-probe.ts';
import { GATEWAY_IP, type TapGuest, tapGuest, tapOf, vethGuest } from './net-switch.ts';

const COMMAND = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
export const BRIDGE = 'br0';
export const OTHER_BRIDGE = 'br1';
export const SERVICE_PORT = 6080;
/** An interface of the host's that leads nowhere, for routes that should not be */
export const ASIDE = 'aside0';

const APART = { ip: '10.9.0.12', prefix: 24, gateway: '10.9.0.1' };

export interface Flow {
  /** Asks about TCP to this port */
  readonly port?: number | undefined;
  /** Asks about packets from `well` instead of the host's */
  readonly fromWell?: boolean | undefined;
}

export interface Asked extends BridgeDecision {
  /** How long the command took, less what a command takes that does nothing, `ms` */
  readonly ms: number;
  readonly status: number;
}

export class BridgeGalleryStage {
  readonly cleanup: Cleanup;
  host!: Place;
  sick!: TapGuest;
  well!: NetnsGuest;
  #startMs = 0;

  constructor(cleanup: Cleanup) {
    this.cleanup = cleanup;
  }

  async begin(): Promise<void> {
    this.host = await createPlace(this.cleanup);
    const { host } = this;
    this.sick = await tapGuest(this.cleanup, host, A, { services: true });
    this.well = await vethGuest(this.cleanup, host, B, { services: true });
    const place = { name: 'apart', hostNamespace: host.path, interfaceName: 'apart' };
    const apart = await startNetnsGuest({ ...place, ...APART });
    this.cleanup.add(() => apart.stop());
    createLabBridge(host.path, BRIDGE, [A, B].map(tapOf), `${GATEWAY_IP}/16`);
    createLabBridge(host.path, OTHER_BRIDGE, ['apart'], `${APART.gateway}/${APART.prefix}`);
    await host.must(
      `ip link add ${ASIDE} type veth peer name aside1`,
      `ip link set ${ASIDE} up && ip link set aside1 up`,
    );
    // A neighbour that does not answer is given up in half a second, not in three.
    await host.set(`ipv4/neigh/${BRIDGE}/retrans_time_ms`, 150);
    const since = performance.now();
    await host.must(`${process.execPath} ${COMMAND} --version`);
    this.#startMs = performance.now() - since;
    if (!(await this.works({})) || !(await this.works({ fromWell: true })))
      throw new Error('the bridge does not work before the fault');
  }

  /** Whether the flow works in truth: ping, or a page of the port's. */
  async works({ port, fromWell }: Flow): Promise<boolean> {
    await Promise.all(
      [this.host, this.well].map((shell) => shell.run('ip neigh flush nud reachable nud stale')),
    );
    const from = fromWell === true ? this.well : this.host;
    if (port === undefined) return answers(from, A.ip, 1);
    return (await curl(from, `http://${A.ip}:${port}/`, 1)).exit === 0;
  }

  diagnoseSick({ port, fromWell }: Flow): Promise<Asked> {
    const words = [
      ...(port === undefined ? [] : ['--port', port]),
      ...(fromWell === true ? ['--peer', B.ip] : []),
    ];
    return this.#diagnose(tapOf(A), A.ip, words.join(' '));
  }

  diagnoseHealthy(which: 'well' | 'apart'): Promise<Asked> {
    return which === 'well' ? this.#diagnose(tapOf(B), B.ip) : this.#diagnose('apart', APART.ip);
  }

  async #diagnose(tap: string, ip: string, words = ''): Promise<Asked> {
    const command = `${process.execPath} ${COMMAND} diagnose --json --tap ${tap} --ip ${ip} ${words}`;
    const since = performance.now();
    const { status, stdout, stderr } = await this.host.run(command);
    const ms = performance.now() - since - this.#startMs;
    if (stdout === '') throw new Error(`${command}: ${stderr}`);
    return { ...(JSON.parse(stdout) as BridgeDecision), ms, status };
  }
}
