// Holds a TAP as a VMM does, and carries its frames to and from an interface in another namespace, whole:
// node net-vmm.mjs TAP NAMESPACE INTERFACE. Says "up" when it does.
import { FrameBatch } from '../../dist/port/batch.js';
import { PacketPort, PacketVectors } from '../../dist/port/packet-port.js';
import { TapPort } from '../../dist/port/tap-port.js';
import { EPOLLIN, Epoll, openEpoll } from '../../dist/sys/epoll.js';
import { inNamespace } from '../../dist/sys/netns.js';
import { openPacketSocket } from '../../dist/sys/packet-socket.js';
import { RouteSocket } from '../../dist/sys/rtnetlink.js';
import { openPersistentTap } from '../../dist/sys/tun.js';
import { allocateCounters, CounterBlock } from '../../dist/telemetry/counters.js';

const BUFFER_BYTES = 4 * 1024 * 1024;
const SLEEP_MS = 500;
const [tapName, namespace, interfaceName] = process.argv.slice(2);

const batch = new FrameBatch();
const all = Int32Array.from({ length: batch.capacity }, (_, slot) => slot);
const counters = new CounterBlock(allocateCounters(1, 2), 0, 2);
const tap = new TapPort(openPersistentTap(tapName), 0, counters);
const socket = inNamespace(namespace, () => {
  const { index } = new RouteSocket().linkByName(interfaceName);
  return openPacketSocket(index, BUFFER_BYTES);
});
const guest = new PacketPort(socket, 1, new PacketVectors(batch), counters);
const epoll = new Epoll(openEpoll(), 2);
epoll.add(tap.fd, EPOLLIN, 0);
epoll.add(guest.fd, EPOLLIN, 1);
process.stdout.write('up\n');
for (;;) {
  const ready = epoll.wait(SLEEP_MS);
  for (let i = 0; i < ready; i++) {
    const [from, to] = epoll.token(i) === 0 ? [tap, guest] : [guest, tap];
    const count = from.receive(batch);
    if (count > 0) to.transmit(batch, all, 0, count);
  }
}
