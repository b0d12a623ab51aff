/** The frames of test/corpus, and what becomes of a frame that is damaged, cut, or joined with another. */
import { readdirSync, readFileSync } from 'node:fs';
import { internetChecksum, pseudoHeader, pseudoHeader6 } from './checksum.ts';
import { ICMP, ICMPV6, IPV4, IPV6, PACKET, TCP, UDP, VNET_BYTES } from './frames.ts';

const CORPUS = new URL('../corpus/', import.meta.url);
const TELLING = [0, 1, 2, 3, 4, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xfe, 0xff];
/** Of the transport protocols, where the checksum is, and whether it covers a pseudo-header in IPv4 */
const CHECKSUMS: Record<number, readonly [at: number, pseudo: boolean]> = {
  [ICMP]: [2, false],
  [ICMPV6]: [2, true],
  [TCP]: [16, true],
  [UDP]: [6, true],
};

export interface Seed {
  readonly name: string;
  readonly frame: Uint8Array;
}

export function readCorpus(): Seed[] {
  return readdirSync(CORPUS, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.hex'))
    .sort()
    .map((name) => {
      const text = readFileSync(new URL(name, CORPUS), 'utf8').replace(/#.*/g, '').replace(/\s/g, '');
      if (!/^([0-9a-f]{2})*$/i.test(text)) throw new Error(`${name}: not hex`);
      return { name: name.slice(0, -4), frame: Uint8Array.from(Buffer.from(text, 'hex')) };
    });
}

/** A frame in the corpus' own form. */
export function toHex(frame: Uint8Array): string {
  return Buffer.from(frame).toString('hex').replace(/(..)/g, '$1 ').trim();
}

/** One of several kinds of damage, or a few of them. `other` is what it may be joined with. */
export function mutated(frame: Uint8Array, other: Uint8Array, roll: () => number): Uint8Array {
  let bytes = frame.slice();
  const below = (limit: number) => Math.floor(roll() * limit);
  for (let times = 1 + below(3); times > 0; times--) {
    // Mostly in the packet: with another MAC or virtio-net header most frames end at the first look
    const from = below(10) === 0 ? 0 : Math.min(PACKET, bytes.length);
    const at = from + below(bytes.length - from);
    switch (below(7)) {
      case 0:
      case 1:
        if (at < bytes.length) bytes[at] = bytes[at]! ^ (1 << below(8));
        break;
      case 2:
        if (at < bytes.length) bytes[at] = TELLING[below(TELLING.length)]!;
        break;
      case 3: // a length, an offset or a count that is a little wrong
        if (at + 1 < bytes.length) {
          const view = new DataView(bytes.buffer);
          view.setUint16(at, view.getUint16(at) + below(9) - 4);
        }
        break;
      case 4:
        bytes = bytes.slice(0, below(4) === 0 ? at : Math.max(0, bytes.length - 1 - below(12)));
        break;
      case 5: {
        const joint = below(2) === 0 ? at : below(other.length);
        bytes = Uint8Array.of(...bytes.subarray(0, at), ...other.subarray(joint));
        break;
      }
      case 6:
        bytes = Uint8Array.of(...bytes, ...other.subarray(0, below(64)));
    }
  }
  return bytes;
}

/** The frame with lengths that fit and right checksums, so that what lies behind them is looked at. */
export function repaired(frame: Uint8Array): Uint8Array {
  const bytes = frame.slice();
  if (bytes.length < PACKET + 20) return bytes;
  const view = new DataView(bytes.buffer);
  const type = view.getUint16(VNET_BYTES + 12);
  let [start, end, protocol] = [0, 0, 0];
  if (type === IPV4) {
    start = PACKET + (bytes[PACKET]! & 15) * 4;
    if (PACKET + view.getUint16(PACKET + 2) > bytes.length) view.setUint16(PACKET + 2, bytes.length - PACKET);
    end = PACKET + view.getUint16(PACKET + 2);
    protocol = bytes[PACKET + 9]!;
    if (start > bytes.length) return bytes;
    view.setUint16(PACKET + 10, 0);
    view.setUint16(PACKET + 10, internetChecksum(bytes.subarray(PACKET, start)));
  } else if (type === IPV6 && bytes.length >= PACKET + 40) {
    start = PACKET + 40;
    if (start + view.getUint16(PACKET + 4) > bytes.length) view.setUint16(PACKET + 4, bytes.length - start);
    end = start + view.getUint16(PACKET + 4);
    protocol = bytes[PACKET + 6]!;
  } else return bytes;
  const checksum = CHECKSUMS[protocol];
  if (checksum === undefined || start + checksum[0] + 2 > end) return bytes;
  if (protocol === UDP && view.getUint16(start + 4) > end - start) view.setUint16(start + 4, end - start);
  view.setUint16(start + checksum[0], 0);
  const pseudo =
    type === IPV6
      ? pseudoHeader6(bytes.subarray(PACKET + 8, PACKET + 40), protocol, end - start)
      : checksum[1]
        ? pseudoHeader(bytes.subarray(PACKET + 12, PACKET + 20), protocol, end - start)
        : [];
  view.setUint16(start + checksum[0], internetChecksum(pseudo, bytes.subarray(start, end)));
  return bytes;
}
