/**
 * The programs of offloaded TCP connections (flow-offload.ts): one for the ingress of an interface, which puts a segment
 * in terms of the other half of its connection and sends it on, and the same look-up for filters of packet sockets.
 *
 *     frame ---> IPv4, TCP, no fragment? ---> flow known? ---> relaying, no SYN? ---> translate, redirect
 *                      \_______________________\________________\____> goes its ordinary way
 *
 * Options are translated in the one shape that Linux gives them (two NOPs, timestamps, two NOPs, up to three ranges);
 * a segment with others is dropped and noted, and a connection that has such is not offloaded in the first place.
 */
import { TCX } from '../sys/bpf.ts';
import { BpfAssembler, FP, type Width } from '../sys/bpf-assembler.ts';
import { FLOW, FLOW_KEY, HOLDING, RELAYING } from './flow-entry.ts';
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

const BPF_F_PSEUDO_HDR = 0x10;

const PROTOCOL_TCP = 6;
/** The "more fragments" bit and the fragment's offset, as a little-endian load sees them */
const FRAGMENT_BITS = 0xff3f;

// Offsets in a frame
const ETHERTYPE = 12;
const VERSION_IHL = 14;
const TOTAL_LENGTH = 16;
const FRAGMENT = 20;
const PROTOCOL = 23;
const IP_CHECKSUM = 24;
const ADDRESSES = 26;
const PORTS = 34;
const SEQUENCE = 38;
const ACKNOWLEDGMENT = 42;
const DATA_OFFSET = 46;
const CONTROL_BITS = 47;
const WINDOW = 48;
const TCP_CHECKSUM = 50;
const OPTIONS = 54;
const ETHERNET_BYTES = 14;
const HEADER_BYTES = 54;
const MOST_OPTION_BYTES = 40;

const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const ACK = 0x10;

const NOPS_AND_TIMESTAMPS = 0x0a080101; // 01 01 08 0a
const NOPS_AND_SACK = 0x050101; // 01 01 05, and the length
/** Data offsets with so many ranges behind timestamps */
const WITH_TIMESTAMPS = 8;
const WITH_RANGES = [11, 13, 15] as const;

// On the stack: the headers as they came, as they go, the key. Placed so that what is behind the MACs is aligned to 8.
const CAME = -110;
const GOES = -214;
const KEY = -232;

const ENTRY = 7;
/** The data offset, in words */
const LENGTH = 8;
/** Length of the payload, later sums */
const PAYLOAD = 9;

/**
 * Falls through with the flow's entry in its register and the headers on the stack, jumps to `other` for what is no
 * segment of a known flow, or begins a connection. The program's context is in its register.
 */
function findFlow(code: BpfAssembler, flows: number, other: string): BpfAssembler {
  loadHeaders(code, CAME, HEADER_BYTES, other)
    .load(2, 2, FP, CAME + ETHERTYPE)
    .ifNot(2, ETHERTYPE_IPV4_BYTES, other)
    .load(1, 2, FP, CAME + VERSION_IHL)
    .ifNot(2, VERSION_4_WITHOUT_OPTIONS, other)
    .load(1, 2, FP, CAME + PROTOCOL)
    .ifNot(2, PROTOCOL_TCP, other)
    .load(2, 2, FP, CAME + FRAGMENT)
    .ifAny(2, FRAGMENT_BITS, other)
    .load(1, 2, FP, CAME + CONTROL_BITS)
    .ifAny(2, SYN, other)
    .load(4, 2, CONTEXT, SKB.interface)
    .store(4, FP, KEY + FLOW_KEY.interface, 2)
    .load(4, 2, FP, CAME + ADDRESSES)
    .store(4, FP, KEY + FLOW_KEY.source, 2)
    .load(4, 2, FP, CAME + ADDRESSES + 4)
    .store(4, FP, KEY + FLOW_KEY.destination, 2)
    .load(4, 2, FP, CAME + PORTS)
    .store(4, FP, KEY + FLOW_KEY.ports, 2);
  return lookUp(code, flows, KEY).ifEqual(0, 0, other).move(ENTRY, 0);
}

/** The same for flows that are relayed, for filters: what others see, or do not see, of them. */
export function findRelayed(code: BpfAssembler, flows: number, other: string): BpfAssembler {
  return findFlow(code, flows, other).load(4, 2, ENTRY, FLOW.mode).ifNot(2, RELAYING, other);
}

/** Notes that something has happened, in one of the entry's bytes. */
function note(code: BpfAssembler, field: number): BpfAssembler {
  return code.set(2, 1).store(1, ENTRY, field, 2);
}

/** How many bytes of options there are into register 4, within bounds that the verifier sees. */
function optionBytes(code: BpfAssembler): BpfAssembler {
  return code
    .move(4, LENGTH)
    .shiftLeft(4, 2)
    .add(4, -20)
    .and(4, 0x3f)
    .ifLess(4, 1, 'odd')
    .ifMore(4, MOST_OPTION_BYTES, 'odd');
}

/** Loads the options behind the headers; jumps to `odd` when they have a length of no shape that is known. */
function loadOptions(code: BpfAssembler): void {
  // Nothing may be read that was not written.
  code.set(2, 0);
  for (let at = 0; at < MOST_OPTION_BYTES; at += 8) code.store(8, FP, CAME + OPTIONS + at, 2);
  code
    .load(1, LENGTH, FP, CAME + DATA_OFFSET)
    .shiftRight(LENGTH, 4)
    .ifEqual(LENGTH, 5, 'loaded');
  for (const words of [WITH_TIMESTAMPS, ...WITH_RANGES]) code.ifEqual(LENGTH, words, 'known');
  optionBytes(code.go('odd').label('known'))
    .move(1, CONTEXT)
    .set(2, OPTIONS)
    .move(3, FP)
    .add(3, CAME + OPTIONS)
    .call(HELPER.loadBytes)
    .ifNot(0, 0, 'odd')
    .load(4, 2, FP, CAME + OPTIONS)
    .ifNot(2, NOPS_AND_TIMESTAMPS, 'odd')
    .load(4, 2, FP, CAME + OPTIONS + 4)
    .fromNetwork32(2)
    .store(4, ENTRY, FLOW.seenTimestamp, 2);
  note(code, FLOW.seen).ifEqual(LENGTH, WITH_TIMESTAMPS, 'loaded');
  code
    .load(4, 2, FP, CAME + OPTIONS + 12)
    .and(2, 0xffffff)
    .ifNot(2, NOPS_AND_SACK, 'odd')
    .label('loaded');
}

/** Payload's length into its register. */
function measurePayload(code: BpfAssembler): void {
  code
    .load(2, PAYLOAD, FP, CAME + TOTAL_LENGTH)
    .fromNetwork16(PAYLOAD)
    .add(PAYLOAD, -20)
    .move(2, LENGTH)
    .shiftLeft(2, 2)
    .subtract(PAYLOAD, 2);
}

/** A number in the headers, as it goes: that of the other half. */
function translate(code: BpfAssembler, offset: number, difference: number): BpfAssembler {
  return code
    .load(4, 2, FP, CAME + offset)
    .fromNetwork32(2)
    .load(4, 3, ENTRY, difference)
    .addFrom(2, 3)
    .fromNetwork32(2)
    .store(4, FP, GOES + offset, 2);
}

function copy(code: BpfAssembler, width: Width, from: number, to: number): void {
  code.load(width, 2, FP, from).store(width, FP, to, 2);
}

/** Writes the headers as they go. */
function writeHeaders(code: BpfAssembler): void {
  for (let at = ETHERNET_BYTES; at < HEADER_BYTES + MOST_OPTION_BYTES; at += 8)
    copy(code, 8, CAME + at, GOES + at);
  for (let at = 0; at < 12; at += 2) code.load(2, 2, ENTRY, FLOW.macs + at).store(2, FP, GOES + at, 2);
  copy(code, 2, CAME + ETHERTYPE, GOES + ETHERTYPE);
  code.load(4, 2, ENTRY, FLOW.source).store(4, FP, GOES + ADDRESSES, 2);
  code.load(4, 2, ENTRY, FLOW.destination).store(4, FP, GOES + ADDRESSES + 4, 2);
  code.load(4, 2, ENTRY, FLOW.ports).store(4, FP, GOES + PORTS, 2);
  translate(code, SEQUENCE, FLOW.sequence);
  code
    .load(1, 2, FP, CAME + CONTROL_BITS)
    .and(2, ACK)
    .ifEqual(2, 0, 'acknowledges nothing');
  translate(code, ACKNOWLEDGMENT, FLOW.acknowledgment);
  code
    .label('acknowledges nothing')
    .load(2, 2, FP, CAME + WINDOW)
    .fromNetwork16(2)
    .load(4, 3, ENTRY, FLOW.leftShift)
    .shiftLeftBy(2, 3)
    .load(4, 3, ENTRY, FLOW.rightShift)
    .shiftRightBy(2, 3)
    .set(3, 0xffff)
    .ifGreater(3, 2, 'window fits')
    .move(2, 3)
    .label('window fits')
    .fromNetwork16(2)
    .store(2, FP, GOES + WINDOW, 2)
    .ifEqual(LENGTH, 5, 'written');
  translate(code, OPTIONS + 4, FLOW.timestamp);
  translate(code, OPTIONS + 8, FLOW.echo);
  for (const [range, words] of WITH_RANGES.entries()) {
    code.ifLess(LENGTH, words, 'written');
    const edges = OPTIONS + 16 + range * 8;
    translate(code, edges, FLOW.acknowledgment);
    translate(code, edges + 4, FLOW.acknowledgment);
  }
  code.label('written');
}

/** The sum of what has changed between two places of the headers, into its register. */
function difference(code: BpfAssembler, from: number, bytes: number): void {
  code
    .move(1, FP)
    .add(1, CAME + from)
    .set(2, bytes)
    .move(3, FP)
    .add(3, GOES + from)
    .set(4, bytes)
    .set(5, 0)
    .call(HELPER.checksumDifference)
    .move(PAYLOAD, 0);
}

function replaceSum(code: BpfAssembler, helper: number, offset: number, flags: number): void {
  code.move(1, CONTEXT).set(2, offset).set(3, 0).move(4, PAYLOAD).set(5, flags).call(helper);
  code.ifNot(0, 0, 'odd');
}

function storeHeaders(code: BpfAssembler, from: number, bytes: number): void {
  code
    .move(1, CONTEXT)
    .set(2, from)
    .move(3, FP)
    .add(3, GOES + from)
    .set(4, bytes)
    .set(5, 0);
  code.call(HELPER.storeBytes);
}

/** What the worker wants to know of the segment, as it goes on. */
function takeNotes(code: BpfAssembler): void {
  code
    .load(4, 3, FP, GOES + SEQUENCE)
    .fromNetwork32(3)
    .addFrom(3, PAYLOAD)
    .load(1, 2, FP, CAME + CONTROL_BITS)
    .and(2, FIN)
    .addFrom(3, 2)
    .store(4, ENTRY, FLOW.next, 3)
    .ifEqual(2, 0, 'no end');
  note(code, FLOW.finished)
    .label('no end')
    .load(1, 2, FP, CAME + CONTROL_BITS)
    .and(2, RST)
    .ifEqual(2, 0, 'no reset')
    .load(4, 2, ENTRY, FLOW.resets)
    .add(2, 1)
    .store(4, ENTRY, FLOW.resets, 2)
    .label('no reset')
    .load(4, 2, FP, GOES + ACKNOWLEDGMENT)
    .fromNetwork32(2)
    .store(4, ENTRY, FLOW.acknowledged, 2)
    .set(1, 1)
    .atomicAdd(ENTRY, FLOW.frames, 1)
    .load(4, 1, CONTEXT, SKB.length)
    .atomicAdd(ENTRY, FLOW.bytesOnWire, 1);
}

/** Program for an interface: sends segments of relayed connections on, and leaves the rest to what comes next. */
export function relayProgram(flows: number): Uint8Array {
  const code = findFlow(new BpfAssembler().move(CONTEXT, 1), flows, 'other');
  loadOptions(code);
  measurePayload(code);
  code.load(4, 2, ENTRY, FLOW.mode).ifEqual(2, HOLDING, 'hold').ifNot(2, RELAYING, 'other');
  writeHeaders(code);
  takeNotes(code);
  difference(code, ADDRESSES, 8);
  replaceSum(code, HELPER.replaceIpChecksum, IP_CHECKSUM, 0);
  replaceSum(code, HELPER.replaceChecksum, TCP_CHECKSUM, BPF_F_PSEUDO_HDR);
  // The checksum in between is the same in both.
  difference(code, PORTS, HEADER_BYTES - PORTS + MOST_OPTION_BYTES);
  replaceSum(code, HELPER.replaceChecksum, TCP_CHECKSUM, 0);
  storeHeaders(code, 0, IP_CHECKSUM);
  storeHeaders(code, ADDRESSES, TCP_CHECKSUM - ADDRESSES);
  optionBytes(code.ifEqual(LENGTH, 5, 'send'))
    .move(1, CONTEXT)
    .set(2, OPTIONS)
    .move(3, FP)
    .add(3, GOES + OPTIONS)
    .set(5, 0)
    .call(HELPER.storeBytes)
    .label('send')
    .load(4, 1, ENTRY, FLOW.egress)
    .load(4, 2, ENTRY, FLOW.routed)
    .ifNot(2, 0, 'route')
    .set(2, 0)
    .call(HELPER.redirect)
    .exit()
    .label('route')
    // To the TAP's own address it was not, and the loopback would take it for somebody else's.
    .move(1, CONTEXT)
    .set(2, PACKET.host)
    .call(HELPER.changeType)
    .load(4, 1, ENTRY, FLOW.egress)
    .set(2, 0)
    .set(3, 0)
    .set(4, 0)
    .call(HELPER.redirectToNeighbour)
    .exit()
    // The sender will say it again, to whoever has the connection by then.
    .label('hold')
    .load(1, 2, FP, CAME + CONTROL_BITS)
    .ifAny(2, FIN, 'drop')
    .ifEqual(PAYLOAD, 0, 'other')
    .go('drop')
    .label('odd');
  note(code, FLOW.odd).label('drop').set(0, TCX.drop).exit();
  return code.label('other').set(0, TCX.next).exit().assemble();
}
