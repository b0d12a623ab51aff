/** What every frame has in common that the gateway writes into the slot of the one it answers. */
import type { FrameBatch } from '../port/batch.ts';
import { GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW } from '../switch/gateway-mac.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as vnet from '../wire/vnet.ts';

/**
 * Makes a frame of the packet that was written behind the Ethernet header of `slot`: from the gateway, to the MAC
 * given, `packetBytes` long, with nothing left to compute or segment.
 */
export function seal(
  batch: FrameBatch,
  slot: number,
  type: number,
  packetBytes: number,
  high: number,
  low: number,
): void {
  const start = batch.start[slot] as number;
  const frame = start + vnet.VNET_HEADER_BYTES;
  vnet.clear(batch.view, start);
  ethernet.writeHeader(batch.view, frame, high, low, GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW, type);
  batch.length[slot] = vnet.VNET_HEADER_BYTES + ethernet.ETHERNET_HEADER_BYTES + packetBytes;
}

/** True when the sender left the checksum to us, so that what stands there is only a part of it. */
export function leavesChecksum(batch: FrameBatch, slot: number): boolean {
  return (vnet.flags(batch.view, batch.start[slot] as number) & vnet.FLAG_NEEDS_CSUM) !== 0;
}
