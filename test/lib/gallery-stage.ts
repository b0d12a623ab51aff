/**
 * A daemon in a namespace that plays the host, with two VMs: `sick`, to which a fault is done, and `well` beside it.
 * Both have a service at port 5300 that answers.
 */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { VmInput } from 'tapswitch';
import { vi } from 'vitest';
import { type Client, createClient, type Diagnosis } from '../../src/client/client.ts';
import type { Guest } from '../../src/lab/guest.ts';
import { indexOf, type NetnsGuest, withRoutes } from '../../src/lab/netns-guest.ts';
import { runIn, spawnIn } from '../../src/lab/process.ts';
import { startQemuGuest } from '../../src/lab/qemu-guest.ts';
import { type Daemon, scratch, startUp } from './engine-command.ts';
import { addressOf, GATEWAY, HOST_ADDRESS, macOf } from './engine-stage.ts';
import { freezeThread, threadNamed } from './freeze-thread.ts';
import { GatewayStage, type Peer } from './gateway-stage.ts';

const WAIT = { timeout: 8000, interval: 50 };
const VMM = fileURLToPath(new URL('net-vmm.mjs', import.meta.url));
export const SICK = 11;
export const WELL = 12;
export const PORT = 5300;
/** Of each VM */
export const MOST_FLOWS = 8;
export const MOST_HALF_OPEN = 4;

export class GalleryStage extends GatewayStage {
  readonly files: ReturnType<typeof scratch> = scratch();
  readonly client: Client = createClient({ socket: join(this.files.path, 'api.sock') });
  /** The guest that the fault is done to, and its service */
  sick!: NetnsGuest;
  service!: Peer;
  #daemon: Daemon | undefined;

  /** Starts all of it, and waits until both VMs are healthy. */
  async begin(): Promise<void> {
    this.atEnd(() => this.files.remove());
    this.sick = await this.guest(SICK);
    const well = await this.guest(WELL);
    this.service = await this.serve(this.sick.namespace, 'echo', PORT);
    await this.serve(well.namespace, 'echo', PORT);
    this.atEnd(() => this.stopDaemon());
    await this.startDaemon();
    await this.client.putVm('sick', { tap: `vm${SICK}`, ip: addressOf(SICK) });
    await this.client.putVm('well', { tap: `vm${WELL}`, ip: addressOf(WELL) });
    await vi.waitFor(async () => {
      for (const id of ['sick', 'well']) {
        const { verdict } = await this.client.diagnose(id, PORT);
        if (verdict.code !== 'HEALTHY') throw new Error(`${id}: ${verdict.code}`);
      }
    }, WAIT);
  }

  /** @param vms of the configuration */
  async startDaemon(vms: Record<string, VmInput> = {}): Promise<void> {
    const env = {
      TAPSWITCH_SOCKET: join(this.files.path, 'api.sock'),
      TAPSWITCH_STATE: join(this.files.path, 'state'),
    };
    const network = this.network({
      hostPort: { name: this.hostPort, address: HOST_ADDRESS },
      subnet6: 'fd00:1::/64',
      // Nobody is there
      dns: { upstreams: ['127.0.0.1:9'] },
      limits: { tcpFlows: MOST_FLOWS, halfOpenFlows: MOST_HALF_OPEN },
    });
    const config = { networks: { default: network }, vms, workers: 2 };
    this.#daemon = await startUp(this.host.path, config, this.files, { env });
  }

  /** Ends it without a word, as a crash does. */
  async stopDaemon(): Promise<void> {
    this.#daemon?.child.kill('SIGKILL');
    await this.#daemon?.ended;
  }

  /** Stops the datapath thread that `sick` is at home at: its port is number 2, that of `well` 3. */
  wedgeWorker(): void {
    const home = threadNamed((this.#daemon as Daemon).pid, 'tapswitch-0');
    this.atEnd(freezeThread(home));
  }

  /** Opens connections to a port of `sick` by a forward, and keeps them until the end. */
  async connectByForward(guestPort: number, count: number): Promise<void> {
    const [{ host } = { host: '' }] = await this.client.addForward('sick', `0:${guestPort}`);
    const [address, port] = host.split(':');
    for (let i = 0; i < count; i++) {
      const socket = connect(Number(port), address).on('error', () => {});
      this.atEnd(() => socket.destroy());
      await once(socket, 'connect');
    }
  }

  /** Listens on a port of the host's loopback until the end. */
  async takePort(port: number): Promise<void> {
    const server = createServer().listen(port, '127.0.0.1');
    this.atEnd(() => server.close());
    await once(server, 'listening');
  }

  /** A real guest on a TAP of its own instead of the one in a namespace; its console's end is waited for. */
  async bootQemu(): Promise<Guest> {
    await this.register({ createTap: {}, ip: addressOf(SICK) });
    const identity = { name: 'sick', mac: macOf(SICK), ip: addressOf(SICK), prefix: 24, gateway: GATEWAY };
    const guest = await startQemuGuest({ ...identity, tap: 'fc-sick', namespace: this.host.path });
    this.atEnd(() => guest.stop());
    await guest.ready();
    return guest;
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

  /** Runs a shell command in the guest, whatever comes of it. */
  async tryInGuest(command: string): Promise<void> {
    await runIn(this.sick.namespace, ['sh', '-c', command]);
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
