import { afterAll, describe, expect, test } from 'vitest';
import { BATCH_FRAMES, FrameBatch, MAX_FRAME_BYTES, RECEIVED_CUT } from '../../src/port/batch.ts';
import { sendFailure } from '../../src/port/port.ts';
import { EAGAIN, EMSGSIZE, ENETDOWN, ENOBUFS } from '../../src/sys/errno.ts';
import { DROP_REASONS } from '../../src/telemetry/drops.ts';
import { framesOf, marked } from '../lib/batches.ts';

const EINVAL = 22;
const batch = new FrameBatch(3);

afterAll(() => batch.release());

describe('a batch', () => {
  test('its slots -> apart, each with room for the longest frame and an address of its own', () => {
    expect(batch.capacity).toBe(3);
    const ends = [...batch.start].map((start) => start + MAX_FRAME_BYTES);
    expect(batch.start[1]).toBeGreaterThanOrEqual(ends[0]!);
    expect(batch.start[2]).toBeGreaterThanOrEqual(ends[1]!);
    expect(batch.u8.length).toBeGreaterThanOrEqual(ends[2]!);
    for (const slot of [1, 2]) {
      expect(batch.address(slot) - batch.address(0)).toBe(batch.start[slot]! - batch.start[0]!);
      const split = batch.addressHigh[slot]! * 2 ** 32 + (batch.addressLow[slot]! >>> 0);
      expect(split).toBe(batch.address(slot));
    }
  });

  test('the IP header of an untagged frame -> on a boundary of four bytes', () => {
    for (const [slot, start] of batch.start.entries()) {
      expect((start + 10 + 14) % 4).toBe(0);
      expect((batch.address(slot) + 10 + 14) % 4).toBe(0);
    }
  });

  test('capacity not given -> that of the datapath', () => {
    const usual = new FrameBatch();
    expect(usual.capacity).toBe(BATCH_FRAMES);
    usual.release();
  });

  test('a frame placed -> behind an empty virtio-net header, whole, its neighbours untouched', () => {
    batch.u8.fill(0xff);
    batch.condition.fill(RECEIVED_CUT);
    batch.place(0, marked(1).subarray(10));
    batch.place(2, marked(3).subarray(10));
    batch.place(1, marked(2, 1514).subarray(10));
    expect(framesOf(batch, 3)).toEqual([marked(1), marked(2, 1514), marked(3)]);
    expect([...batch.condition]).toEqual([0, 0, 0]);
    expect(batch.u8[batch.start[1]! - 1]).toBe(0xff);
    expect(batch.u8[batch.start[1]! + 1524]).toBe(0xff);
  });
});

test.each([
  ['ENOBUFS', ENOBUFS, 'queue-full'],
  ['EAGAIN', EAGAIN, 'queue-full'],
  ['EMSGSIZE', EMSGSIZE, 'too-big'],
  ['ENETDOWN', ENETDOWN, 'port-down'],
  ['EINVAL', EINVAL, 'send-refused'],
  ['an errno nobody thought of', 200, 'send-refused'],
])('a send that failed with %s -> %s', (_name, errno, reason) => {
  expect(DROP_REASONS[sendFailure(errno)]).toBe(reason);
});
