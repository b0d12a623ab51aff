/** Lines of `tapswitch trace`. */
import { expect, test } from 'vitest';
import type { ReadPacket } from '../../src/capture/pcapng-reader.ts';
import { FrameSummary, SUMMARY_BYTES } from '../../src/capture/summary/frame.ts';
import { type Paint, traceLine } from '../../src/cli/trace.ts';
import { SNIFFED_BYTES } from '../../src/fastpath/fast-path.ts';
import { A, arpRequest, GATEWAY, VNET_BYTES } from '../lib/frames.ts';

const frame = arpRequest({ from: A, about: GATEWAY }).subarray(VNET_BYTES);
const noon = new Date(2026, 9, 5, 12, 0, 7).getTime();
const PACKET: ReadPacket & { interfaceName: string } = {
  ...{ interfaceName: 'web', interfaceId: 0, time: BigInt(noon) * 1_000_000n + 5_678_999n, bytes: frame },
  ...{ originalLength: frame.length, direction: 'in', comment: '', lost: 0 },
};
const plain: Paint = (_, text) => text;
const marked: Paint = (colour, text) => `<${colour}>${text}</>`;
const line = (packet: Partial<typeof PACKET>, paint = plain) =>
  traceLine({ ...PACKET, ...packet }, new FrameSummary(), paint);

test('received, sent, dropped -> local time, port, arrow, frame, reason', () => {
  const what = 'ARP who-has 192.168.0.1 tell 192.168.0.14';
  expect(line({})).toBe(`12:00:07.005678 web -> ${what}`);
  expect(line({ direction: 'out' })).toBe(`12:00:07.005678 web <- ${what}`);
  expect(line({ comment: 'dropped: port-down' })).toBe(`12:00:07.005678 web -> ${what} [dropped: port-down]`);
});

test('colours -> around time, arrow and reason', () => {
  expect(line({ comment: 'dropped: vlan' }, marked)).toMatch(
    /^<dim>12:00:07\.005678<\/> web <cyan>-><\/> ARP .* <red>\[dropped: vlan]<\/>$/,
  );
  expect(line({ direction: 'out' }, marked)).toContain('<green><-</>');
});

test('a name that would move the cursor -> cannot', () => {
  expect(line({ interfaceName: 'a\x1b[2Jb' })).toContain(' a?[2Jb -> ');
});

test('what a line is made of -> no more than is seen of frames on the fast path, which a trace leaves there', () => {
  expect(SUMMARY_BYTES).toBeLessThanOrEqual(SNIFFED_BYTES);
});
