import { expect, test } from 'vitest';
import { FrameBatch } from '../../src/port/batch.ts';
import { GATEWAY_PORT } from '../../src/switch/tables.ts';
import { dhcpFrame } from '../lib/dhcp-messages.ts';
import { A, B, GATEWAY } from '../lib/frames.ts';
import { echo6, GATEWAY6, listenerReport, routerSolicitation, solicitation, udp6 } from '../lib/frames6.ts';
import { heapGrowth } from '../lib/heap-growth.ts';
import { ServiceSwitch } from '../lib/service-switch.ts';

const FRAMES = 30_000;
/** One heap number a frame would be 16 bytes, 480 KB a round */
const ROUND_BYTES = 100_000;

test.each(['isolated', 'shared'] as const)(
  '%s: questions of every kind -> answered, nothing allocated',
  (mode) => {
    const net = new ServiceSwitch({ mode });
    const { forwarder, gateway, clock } = net;
    const a = net.vm(A);
    net.vm(B);
    gateway.dhcp.setHostname(a, 'vm-1');
    const batch = new FrameBatch(1);
    const source = 'fd00:74:1:2::e';
    const six = { from: A, to: GATEWAY, source, destination: GATEWAY6 };
    const kinds = [
      solicitation({ from: A, source }, GATEWAY6),
      solicitation({ from: A, source }, 'fd00::b'),
      routerSolicitation({ from: A, source }),
      listenerReport(A, 'fe80::1'),
      echo6(six),
      udp6(six),
      dhcpFrame({ from: A, type: 1, more: [61, 3, 1, 2, 3] }),
      dhcpFrame({ from: A, type: 3, requested: B.ip }),
    ];
    const play = () => {
      let seen = 0;
      for (let i = 0; i < FRAMES; i++) {
        const frame = kinds[i % kinds.length]!;
        batch.u8.set(frame, batch.start[0]);
        batch.length[0] = frame.length;
        // Slow enough for the limits to let all of them through
        clock.ms = (clock.ms + 30) | 0;
        const verdict = forwarder.decide(batch, 0, a);
        seen += verdict === GATEWAY_PORT ? gateway.handle(batch, 0, a) : verdict;
      }
      return seen;
    };
    expect(heapGrowth(play)).toBeLessThan(ROUND_BYTES);
    batch.release();
  },
  60_000,
);
