// Sends one frame over and over, as fast as it goes, until SIGTERM: node net-storm.mjs INTERFACE HEX, the frame behind
// its virtio-net header. Says "up" before the first and how many it has sent at the end.
import { setImmediate as breathe } from 'node:timers/promises';
import { FrameBatch } from '../../dist/port/batch.js';
import { PacketPort, PacketVectors } from '../../dist/port/packet-port.js';
import { openPacketSocket } from '../../dist/sys/packet-socket.js';
import { RouteSocket } from '../../dist/sys/rtnetlink.js';
import { allocateCounters, CounterBlock, CounterReader } from '../../dist/telemetry/counters.js';

const BUFFER_BYTES = 4 * 1024 * 1024;
const BATCHES_PER_BREATH = 50;
const [interfaceName, hex] = process.argv.slice(2);
const frame = Buffer.from(hex, 'hex');
const batch = new FrameBatch();
const all = Int32Array.from({ length: batch.capacity }, (_, slot) => slot);
for (const slot of all) {
  batch.u8.set(frame, batch.start[slot]);
  batch.length[slot] = frame.length;
}
const memory = allocateCounters(1, 1);
const { index } = new RouteSocket().linkByName(interfaceName);
const socket = openPacketSocket(index, BUFFER_BYTES);
const port = new PacketPort(socket, 0, new PacketVectors(batch), new CounterBlock(memory, 0, 1));
let over = false;
process.once('SIGTERM', () => {
  over = true;
});
process.stdout.write('up\n');
while (!over) {
  for (let i = 0; i < BATCHES_PER_BREATH; i++) port.transmit(batch, all, 0, batch.capacity);
  await breathe();
}
process.stdout.write(`${new CounterReader(memory, 1).read(0).txFrames}\n`);
process.exit();
