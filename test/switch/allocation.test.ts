import { expect, test } from 'vitest';
import { FrameBatch } from '../../src/port/batch.ts';
import { GATEWAY_PORT } from '../../src/switch/tables.ts';
import {
  A,
  arpRequest,
  B,
  EVERYBODY,
  GATEWAY,
  HOST,
  icmpEcho,
  ipv4Tcp,
  ipv4Udp,
  ipv6,
} from '../lib/frames.ts';
import { heapGrowth } from '../lib/heap-growth.ts';
import { TestSwitch } from '../lib/test-switch.ts';

const FRAMES = 50_000;
/** One heap number a frame would be 16 bytes, 800 KB a round */
const ROUND_BYTES = 100_000;

test.each(['isolated', 'shared'] as const)(
  '%s: a million frames of every kind -> nothing allocated',
  (mode) => {
    const net = new TestSwitch({ mode });
    const { forwarder, clock, gateway } = net;
    const [a, host] = [net.vm(A), net.host];
    net.vm(B);
    const batch = new FrameBatch(1);
    const kinds: [number, Uint8Array][] = [
      [a, ipv4Tcp({ from: A, to: B })],
      [a, ipv4Udp({ from: A, to: EVERYBODY })],
      [a, ipv6({ from: A, to: B }, 'fd00::a')],
      [a, arpRequest({ from: A, about: GATEWAY })],
      [a, icmpEcho({ from: A, to: GATEWAY })],
      [a, ipv4Udp({ from: A, to: GATEWAY })],
      [host, ipv4Tcp({ from: HOST, to: A, fromPort: 50_000, toPort: 8080 })],
      [a, ipv4Tcp({ from: A, to: HOST, fromPort: 8080, toPort: 50_000 })],
    ];
    const play = () => {
      let seen = 0;
      for (let i = 0; i < FRAMES; i++) {
        const [ingress, frame] = kinds[i % kinds.length]!;
        batch.u8.set(frame, batch.start[0]);
        batch.length[0] = frame.length;
        if (i % 50 === 0) clock.ms = (clock.ms + 1) | 0;
        const verdict = forwarder.decide(batch, 0, ingress);
        seen += verdict === GATEWAY_PORT ? gateway.handle(batch, 0, ingress) : verdict;
      }
      return seen;
    };
    expect(heapGrowth(play)).toBeLessThan(ROUND_BYTES);
    batch.release();
  },
  30_000,
);
