/**
 * Several packet sockets on one interface, each frame delivered to one of them (packet(7), PACKET_FANOUT).
 *
 * A classic BPF program says to which: TCP by the sum of its two ports, each without its lowest bit, so that whoever
 * chooses one port of a flow chooses the socket as well, and both directions have the same one; an ICMP error goes
 * where the segment belongs that it quotes; all else to one socket. The lowest bit is left out since Linux gives
 * outgoing connections ports of one parity.
 */
import { type Instruction, setProgram } from './classic-filter.ts';
import { SysError } from './errno.ts';
import { check, getsockopt, setsockopt } from './libc.ts';

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_DETACH_FILTER = 27;
const SOL_PACKET = 263;
const PACKET_FANOUT = 18;
const PACKET_FANOUT_DATA = 22;
const PACKET_FANOUT_CBPF = 6;
const PACKET_FANOUT_FLAG_UNIQUEID = 0x2000;
const PACKET_FANOUT_FLAG_IGNORE_OUTGOING = 0x4000;
const ID_MASK = 0xffff;

// Codes, from linux/bpf_common.h: load byte or half word at a place, or at X and a place; X = header length; jumps.
const LOAD_BYTE = 0x30;
const LOAD_HALF = 0x28;
const LOAD_BYTE_AT_X = 0x50;
const LOAD_HALF_AT_X = 0x48;
const LOAD_X_HEADER_LENGTH = 0xb1;
const SHIFT_RIGHT = 0x74;
const STORE = 0x02;
const LOAD_X_STORED = 0x61;
const ADD_X = 0x0c;
const IF_EQUAL = 0x15;
const IF_BITS = 0x45;
const IF_GREATER_OR_EQUAL = 0x35;
const RETURN = 0x06;
const RETURN_A = 0x16;
/** The frame's EtherType (SKF_AD_OFF + SKF_AD_PROTOCOL) */
const ETHERTYPE = -0x1000;

const DROP_ALL: readonly Instruction[] = [[RETURN, 0, 0, 0]];

/** A program's part with jumps to `home`, which is not placed yet. */
type Step = readonly [code: number, whenTrue: number | 'home', whenFalse: number | 'home', operand: number];

/** Adds the two ports up that are at `at` and behind it, X included where `code` says so, and returns the sum. */
const sumOfPorts = (code: number, at: number): Step[] => [
  [code, 0, 0, at],
  [SHIFT_RIGHT, 0, 0, 1],
  [STORE, 0, 0, 0],
  [code, 0, 0, at + 2],
  [SHIFT_RIGHT, 0, 0, 1],
  [LOAD_X_STORED, 0, 0, 0],
  [ADD_X, 0, 0, 0],
  [RETURN_A, 0, 0, 0],
];
const SUM_STEPS = sumOfPorts(LOAD_HALF, 0).length;

const IPV4: readonly Step[] = [
  [LOAD_HALF, 0, 0, 6],
  [IF_BITS, 'home', 0, 0x3fff], // a fragment
  [LOAD_X_HEADER_LENGTH, 0, 0, 0],
  [LOAD_BYTE, 0, 0, 9],
  [IF_EQUAL, 0, SUM_STEPS, 6],
  ...sumOfPorts(LOAD_HALF_AT_X, 0),
  [IF_EQUAL, 0, 'home', 1], // ICMP
  [LOAD_BYTE_AT_X, 0, 0, 0],
  [IF_EQUAL, 1, 0, 3], // unreachable
  [IF_EQUAL, 0, 'home', 11], // time exceeded
  [LOAD_BYTE_AT_X, 0, 0, 8 + 9],
  [IF_EQUAL, 0, 'home', 6],
  ...sumOfPorts(LOAD_HALF_AT_X, 8 + 20), // we send no options, so that nothing quoted has any
];

const IPV6: readonly Step[] = [
  [LOAD_BYTE, 0, 0, 6],
  [IF_EQUAL, 0, SUM_STEPS, 6],
  ...sumOfPorts(LOAD_HALF, 40),
  [IF_EQUAL, 0, 'home', 58], // ICMPv6
  [LOAD_BYTE, 0, 0, 40],
  [IF_GREATER_OR_EQUAL, 'home', 0, 128], // no error
  [LOAD_BYTE, 0, 0, 40 + 8 + 6],
  [IF_EQUAL, 0, 'home', 6],
  ...sumOfPorts(LOAD_HALF, 40 + 8 + 40),
];

const STEPS: readonly Step[] = [
  [LOAD_HALF, 0, 0, ETHERTYPE],
  [IF_EQUAL, 0, IPV4.length, 0x0800],
  ...IPV4,
  [IF_EQUAL, 0, 'home', 0x86dd],
  ...IPV6,
];

/** The program that deals frames out; all but TCP goes to the socket of that number. */
export function fanoutProgram(home: number): Instruction[] {
  const program = STEPS.map(([code, whenTrue, whenFalse, operand], index): Instruction => {
    const jump = (to: number | 'home') => (to === 'home' ? STEPS.length - index - 1 : to);
    return [code, jump(whenTrue), jump(whenFalse), operand];
  });
  return [...program, [RETURN, 0, 0, home]];
}

/** Number of the socket, of `sockets`, that gets a TCP segment between the two ports. */
export function fanoutSocket(port: number, otherPort: number, sockets: number): number {
  return ((port >>> 1) + (otherPort >>> 1)) % sockets;
}

/** Keeps every frame from a socket until it has {@link joinFanout}. */
export function holdFrames(fd: number): void {
  setProgram(fd, SOL_SOCKET, SO_ATTACH_FILTER, DROP_ALL, 'attach a filter');
}

/**
 * Makes a bound socket the next of a group, or the first of a new one, and lets its frames come.
 *
 * @param group what this returned for the first; undefined for that
 * @throws SysError EINVAL on kernels before 5.15, which would deliver what we send, too
 */
export function joinFanout(fd: number, home: number, group: number | undefined): number {
  const type = PACKET_FANOUT_CBPF | PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
  const argument = Buffer.alloc(4);
  argument.writeUInt16LE(group ?? 0, 0);
  argument.writeUInt16LE(group === undefined ? type | PACKET_FANOUT_FLAG_UNIQUEID : type, 2);
  check('join a fanout group', setsockopt(fd, SOL_PACKET, PACKET_FANOUT, argument, argument.length));
  if (group === undefined) {
    setProgram(fd, SOL_PACKET, PACKET_FANOUT_DATA, fanoutProgram(home), 'set the fanout program');
  }
  const none = Buffer.alloc(4);
  check('detach the filter', setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, none, none.length));
  return group ?? groupOf(fd);
}

function groupOf(fd: number): number {
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  check('read PACKET_FANOUT', getsockopt(fd, SOL_PACKET, PACKET_FANOUT, value, length));
  return value.readUInt32LE() & ID_MASK;
}

/** Whether an error says that the kernel is too old for it. */
export function isFanoutUnknown(error: unknown): boolean {
  return error instanceof SysError && (error.code === 'EINVAL' || error.code === 'ENOPROTOOPT');
}
