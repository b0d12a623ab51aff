/**
 * The fast path's two programs. They make the same decision about a frame: may the kernel hand it to another VM's
 * interface by itself? The one on the interface then does so; the one on our packet socket keeps the frame from us.
 *
 * Yes only for an untagged IPv4 frame with a sound header without options, whose source MAC and address are exactly the port's own, to a MAC that a port
 * of the same network has. Everything else takes the ordinary way through the switch.
 */

import { TCX } from '../sys/bpf.ts';
import { BpfAssembler, FP } from '../sys/bpf-assembler.ts';
import { findRelayed } from './flow-program.ts';
import {
  CONTEXT,
  ETHERTYPE_IPV4_BYTES,
  HELPER,
  loadHeaders,
  lookUp,
  PACKET,
  SKB,
  VERSION_4_WITHOUT_OPTIONS,
} from './skb.ts';

/** Layout of a port in the `ports` map, keyed by interface index (u32). */
export const PORT = {
  macHigh: 0, // u32 in frame order: the first four bytes
  macLow: 4, // u16: the last two
  network: 8, // u32
  address: 12, // u32 in frame order
  rxFrames: 16, // u64 each
  rxBytes: 24,
  txFrames: 32,
  txBytes: 40,
  bytes: 48,
} as const;

/** Layout of a key of the `destinations` map; its value is an interface index (u32). */
export const DESTINATION = { network: 0, macHigh: 4, macLow: 8, bytes: 12 } as const;

const ETHERNET_HEADER_BYTES = 14;
const IPV4_HEADER_BYTES = 20;
const HEADER_BYTES = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES;
// Where the headers lie on the stack, so that the addresses are aligned.
const FRAME = -40;
const DESTINATION_MAC = FRAME;
const SOURCE_MAC = FRAME + 6;
const ETHERTYPE = FRAME + 12;
const VERSION_IHL = FRAME + 14;
const TOTAL_LENGTH = FRAME + 16;
const SOURCE_ADDRESS = FRAME + 26;
const INDEX_KEY = -48;
const DESTINATION_KEY = -64;

const PORT_ENTRY = 7;
const EGRESS = 8;

/** Goes on with a program: falls through when the frame is for the fast path, jumps to `slow` when not. */
function decide(ports: number, destinations: number, code = new BpfAssembler()): BpfAssembler {
  loadHeaders(code.move(CONTEXT, 1), FRAME, HEADER_BYTES, 'slow')
    .load(2, 2, FP, ETHERTYPE)
    .ifNot(2, ETHERTYPE_IPV4_BYTES, 'slow')
    // a sound header without options
    .load(1, 2, FP, VERSION_IHL)
    .ifNot(2, VERSION_4_WITHOUT_OPTIONS, 'slow')
    .load(2, 2, FP, TOTAL_LENGTH)
    .fromNetwork16(2)
    .ifLess(2, IPV4_HEADER_BYTES, 'slow')
    .load(4, 3, CONTEXT, SKB.length)
    .add(3, -ETHERNET_HEADER_BYTES)
    .ifGreater(2, 3, 'slow');
  // the port it came in by
  code.load(4, 2, CONTEXT, SKB.interface).store(4, FP, INDEX_KEY, 2);
  lookUp(code, ports, INDEX_KEY).ifEqual(0, 0, 'slow').move(PORT_ENTRY, 0);
  // speaks as itself?
  for (const [part, stored] of [
    [SOURCE_MAC, PORT.macHigh],
    [SOURCE_MAC + 2, PORT.macHigh + 2],
    [SOURCE_MAC + 4, PORT.macLow],
    [SOURCE_ADDRESS, PORT.address],
    [SOURCE_ADDRESS + 2, PORT.address + 2],
  ] as const) {
    code.load(2, 2, FP, part).load(2, 3, PORT_ENTRY, stored).ifDifferent(2, 3, 'slow');
  }
  // to a port of its network?
  code.load(4, 2, PORT_ENTRY, PORT.network).store(4, FP, DESTINATION_KEY + DESTINATION.network, 2);
  for (const half of [0, 2, 4]) {
    code.load(2, 2, FP, DESTINATION_MAC + half);
    code.store(2, FP, DESTINATION_KEY + DESTINATION.macHigh + half, 2);
  }
  code.set(2, 0).store(2, FP, DESTINATION_KEY + DESTINATION.macHigh + 6, 2);
  return lookUp(code, destinations, DESTINATION_KEY)
    .ifEqual(0, 0, 'slow')
    .load(4, EGRESS, 0, 0)
    .load(4, 2, CONTEXT, SKB.interface)
    .ifSame(2, EGRESS, 'slow');
}

function count(code: BpfAssembler, entry: number, frames: number, bytes: number): BpfAssembler {
  return code
    .set(1, 1)
    .atomicAdd(entry, frames, 1)
    .load(4, 1, CONTEXT, SKB.length)
    .atomicAdd(entry, bytes, 1);
}

/** Program for an interface: sends the frame out of the other port's interface, or leaves it to what comes next. */
export function redirectProgram(ports: number, destinations: number): Uint8Array {
  const code = decide(ports, destinations);
  count(code, PORT_ENTRY, PORT.rxFrames, PORT.rxBytes).store(4, FP, INDEX_KEY, EGRESS);
  lookUp(code, ports, INDEX_KEY).ifEqual(0, 0, 'send');
  count(code, 0, PORT.txFrames, PORT.txBytes);
  return code
    .label('send')
    .move(1, EGRESS)
    .set(2, 0)
    .call(HELPER.redirect)
    .exit()
    .label('slow')
    .set(0, TCX.next)
    .exit()
    .assemble();
}

/** What a filter looks frames up in; without the first two no VM of it meets another, without the last nothing is offloaded. */
export interface FilterMaps {
  readonly ports?: number | undefined;
  readonly destinations?: number | undefined;
  readonly flows?: number | undefined;
}

/** Falls through for a frame that the kernel sends on by itself, jumps to `own` for any other. */
function decideAll(
  { ports, destinations, flows }: FilterMaps,
  code: BpfAssembler,
  own: string,
): BpfAssembler {
  if (ports === undefined || destinations === undefined) code.move(CONTEXT, 1);
  else decide(ports, destinations, code).go('taken').label('slow');
  if (flows === undefined) code.go(own);
  else findRelayed(code, flows, own);
  return code.label('taken');
}

/** Program for a packet socket: nothing of a frame that the kernel sends on by itself, all of any other. */
export function filterProgram(maps: FilterMaps): Uint8Array {
  return decideAll(maps, new BpfAssembler(), 'own')
    .set(0, 0)
    .exit()
    .label('own')
    .set(0, -1)
    .exit()
    .assemble();
}

/**
 * Program for a packet socket that looks on: the beginning of a frame that comes in and is sent on by the kernel, and of one that goes
 * out after it came in by another interface, and so was redirected; nothing of what the switch itself sends, or gets.
 */
export function snifferProgram(maps: FilterMaps, bytes: number): Uint8Array {
  const code = new BpfAssembler().load(4, 2, 1, SKB.packetType).ifEqual(2, PACKET.outgoing, 'outgoing');
  return decideAll(maps, code, 'own')
    .set(0, bytes)
    .exit()
    .label('outgoing')
    .load(4, 2, 1, SKB.ingressInterface)
    .ifEqual(2, 0, 'own')
    .set(0, bytes)
    .exit()
    .label('own')
    .set(0, 0)
    .exit()
    .assemble();
}
