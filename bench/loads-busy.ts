/** Round trips while a bulk stream fills the same way: what queues there are. */
import type { Load } from './loads.ts';
import { byteTrip } from './loads-connections.ts';
import { startProgram, stopProgram } from './processes.ts';
import { CLIENT_PROCESSOR, pinned, SERVER_PROCESSOR } from './processors.ts';
import { PORTS } from './rig.ts';

const PORT = String(PORTS.iperf3);
/** Longer than any sample: it is ended */
const BULK_SECONDS = '60';

export const busyTrip = (protocol: 'tcp' | 'udp'): Load => {
  const trip = byteTrip(protocol);
  return {
    id: `${trip.id}.busy`,
    unit: trip.unit,
    async run(rig, pace) {
      const serve = ['iperf3', '-s', '-p', PORT, '-1', '--forceflush'];
      const server = await startProgram(rig.server, pinned(SERVER_PROCESSOR, serve), 'listening');
      try {
        const send = ['iperf3', '-c', rig.address, '-p', PORT, '-t', BULK_SECONDS, '--forceflush'];
        const bulk = await startProgram(rig.client, pinned(CLIENT_PROCESSOR, send), 'connected');
        try {
          return await trip.run(rig, pace);
        } finally {
          await stopProgram(bulk);
        }
      } finally {
        await stopProgram(server);
      }
    },
  };
};
