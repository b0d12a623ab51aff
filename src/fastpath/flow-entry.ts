/**
 * An offloaded TCP connection as the programs of `flow-program.ts` have it: one entry for each direction, found by the
 * interface its segments come in by and their addresses and ports.
 *
 * Only IPv4. What a segment has of the sender's half of the connection is put in terms of the receiver's half: numbers by
 * what they differ by, windows by their scales.
 */

/** Layout of a key; addresses and ports as in the frame. */
export const FLOW_KEY = { interface: 0, source: 4, destination: 8, ports: 12, bytes: 16 } as const;

/** Everything goes its ordinary way */
export const NOTING = 0;
/** So does what has no data; the rest is dropped: the connection is at rest, and is to stay there */
export const HOLDING = 1;
/** Everything but a SYN is translated and sent on */
export const RELAYING = 2;

/** Layout of an entry; numbers u32 of this machine unless said. */
export const FLOW = {
  mode: 0,
  /** Index of the interface it goes on by */
  egress: 4,
  /** 1 where the next hop's MAC is for the kernel to find out */
  routed: 8,
  sequence: 12, // added to sequence numbers
  acknowledgment: 16, // added to acknowledgments, those of ranges included
  timestamp: 20, // added to TSval
  echo: 24, // added to TSecr
  leftShift: 28, // of the window field
  rightShift: 32,
  /** Number of the worker whose it is */
  worker: 36,
  macs: 40, // destination, source; where it is not routed
  source: 52, // addresses and ports as in the frame
  destination: 56,
  ports: 60,
  // What the programs note:
  frames: 64, // u64
  bytesOnWire: 72, // u64
  /** Number behind the last segment, as sent on */
  next: 80,
  /** What the last segment acknowledged, as sent on */
  acknowledged: 84,
  /** TSval of the last segment, as received */
  seenTimestamp: 88,
  seen: 92, // u8: there was one
  finished: 93, // u8: a FIN has passed
  odd: 94, // u8: options came that cannot be translated
  /** Segments with an RST, good or not */
  resets: 96,
  bytes: 104,
} as const;

/** Addresses, `int32`, and ports of a segment. */
export interface FlowEnds {
  readonly source: number;
  readonly sourcePort: number;
  readonly destination: number;
  readonly destinationPort: number;
}

/** What is translated how. */
export interface FlowTranslation {
  readonly egress: number;
  readonly worker: number;
  readonly ends: FlowEnds;
  /** Destination and source MAC, 12 bytes; undefined where the next hop is for the kernel to find */
  readonly macs: Uint8Array | undefined;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly timestamp: number;
  readonly echo: number;
  readonly leftShift: number;
  readonly rightShift: number;
}

/** What the programs have noted about a direction. */
export interface FlowNotes {
  readonly frames: number;
  readonly bytes: number;
  readonly next: number;
  readonly acknowledged: number;
  /** Undefined before the first */
  readonly timestamp: number | undefined;
  readonly finished: boolean;
  readonly resets: number;
  readonly odd: boolean;
}

function writeEnds(view: DataView, offset: number, ends: FlowEnds): void {
  view.setInt32(offset, ends.source);
  view.setInt32(offset + 4, ends.destination);
  view.setUint16(offset + 8, ends.sourcePort);
  view.setUint16(offset + 10, ends.destinationPort);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function flowKey(interfaceIndex: number, ends: FlowEnds): Uint8Array {
  const key = new Uint8Array(FLOW_KEY.bytes);
  const view = viewOf(key);
  view.setUint32(FLOW_KEY.interface, interfaceIndex, true);
  writeEnds(view, FLOW_KEY.source, ends);
  return key;
}

/** @param mode {@link NOTING} or {@link HOLDING} */
export function waitingEntry(mode: number, worker: number): Uint8Array {
  const entry = new Uint8Array(FLOW.bytes);
  const view = viewOf(entry);
  view.setUint32(FLOW.mode, mode, true);
  view.setUint32(FLOW.worker, worker, true);
  return entry;
}

export function relayingEntry(translation: FlowTranslation): Uint8Array {
  const entry = new Uint8Array(FLOW.bytes);
  const view = viewOf(entry);
  view.setUint32(FLOW.mode, RELAYING, true);
  view.setUint32(FLOW.egress, translation.egress, true);
  view.setUint32(FLOW.routed, translation.macs === undefined ? 1 : 0, true);
  view.setInt32(FLOW.sequence, translation.sequence, true);
  view.setInt32(FLOW.acknowledgment, translation.acknowledgment, true);
  view.setInt32(FLOW.timestamp, translation.timestamp, true);
  view.setInt32(FLOW.echo, translation.echo, true);
  view.setUint32(FLOW.leftShift, translation.leftShift, true);
  view.setUint32(FLOW.rightShift, translation.rightShift, true);
  view.setUint32(FLOW.worker, translation.worker, true);
  if (translation.macs !== undefined) entry.set(translation.macs, FLOW.macs);
  writeEnds(view, FLOW.source, translation.ends);
  return entry;
}

export function readNotes(entry: Uint8Array): FlowNotes {
  const view = viewOf(entry);
  return {
    frames: Number(view.getBigUint64(FLOW.frames, true)),
    bytes: Number(view.getBigUint64(FLOW.bytesOnWire, true)),
    next: view.getInt32(FLOW.next, true),
    acknowledged: view.getInt32(FLOW.acknowledged, true),
    timestamp: view.getUint8(FLOW.seen) === 0 ? undefined : view.getInt32(FLOW.seenTimestamp, true),
    finished: view.getUint8(FLOW.finished) !== 0,
    resets: view.getUint32(FLOW.resets, true),
    odd: view.getUint8(FLOW.odd) !== 0,
  };
}

/** Number of the worker an entry is of. */
export function workerOf(entry: Uint8Array): number {
  return viewOf(entry).getUint32(FLOW.worker, true);
}

/** Between which interfaces the kernel may carry a connection. */
export interface OffloadGrant {
  /** Index of the VM's interface, and its MTU */
  readonly tap: number;
  readonly mtu: number;
  /** Index of that towards the other end; the loopback's, where it is on the host */
  readonly host: number;
}
