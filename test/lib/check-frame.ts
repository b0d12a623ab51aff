/** What every frame that leaves the switch must be, whatever a test asks of it: lengths and checksums right. */
import { expect } from 'vitest';
import { internetChecksum, pseudoHeader } from './checksum.ts';
import { ARP, ICMP, IPV4, IPV6, PACKET, TCP, UDP, VNET_BYTES } from './frames.ts';

const NEEDS_CSUM = 1;

export function etherTypeOf(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset).getUint16(PACKET - 2);
}

/** Expects whole headers and right checksums of ARP, IPv4 with ICMP, TCP and UDP, and IPv6. */
export function expectSound(frame: Uint8Array): void {
  expect(frame.length).toBeGreaterThanOrEqual(PACKET);
  const packet = frame.subarray(PACKET);
  switch (etherTypeOf(frame)) {
    case ARP:
      expect(packet.length).toBeGreaterThanOrEqual(28);
      expect([...packet.subarray(0, 6)]).toEqual([0, 1, 8, 0, 6, 4]);
      break;
    case IPV4:
      expectSoundIpv4(packet, ((frame[0] as number) & NEEDS_CSUM) !== 0);
      break;
    case IPV6: {
      const payload = new DataView(packet.buffer, packet.byteOffset).getUint16(4);
      expect(40 + payload).toBeLessThanOrEqual(packet.length);
    }
  }
}

function expectSoundIpv4(packet: Uint8Array, checksumLeftOut: boolean): void {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const header = ((packet[0] as number) & 0x0f) * 4;
  const total = view.getUint16(2);
  expect((packet[0] as number) >>> 4).toBe(4);
  expect(header).toBeGreaterThanOrEqual(20);
  expect(header).toBeLessThanOrEqual(total);
  expect(total).toBeLessThanOrEqual(packet.length);
  expect(internetChecksum(packet.subarray(0, header))).toBe(0);
  const fragment = (view.getUint16(6) & 0x3fff) !== 0;
  if (fragment || checksumLeftOut) return;
  const payload = packet.subarray(header, total);
  const protocol = packet[9] as number;
  if (protocol === ICMP) expect(internetChecksum(payload)).toBe(0);
  if (protocol === TCP || protocol === UDP) {
    const pseudo = pseudoHeader(packet.subarray(12, 20), protocol, payload.length);
    expect(internetChecksum(pseudo, payload)).toBe(0);
  }
}

/** Expects that the gateway made the frame itself: nothing left to compute or segment, no byte behind the packet. */
export function expectMadeByGateway(frame: Uint8Array): void {
  expectSound(frame);
  expect([...frame.subarray(0, VNET_BYTES)]).toEqual(new Array(VNET_BYTES).fill(0));
  const view = new DataView(frame.buffer, frame.byteOffset);
  const bytes = etherTypeOf(frame) === ARP ? 28 : view.getUint16(PACKET + 2);
  expect(frame.length).toBe(PACKET + bytes);
}
