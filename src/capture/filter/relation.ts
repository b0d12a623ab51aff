/** Compiles comparisons: `tcp[tcpflags] & tcp-syn != 0`. Values are uint32 in the bits of an int32. */
import type { Arithmetic, Comparison, Filter, Value } from './ast.ts';
import type { Condition, FilteredFrame } from './frame.ts';
import {
  all,
  IP6_HEADER_BYTES,
  ipHeaderBytes,
  isProtocol,
  payloadAt,
  startsIp6Payload,
  startsIpPayload,
} from './headers.ts';
import { IP_PROTOCOLS } from './names.ts';

type Evaluate = (frame: FilteredFrame) => number;
type Load = Value & { kind: 'load' };

export function compileRelation(
  { operator, left, right }: Filter & { kind: 'relation' },
  shift: number,
): Condition {
  // A frame without the header that is read is not selected, before anything is read.
  const guards = [...loadsOf(left), ...loadsOf(right)].map((load) => guardOf(load, shift));
  return all(...guards, compare(operator, compileValue(left, shift), compileValue(right, shift)));
}

function loadsOf(value: Value): Load[] {
  if (value.kind === 'load') return [...loadsOf(value.offset), value];
  return value.kind === 'arithmetic' ? [...loadsOf(value.left), ...loadsOf(value.right)] : [];
}

function guardOf({ base }: Load, shift: number): Condition {
  switch (base) {
    case 'ether':
      return () => true;
    case 'ip':
    case 'ip6':
    case 'arp':
    case 'rarp':
      return isProtocol(base, shift);
    case 'icmp6':
      return startsIp6Payload(IP_PROTOCOLS.get(base) as number, shift);
    default:
      return startsIpPayload(IP_PROTOCOLS.get(base) as number, shift);
  }
}

function compileValue(value: Value, shift: number): Evaluate {
  switch (value.kind) {
    case 'number': {
      const number = value.value | 0;
      return () => number;
    }
    case 'length':
      return (frame) => frame.length;
    case 'load':
      return compileLoad(value, shift);
    case 'arithmetic':
      return calculate(value.operator, compileValue(value.left, shift), compileValue(value.right, shift));
  }
}

function compileLoad({ base, offset, size }: Load, shift: number): Evaluate {
  const index = compileValue(offset, shift);
  const start = startOf(base, shift);
  const at: Evaluate = (frame) => start(frame) + index(frame);
  if (size === 1) return (frame) => frame.u8(at(frame));
  if (size === 2) return (frame) => frame.u16(at(frame));
  return (frame) => frame.i32(at(frame));
}

function startOf(base: Load['base'], shift: number): Evaluate {
  const packet = payloadAt(shift);
  switch (base) {
    case 'ether':
      return () => 0;
    case 'ip':
    case 'ip6':
    case 'arp':
    case 'rarp':
      return () => packet;
    case 'icmp6':
      return () => packet + IP6_HEADER_BYTES;
    default:
      return (frame) => packet + ipHeaderBytes(frame, packet);
  }
}

function compare(operator: Comparison, left: Evaluate, right: Evaluate): Condition {
  switch (operator) {
    case '=':
      return (frame) => left(frame) === right(frame);
    case '!=':
      return (frame) => left(frame) !== right(frame);
    case '<':
      return (frame) => left(frame) >>> 0 < right(frame) >>> 0;
    case '<=':
      return (frame) => left(frame) >>> 0 <= right(frame) >>> 0;
    case '>':
      return (frame) => left(frame) >>> 0 > right(frame) >>> 0;
    case '>=':
      return (frame) => left(frame) >>> 0 >= right(frame) >>> 0;
  }
}

function calculate(operator: Arithmetic, left: Evaluate, right: Evaluate): Evaluate {
  switch (operator) {
    case '+':
      return (frame) => (left(frame) + right(frame)) | 0;
    case '-':
      return (frame) => (left(frame) - right(frame)) | 0;
    case '*':
      return (frame) => Math.imul(left(frame), right(frame));
    case '/':
      return (frame) => ((left(frame) >>> 0) / divisor(frame, right)) | 0;
    case '%':
      return (frame) => ((left(frame) >>> 0) % divisor(frame, right)) | 0;
    case '&':
      return (frame) => left(frame) & right(frame);
    case '|':
      return (frame) => left(frame) | right(frame);
    case '^':
      return (frame) => left(frame) ^ right(frame);
    case '<<':
      return (frame) => shifted(left(frame), right(frame), true);
    case '>>':
      return (frame) => shifted(left(frame), right(frame), false);
  }
}

/** Division by zero leaves the frame out, as reading beyond its end does. */
function divisor(frame: FilteredFrame, right: Evaluate): number {
  const by = right(frame) >>> 0;
  if (by !== 0) return by;
  frame.isShort = true;
  return 1;
}

function shifted(value: number, bits: number, isLeft: boolean): number {
  if (bits >>> 0 > 31) return 0;
  return isLeft ? value << bits : (value >>> bits) | 0;
}
