/**
 * A VMM without offloads: a process that holds the descriptor end of a host's TAP and of a TAP that is a guest's
 * eth0, and carries each frame from one to the other as it is. Its guest has a kernel of its own, so to speak.
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { configureGuest, type GuestAddresses } from '../../src/lab/netns-guest.ts';
import { spawnIn } from '../../src/lab/process.ts';
import { createNamespace } from '../../src/sys/netns.ts';
import { DIST } from './engine-command.ts';

const WIRE = `
  import { Epoll, EPOLLIN, openEpoll } from '${DIST}sys/epoll.js';
  import { ioctlValue, read, write } from '${DIST}sys/libc.js';
  import { mapMemory } from '${DIST}sys/memory.js';
  import { inNamespace } from '${DIST}sys/netns.js';
  import { openPersistentTap } from '${DIST}sys/tun.js';
  const [, , host, hostTap, guest] = process.argv;
  const TUNSETOFFLOAD = 0x400454d0;
  const fds = [
    inNamespace(host, () => openPersistentTap(hostTap)),
    inNamespace(guest, () => openPersistentTap('eth0')),
  ];
  for (const fd of fds) if (ioctlValue(fd, TUNSETOFFLOAD, 0) < 0) throw new Error('TUNSETOFFLOAD');
  const memory = mapMemory(70_000);
  const epoll = new Epoll(openEpoll(), 2);
  for (const fd of fds) epoll.add(fd, EPOLLIN, fd);
  const seen = { frames: 0, offloaded: 0, longest: 0 };
  console.log('up');
  setImmediate(function turn() {
    const ready = epoll.wait(50);
    for (let i = 0; i < ready; i++) {
      const from = epoll.token(i);
      const to = from === fds[0] ? fds[1] : fds[0];
      for (let n = 0; n < 64; n++) {
        const length = read(from, memory.address, memory.bytes);
        if (length <= 0) break;
        seen.frames++;
        // Neither an unfinished checksum nor a GSO frame may reach who has no offloads.
        if ((memory.u8[0] & 1) !== 0 || memory.u8[1] !== 0) seen.offloaded++;
        seen.longest = Math.max(seen.longest, length - 10);
        memory.u8.fill(0, 0, 10);
        write(to, memory.address, length);
      }
    }
    setImmediate(turn);
  });
  process.stdin.on('data', () => console.log(JSON.stringify(seen))).on('end', () => process.exit());
`;

export interface WireStats {
  readonly frames: number;
  /** Frames that came with a checksum or segmentation left to the receiver */
  readonly offloaded: number;
  /** Bytes of the longest */
  readonly longest: number;
}

export interface TapGuest {
  readonly namespace: string;
  stats(): Promise<WireStats>;
  stop(): Promise<void>;
}

/** Starts such a guest behind the TAP `hostTap`, made where it is not there, of the namespace at `host`. */
export async function startTapGuest(
  host: string,
  hostTap: string,
  addresses: GuestAddresses,
): Promise<TapGuest> {
  const namespace = createNamespace();
  const child = spawnIn(
    undefined,
    [process.execPath, '--input-type=module', '-e', WIRE, 'wire', host, hostTap, namespace.path],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  const ended = once(child, 'close');
  if ((await lines.next()).value !== 'up') throw new Error('the wire is not up');
  configureGuest(namespace.path, 'eth0', addresses);
  return {
    namespace: namespace.path,
    stats: async () => {
      child.stdin?.write('?');
      return JSON.parse((await lines.next()).value) as WireStats;
    },
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
      namespace.close();
    },
  };
}
