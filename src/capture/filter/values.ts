/** The arithmetic of a filter: `tcp[tcpflags] & tcp-syn`, `len - 14`. */
import type { Arithmetic, Comparison, ProtocolName, Value } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { CONSTANTS } from './names.ts';
import { filterError, type Token } from './tokens.ts';

const BASES: ReadonlySet<string> = new Set<ProtocolName | 'ether'>([
  'ether',
  'ip',
  'ip6',
  'arp',
  'rarp',
  'tcp',
  'udp',
  'sctp',
  'icmp',
  'icmp6',
  'igmp',
]);
/** Binary operators, loosest first. */
const LEVELS: readonly (readonly Arithmetic[])[] = [
  ['|', '^'],
  ['&'],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
];
const COMPARISONS = ['=', '==', '!=', '<', '<=', '>', '>='];
const NUMBER = /^(?:0x[0-9a-f]+|\d+)$/i;
const MAX_NUMBER = 0xffff_ffff;

/** True where a value starts that no other meaning fits: a relation has to follow. */
export function startsValue(cursor: Cursor): boolean {
  const { kind, text, escaped } = cursor.peek();
  if (escaped || kind === 'end') return false;
  if (text === '-' || text === 'len' || CONSTANTS.has(text)) return true;
  if (BASES.has(text)) return cursor.peek(1).text === '[';
  return NUMBER.test(text) && isOperator(cursor.peek(1).text) && !isPrefix(cursor);
}

export function parseComparison(cursor: Cursor): Comparison {
  const token = cursor.take(...COMPARISONS);
  if (token === undefined) throw cursor.unexpected('a comparison (= != < <= > >=)');
  return token.text === '==' ? '=' : (token.text as Comparison);
}

export function parseValue(cursor: Cursor, level = 0): Value {
  const operators = LEVELS[level];
  if (operators === undefined) return parseFactor(cursor);
  let left = parseValue(cursor, level + 1);
  for (let token = cursor.take(...operators); token; token = cursor.take(...operators)) {
    const right = parseValue(cursor, level + 1);
    const operator = token.text as Arithmetic;
    const dividesByZero =
      (operator === '/' || operator === '%') && right.kind === 'number' && right.value === 0;
    if (dividesByZero) throw filterError(token.column, 'division by zero');
    left = { kind: 'arithmetic', operator, left, right };
  }
  return left;
}

function parseFactor(cursor: Cursor): Value {
  if (cursor.take('-')) {
    return {
      kind: 'arithmetic',
      operator: '-',
      left: { kind: 'number', value: 0 },
      right: parseFactor(cursor),
    };
  }
  if (cursor.take('(')) {
    const value = parseValue(cursor);
    cursor.expect(')');
    return value;
  }
  if (cursor.take('len')) return { kind: 'length' };
  const { text, kind } = cursor.peek();
  if (kind === 'word' && BASES.has(text) && cursor.peek(1).text === '[') return parseLoad(cursor);
  const constant = CONSTANTS.get(text);
  if (constant === undefined && !NUMBER.test(text)) throw cursor.unexpected('a number');
  return {
    kind: 'number',
    value: constant === undefined ? numberOf(cursor.next(), MAX_NUMBER) : named(cursor, constant),
  };
}

function named(cursor: Cursor, constant: number): number {
  cursor.next();
  return constant;
}

function parseLoad(cursor: Cursor): Value {
  const base = cursor.next().text as ProtocolName | 'ether';
  cursor.expect('[');
  const offset = parseValue(cursor);
  let size = 1;
  if (cursor.take(':')) {
    const token = cursor.next();
    size = numberOf(token, MAX_NUMBER);
    if (size !== 1 && size !== 2 && size !== 4) throw filterError(token.column, 'the size must be 1, 2 or 4');
  }
  cursor.expect(']');
  return { kind: 'load', base, offset, size };
}

/** The number a token is, not above `max`. */
export function numberOf(token: Token, max: number): number {
  if (!NUMBER.test(token.text)) {
    throw filterError(
      token.column,
      token.kind === 'end' ? 'a number is missing' : `'${token.text}' is no number`,
    );
  }
  const number = Number(token.text);
  if (number > max) throw filterError(token.column, `${token.text} is above ${max}`);
  return number;
}

function isOperator(text: string): boolean {
  return (
    COMPARISONS.includes(text) || LEVELS.some((operators) => (operators as readonly string[]).includes(text))
  );
}

/** `10/8` is a network, and `20-30` a range, unless a comparison comes. */
function isPrefix(cursor: Cursor): boolean {
  return ['/', '-'].includes(cursor.peek(1).text) && !isOperator(cursor.peek(3).text);
}
