/**
 * A namespace that plays the host, guests in namespaces of their own behind veths, and a switch between them that
 * runs in this process. Guest n is `10.1.0.n` behind the host's interface `vm<n>`.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import pino, { type Logger } from 'pino';
import {
  type AttachOptions,
  createSwitch,
  type NetworkInput,
  type Switch,
  type SwitchOptions,
} from 'tapswitch';
import { indexOf, type NetnsGuest, startNetnsGuest, withRoutes } from '../../src/lab/netns-guest.ts';
import { type Outcome, runIn } from '../../src/lab/process.ts';
import { check, close, recv, send } from '../../src/sys/libc.ts';
import { macBytes } from '../../src/sys/link.ts';
import { MSG_DONTWAIT } from '../../src/sys/message-vector.ts';
import { createNamespace, inNamespace, type Namespace } from '../../src/sys/netns.ts';
import { openPacketSocket } from '../../src/sys/packet-socket.ts';
import { openPersistentTap } from '../../src/sys/tun.ts';
import { VNET_HEADER_BYTES } from '../../src/wire/vnet.ts';

export const HOST_ADDRESS = '10.1.0.254';
export const GATEWAY = '10.1.0.1';

export const addressOf = (n: number): string => `10.1.0.${n}`;
export const macOf = (n: number): string => `06:00:00:00:00:${n.toString(16).padStart(2, '0')}`;

/** A line of the switch's log, as pino writes it. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [key: string]: unknown;
}

export class Stage {
  readonly host: Namespace = createNamespace();
  /** The host port's name: no two stages share it, since a holder is looked up by name alone */
  readonly hostPort: string = `tsw${process.pid % 1e6}`;
  readonly log: LogLine[] = [];
  readonly logger: Logger = pino(
    { level: 'debug', base: null },
    { write: (line: string) => void this.log.push(JSON.parse(line)) },
  );
  readonly #undo: (() => unknown)[] = [];

  constructor() {
    withRoutes(this.host.path, (routes) => routes.changeLink(indexOf(routes, 'lo'), { up: true }));
  }

  /** Leaves `step` to be done at the end, before what was left earlier. */
  atEnd(step: () => unknown): void {
    this.#undo.push(step);
  }

  async end(): Promise<void> {
    for (let step = this.#undo.pop(); step !== undefined; step = this.#undo.pop()) await step();
    this.host.close();
  }

  async guest(n: number, prefix = 24): Promise<NetnsGuest> {
    const guest = await startNetnsGuest({
      name: `vm${n}`,
      hostNamespace: this.host.path,
      interfaceName: `vm${n}`,
      mac: macOf(n),
      ip: addressOf(n),
      prefix,
      gateway: GATEWAY,
    });
    this.atEnd(() => guest.stop());
    return guest;
  }

  /** Opens a TAP of the host as a VMM would; closed at the end, if not before. */
  holdTap(name: string): { fd: number; release(): void } {
    let open = true;
    const fd = inNamespace(this.host.path, () => openPersistentTap(name));
    const release = () => {
      if (open) close(fd);
      open = false;
    };
    this.atEnd(release);
    return { fd, release };
  }

  network(changes: Partial<NetworkInput> = {}): NetworkInput {
    const hostPort = { name: this.hostPort, address: HOST_ADDRESS, netns: this.host.path };
    return { subnet: '10.1.0.0/24', gateway: GATEWAY, mode: 'shared', hostPort, ...changes };
  }

  /** Starts a switch with the one network and, unless asked for, without the fast path; closed at the end. */
  async start(options: Partial<SwitchOptions> = {}): Promise<Switch> {
    const made = await createSwitch({
      networks: { default: this.network() },
      logger: this.logger,
      fastPath: 'off',
      ...options,
    });
    this.atEnd(() => made.close());
    return made;
  }

  /** What attaches guest `n`. */
  vm(n: number, changes: Partial<AttachOptions> = {}): AttachOptions {
    return { tap: `vm${n}`, netns: this.host.path, ip: addressOf(n), ...changes };
  }

  /** Output of a program in the host's namespace. */
  async run(...command: string[]): Promise<string> {
    const { status, stdout, stderr } = await runIn(this.host.path, command);
    if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
    return stdout;
  }
}

export interface PingResult {
  readonly sent: number;
  readonly received: number;
  /** Average round trip, `ms` */
  readonly average: number;
  readonly output: string;
  readonly status: number;
}

function parsePing({ stdout, stderr, status }: Outcome): PingResult {
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
  return {
    sent: Number(sent),
    received: Number(received),
    average: Number(/= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1]),
    output: stdout + stderr,
    status,
  };
}

/** Pings from the namespace at `from`, `intervalMs` apart. */
export async function ping(from: string, to: string, count = 3, intervalMs = 20): Promise<PingResult> {
  const interval = String(intervalMs / 1000);
  return parsePing(await runIn(from, ['ping', '-n', '-c', String(count), '-i', interval, '-W', '1', to]));
}

/** What this process has open beside files, sorted. */
export function openDescriptors(): string[] {
  const links: string[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      links.push(readlinkSync(`/proc/self/fd/${fd}`).replace(/\[\d+\]/, ''));
    } catch {
      // the listing's own descriptor
    }
  }
  return links.filter((link) => !link.startsWith('/proc/')).sort();
}

/** Sends one frame, behind an empty virtio-net header where none is given, from a packet socket. */
export function sendFrame(
  socket: number,
  frame: Uint8Array,
  header = new Uint8Array(VNET_HEADER_BYTES),
): void {
  const bytes = Buffer.concat([header, frame]);
  check('send a frame', send(socket, bytes, bytes.length, MSG_DONTWAIT));
}

/** Frames that wait at a packet socket, without their virtio-net headers. */
export function receiveFrames(socket: number): Buffer[] {
  const frames: Buffer[] = [];
  const room = new Uint8Array(70_000);
  for (;;) {
    const length = recv(socket, room, room.length, MSG_DONTWAIT);
    if (length < 0) return frames;
    frames.push(Buffer.from(room.slice(VNET_HEADER_BYTES, length)));
  }
}

/** Opens a packet socket on an interface of a namespace. */
export function packetSocketIn(namespace: string, interfaceName: string): number {
  const index = withRoutes(namespace, (routes) => indexOf(routes, interfaceName));
  return inNamespace(namespace, () => openPacketSocket(index, 16 * 1024 * 1024));
}

/** MAC of a guest's eth0, six bytes. */
export function macOfGuest(namespace: string): Uint8Array {
  return withRoutes(namespace, (routes) => macBytes(routes.linkByName('eth0')?.mac ?? ''));
}

/** An Ethernet frame of the local experimental EtherType, `bytes` long. */
export function ethernetFrame(to: Uint8Array, from: Uint8Array, bytes: number, mark = 0): Buffer {
  const frame = Buffer.alloc(bytes, mark);
  frame.set(to, 0);
  frame.set(from, 6);
  frame.writeUInt16BE(0x88b5, 12);
  return frame;
}
