/** What every frame that leaves the switch must be, whatever a test asks of it: lengths and checksums right. */
import { expect } from 'vitest';
import { internetChecksum, pseudoHeader, pseudoHeader6 } from './checksum.ts';
import { ARP, ICMP, ICMPV6, IPV4, IPV6, PACKET, TCP, UDP, VNET_BYTES } from './frames.ts';

const NEEDS_CSUM = 1;

export function etherTypeOf(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset).getUint16(PACKET - 2);
}

/** Expects whole headers and right checksums of ARP, and of IPv4 and IPv6 with ICMP, TCP and UDP. */
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
    case IPV6:
      expectSoundIpv6(packet, ((frame[0] as number) & NEEDS_CSUM) !== 0);
  }
}

/** Of packets with extension headers only the lengths. */
function expectSoundIpv6(packet: Uint8Array, checksumLeftOut: boolean): void {
  const end = 40 + new DataView(packet.buffer, packet.byteOffset).getUint16(4);
  expect((packet[0] as number) >>> 4).toBe(6);
  expect(end).toBeLessThanOrEqual(packet.length);
  const protocol = packet[6] as number;
  if (checksumLeftOut || ![ICMPV6, TCP, UDP].includes(protocol)) return;
  const pseudo = pseudoHeader6(packet.subarray(8, 40), protocol, end - 40);
  expect(internetChecksum(pseudo, packet.subarray(40, end))).toBe(0);
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

/** True for a TCP segment in a packet without extension headers. */
export function isTcp(frame: Uint8Array): boolean {
  const type = etherTypeOf(frame);
  return (type === IPV4 && frame[PACKET + 9] === TCP) || (type === IPV6 && frame[PACKET + 6] === TCP);
}

/** A segment of the gateway's with the checksum that it leaves to whoever takes it. */
export function withChecksum(frame: Uint8Array): Uint8Array {
  const copy = frame.slice();
  const view = new DataView(copy.buffer);
  const start = VNET_BYTES + view.getUint16(6, true);
  const at = start + view.getUint16(8, true);
  view.setUint16(at, internetChecksum(copy.subarray(start)));
  copy.fill(0, 0, VNET_BYTES);
  return copy;
}

/** Expects that the gateway made the frame itself: nothing left to segment, no byte behind the packet. */
export function expectMadeByGateway(frame: Uint8Array): void {
  expectSound(frame);
  if (isTcp(frame)) {
    const start = etherTypeOf(frame) === IPV4 ? 34 : 54;
    const headers = start + ((frame[VNET_BYTES + start + 12] as number) >>> 4) * 4;
    expect([...frame.subarray(0, VNET_BYTES)]).toEqual([NEEDS_CSUM, 0, headers, 0, 0, 0, start, 0, 16, 0]);
    expectSound(withChecksum(frame));
  } else expect([...frame.subarray(0, VNET_BYTES)]).toEqual(new Array(VNET_BYTES).fill(0));
  const view = new DataView(frame.buffer, frame.byteOffset);
  expect(frame.length).toBe(PACKET + packetBytes(view, etherTypeOf(frame)));
}

function packetBytes(view: DataView, type: number): number {
  if (type === ARP) return 28;
  return type === IPV6 ? 40 + view.getUint16(PACKET + 4) : view.getUint16(PACKET + 2);
}
