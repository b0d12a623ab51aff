/**
 * A daemon in a namespace that plays the host, with two VMs: `sick`, to which a fault is done, and `well` beside it.
 * Both have a service at port 5300 that answers.
 */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { type Client, createClient, type Diagnosis } from '../../src/client/client.ts';
import { indexOf, type NetnsGuest, withRoutes } from '../../src/lab/netns-guest.ts';
import { spawnIn } from '../../src/lab/process.ts';
import { scratch, startUp } from './engine-command.ts';
import { addressOf } from './engine-stage.ts';
import { GatewayStage, type Peer } from './gateway-stage.ts';

const WAIT = { timeout: 8000, interval: 50 };
const VMM = fileURLToPath(new URL('net-vmm.mjs', import.meta.url));
export const SICK = 11;
export const WELL = 12;
export const PORT = 5300;

export class GalleryStage extends GatewayStage {
  readonly files: ReturnType<typeof scratch> = scratch();
  readonly client: Client = createClient({ socket: join(this.files.path, 'api.sock') });
  /** The guest that the fault is done to, and its service */
  sick!: NetnsGuest;
  service!: Peer;

  /** Starts all of it, and waits until both VMs are healthy. */
  async begin(): Promise<void> {
    this.atEnd(() => this.files.remove());
    this.sick = await this.guest(SICK);
    const well = await this.guest(WELL);
    this.service = await this.serve(this.sick.namespace, 'echo', PORT);
    await this.serve(well.namespace, 'echo', PORT);
    const env = {
      TAPSWITCH_SOCKET: join(this.files.path, 'api.sock'),
      TAPSWITCH_STATE: join(this.files.path, 'state'),
    };
    const config = { networks: { default: this.network() } };
    const daemon = await startUp(this.host.path, config, this.files, { env });
    this.atEnd(async () => {
      daemon.child.kill('SIGKILL');
      await daemon.ended;
    });
    await this.client.putVm('sick', { tap: `vm${SICK}`, ip: addressOf(SICK) });
    await this.client.putVm('well', { tap: `vm${WELL}`, ip: addressOf(WELL) });
    await vi.waitFor(async () => {
      for (const id of ['sick', 'well']) {
        const { verdict } = await this.client.diagnose(id, PORT);
        if (verdict.code !== 'HEALTHY') throw new Error(`${id}: ${verdict.code}`);
      }
    }, WAIT);
  }

  /** Registers the VM `sick` anew. */
  async register(request: Parameters<Client['putVm']>[1]): Promise<void> {
    await this.client.deleteVm('sick');
    await this.client.putVm('sick', request);
  }

  /** The verdict on `sick`, how long it took, and the one on `well` right after. */
  async ask(port?: number): Promise<{ sick: Diagnosis; well: Diagnosis; ms: number }> {
    const since = performance.now();
    const sick = await this.client.diagnose('sick', port);
    const ms = performance.now() - since;
    return { sick, well: await this.client.diagnose('well', PORT), ms };
  }

  /** A process of its own that holds a TAP of the host, as a VMM does. */
  async holdElsewhere(name: string): Promise<ChildProcess> {
    return this.#keep(this.host.path, [VMM, name, this.sick.namespace, 'eth0']);
  }

  /** A server in the guest that nobody outside it can reach. */
  async listenOnLoopback(port: number): Promise<void> {
    const program = `require('net').createServer().listen(${port}, '127.0.0.1', () => console.log('up'))`;
    await this.#keep(this.sick.namespace, ['-e', program]);
  }

  /** Runs Node until the end, and waits for its first word. */
  async #keep(namespace: string, words: readonly string[]): Promise<ChildProcess> {
    const child = spawnIn(namespace, [process.execPath, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    this.atEnd(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    await Promise.race([once(child.stdout as Readable, 'data'), ended]);
    return child;
  }

  /** Runs a program in the guest, which must work. */
  inGuest(...command: string[]): void {
    run(this.sick.namespace, command);
  }

  /** Runs a program in the host's namespace, which must work. */
  onHost(...command: string[]): void {
    run(this.host.path, command);
  }

  /** Sets an interface of the host up or down. */
  setUp(name: string, up: boolean): void {
    withRoutes(this.host.path, (routes) => routes.changeLink(indexOf(routes, name), { up }));
  }
}

function run(namespace: string, command: readonly string[]): void {
  const { status, stderr } = spawnSync('nsenter', [`--net=${namespace}`, ...command], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
}
