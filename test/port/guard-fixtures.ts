/** A host with a guest behind a veth, what reaches each of them, and a BPF file system of our own. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { isBpffs, loadVerdictProgram, TCX } from '../../src/sys/bpf.ts';
import { bind, check, close, recv, socket, unshare } from '../../src/sys/libc.ts';
import { createNamespace, inNamespace, type Namespace } from '../../src/sys/netns.ts';
import { RouteSocket } from '../../src/sys/rtnetlink.ts';

const CLONE_NEWNS = 0x20000;
const MSG_DONTWAIT = 0x40;
const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETH_P_ALL = 3;
export const HOST_ADDRESSES = ['10.77.0.1', '10.78.0.1', 'fd77::1'];

export interface Scene {
  readonly host: Namespace;
  readonly guest: Namespace;
  /** Of the host's namespace */
  readonly route: RouteSocket;
  close(): void;
}

export function indexOf(route: RouteSocket, name: string): number {
  const link = route.linkByName(name);
  if (link === undefined) throw new Error(`no link ${name}`);
  return link.index;
}

/** Joins host and guest by a veth: `name` at the host, `eth0` at the guest. */
export function joinGuest({ guest, route }: Pick<Scene, 'guest' | 'route'>, name: string): void {
  route.createVeth(name, 'eth0', guest.path);
  const index = indexOf(route, name);
  route.changeLink(index, { up: true });
  for (const address of ['10.77.0.1/24', 'fd77::1/64']) route.addAddress(index, address);
  const inside = inNamespace(guest.path, () => new RouteSocket());
  const eth0 = indexOf(inside, 'eth0');
  inside.changeLink(eth0, { up: true });
  for (const address of ['10.77.0.2/24', 'fd77::2/64']) inside.addAddress(eth0, address);
  inside.addRoute({ destination: 'default', gateway: '10.77.0.1' });
  inside.close();
  // A neighbour that does not answer is given up at once, not after three seconds
  for (const ip of ['ipv4', 'ipv6']) {
    const path = `/proc/sys/net/${ip}/neigh/eth0/retrans_time_ms`;
    inNamespace(guest.path, () => writeFileSync(path, '50'));
  }
  const loopback = indexOf(route, 'lo');
  route.changeLink(loopback, { up: true });
  route.addAddress(loopback, '10.78.0.1/32');
}

export function createScene(name: string): Scene {
  const host = createNamespace();
  const guest = createNamespace();
  const route = inNamespace(host.path, () => new RouteSocket());
  joinGuest({ guest, route }, name);
  const close = () => {
    route.close();
    host.close();
    guest.close();
  };
  return { host, guest, route, close };
}

/** Output of a program run in a namespace; throws where its status is not 0. */
export function run(namespace: Namespace, ...command: string[]): string {
  return execFileSync('nsenter', [`--net=${namespace.path}`, ...command], {
    encoding: 'utf8',
    stdio: 'pipe',
  });
}

/** Addresses of the host that answer the guest's ping. */
export function reachable({ guest }: Scene, addresses = HOST_ADDRESSES): string[] {
  return addresses.filter((address) => {
    try {
      run(guest, 'ping', '-n', '-c', '2', '-i', '0.2', '-W', '0.5', address);
      return true;
    } catch {
      return false;
    }
  });
}

/** Frames that a packet socket on a host's interface sees while `work` runs. */
export function framesSeen({ host, route }: Scene, name: string, work: () => void): number {
  const address = Buffer.alloc(20); // struct sockaddr_ll
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(ETH_P_ALL, 2);
  address.writeInt32LE(indexOf(route, name), 4);
  const fd = inNamespace(host.path, () => check('open a packet socket', socket(AF_PACKET, SOCK_RAW, 0)));
  try {
    check('bind a packet socket', bind(fd, address, address.length));
    work();
    const frame = new Uint8Array(2048);
    let seen = 0;
    while (recv(fd, frame, frame.length, MSG_DONTWAIT) > 0) seen++;
    return seen;
  } finally {
    close(fd);
  }
}

/**
 * Gives this process (its main thread and what it starts) a mount namespace of its own with a BPF file system
 * in the usual place. Returns whether BPF programs can be loaded at all: not in a user namespace.
 */
export function mountPrivateBpffs(): boolean {
  try {
    check('unshare mounts', unshare(CLONE_NEWNS));
    execFileSync('mount', ['--make-rprivate', '/'], { stdio: 'pipe' });
    execFileSync('mount', ['-t', 'bpf', 'bpf', '/sys/fs/bpf'], { stdio: 'pipe' });
    close(loadVerdictProgram(TCX.next));
    return isBpffs('/sys/fs/bpf');
  } catch {
    return false;
  }
}
