/** What a guest asks first, sent into the descriptor of its TAP as a VMM would. */
import { readSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const VNET_HEADER_BYTES = 10;
const PATIENCE_MS = 10_000;
const OPERATION_OFFSET = VNET_HEADER_BYTES + 20;
const ETHERTYPE_OFFSET = VNET_HEADER_BYTES + 12;
const ARP = 0x0806;
const REPLY = 2;
/** Up to the least that Ethernet carries */
const PADDING_BYTES = 18;

/** MAC and IPv4 address as hexadecimal digits. */
interface Sender {
  readonly mac: string;
  readonly ip: string;
}

/** An ARP request for `target`, behind an empty virtio-net header. */
export function arpRequest({ mac, ip }: Sender, target: string): Buffer {
  const frame = Buffer.from(`ffffffffffff${mac}08060001080006040001${mac}${ip}000000000000${target}`, 'hex');
  return Buffer.concat([Buffer.alloc(VNET_HEADER_BYTES), frame, Buffer.alloc(PADDING_BYTES)]);
}

/** Asks every `againMs` milliseconds until there is an ARP reply. Throws after 10 s, naming `who` asked. */
export async function answered(fd: number, request: Buffer, againMs: number, who: string): Promise<void> {
  const began = performance.now();
  const room = Buffer.alloc(70_000);
  let asked = Number.NEGATIVE_INFINITY;
  while (performance.now() - began < PATIENCE_MS) {
    if (performance.now() - asked >= againMs && isSent(fd, request)) asked = performance.now();
    while (hasFrame(fd, room)) {
      if (room.readUInt16BE(ETHERTYPE_OFFSET) === ARP && room.readUInt16BE(OPERATION_OFFSET) === REPLY)
        return;
    }
    await delay(1);
  }
  throw new Error(`nobody answered the ARP request of ${who}`);
}

/** False while the interface is down. */
function isSent(fd: number, frame: Buffer): boolean {
  try {
    writeSync(fd, frame);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EIO') return false;
    throw error;
  }
}

function hasFrame(fd: number, room: Buffer): boolean {
  try {
    return readSync(fd, room) > 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false;
    throw error;
  }
}
