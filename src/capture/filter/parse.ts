/**
 * Reads a capture filter: the language of tcpdump (pcap-filter(7)) without name look-ups, and with `vm NAME` and
 * `drop [REASON]`.
 *
 * As there, `and` and `or` bind alike, from left to right, and `not` binds closest.
 */
import { DROP_REASONS, type DropReason } from '../../telemetry/drops.ts';
import type { Filter, ProtocolName } from './ast.ts';
import { Cursor } from './cursor.ts';
import { multicastProtocol, parseId, parseQualifiers, type Qualifiers, startsId } from './primitives.ts';
import { filterError, tokenise } from './tokens.ts';
import { numberOf, parseComparison, parseValue, startsValue } from './values.ts';

/** Longest text that is read, characters; parentheses and `not` nest with it */
export const MAX_FILTER_LENGTH = 2000;
const MAX_DEPTH = 100;
const MAX_VLAN = 4095;
const MAX_LENGTH = 0xffff_ffff;

const AND = ['and', '&&'];
const OR = ['or', '||'];
const NOT = ['not', '!'];
const PLAIN_WORDS = ['vlan', 'less', 'greater', 'broadcast', 'multicast', 'vm', 'drop', 'mask', 'len'];
const QUALIFIER_WORDS = ['src', 'dst', 'host', 'net', 'port', 'portrange', 'proto', 'ether', 'ip', 'ip6'];
const PROTOCOL_WORDS = ['arp', 'rarp', 'tcp', 'udp', 'sctp', 'icmp', 'icmp6', 'igmp'];
const RESERVED: ReadonlySet<string> = new Set([
  ...[...AND, ...OR, ...NOT],
  ...[...PLAIN_WORDS, ...QUALIFIER_WORDS, ...PROTOCOL_WORDS],
]);

/** Reads a filter; undefined for one that says nothing. Throws FILTER_INVALID, which names the column. */
export function parseFilter(text: string): Filter | undefined {
  if (text.length > MAX_FILTER_LENGTH) {
    throw filterError(MAX_FILTER_LENGTH + 1, `a filter has ${MAX_FILTER_LENGTH} characters at most`);
  }
  const cursor = new Cursor(tokenise(text));
  if (cursor.peek().kind === 'end') return undefined;
  const filter = new Parser(cursor).expression();
  if (cursor.peek().kind !== 'end') throw cursor.unexpected("'and', 'or' or the end");
  return filter;
}

class Parser {
  readonly #cursor: Cursor;
  /** What an id without qualifiers takes over */
  #qualifiers: Qualifiers | undefined;
  #depth = 0;

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  expression(): Filter {
    const cursor = this.#cursor;
    let left = this.#term();
    for (let token = cursor.take(...AND, ...OR); token; token = cursor.take(...AND, ...OR)) {
      left = { kind: AND.includes(token.text) ? 'and' : 'or', left, right: this.#term() };
    }
    return left;
  }

  #term(): Filter {
    const cursor = this.#cursor;
    if (++this.#depth > MAX_DEPTH) throw filterError(cursor.peek().column, 'nested too deeply');
    const filter = this.#negated() ?? this.#relation() ?? this.#group() ?? this.#primitive();
    this.#depth--;
    return filter;
  }

  #negated(): Filter | undefined {
    return this.#cursor.take(...NOT) && { kind: 'not', operand: this.#term() };
  }

  /** A parenthesis may hold a value or conditions: what comes behind it tells. */
  #relation(): Filter | undefined {
    const cursor = this.#cursor;
    if (!cursor.is('(')) return startsValue(cursor) ? this.#comparison() : undefined;
    const start = cursor.mark;
    try {
      return this.#comparison();
    } catch {
      cursor.goBack(start);
      return undefined;
    }
  }

  #comparison(): Filter {
    const left = parseValue(this.#cursor);
    const operator = parseComparison(this.#cursor);
    return { kind: 'relation', operator, left, right: parseValue(this.#cursor) };
  }

  #group(): Filter | undefined {
    if (!this.#cursor.take('(')) return undefined;
    const filter = this.expression();
    this.#cursor.expect(')');
    return filter;
  }

  #primitive(): Filter {
    const cursor = this.#cursor;
    const special = this.#special();
    if (special !== undefined) return special;
    const qualifiers = parseQualifiers(cursor);
    if (qualifiers === undefined) return this.#bareId();
    if (cursor.is('broadcast')) {
      if (qualifiers.protocol !== 'ether')
        throw filterError(qualifiers.column, "only 'ether' goes with 'broadcast'");
      cursor.next();
      return { kind: 'broadcast' };
    }
    if (cursor.take('multicast')) return { kind: 'multicast', protocol: multicastProtocol(qualifiers) };
    if (startsId(cursor, RESERVED)) {
      this.#qualifiers = qualifiers;
      return parseId(cursor, qualifiers);
    }
    if (cursor.is('(') && (qualifiers.type ?? qualifiers.direction) !== 'either')
      return this.#ids(qualifiers);
    const { protocol, direction, type, column } = qualifiers;
    const isAlone =
      protocol !== undefined && protocol !== 'ether' && direction === 'either' && type === undefined;
    if (!isAlone) throw cursor.unexpected(`what '${type ?? protocol ?? direction}' is about`);
    this.#qualifiers = { protocol, direction, type, column };
    return { kind: 'protocol', name: protocol as ProtocolName };
  }

  /** `port (80 or 443)` */
  #ids(qualifiers: Qualifiers): Filter {
    this.#qualifiers = qualifiers;
    return this.#group() as Filter;
  }

  /** An id alone takes the qualifiers of the one before it. */
  #bareId(): Filter {
    const cursor = this.#cursor;
    const { column, text } = cursor.peek();
    if (!startsId(cursor, RESERVED)) throw cursor.unexpected('a condition');
    const qualifiers = this.#qualifiers;
    if (qualifiers === undefined && !/^[\d:]|:/.test(text))
      throw filterError(column, `there is no '${text}' in a filter`);
    return parseId(
      cursor,
      qualifiers ?? { protocol: undefined, direction: 'either', type: undefined, column },
    );
  }

  #special(): Filter | undefined {
    const cursor = this.#cursor;
    if (cursor.take('vlan')) return { kind: 'vlan', id: this.#optionalNumber(MAX_VLAN) };
    if (cursor.take('less')) return lengthIs('<=', numberOf(cursor.next(), MAX_LENGTH));
    if (cursor.take('greater')) return lengthIs('>=', numberOf(cursor.next(), MAX_LENGTH));
    if (cursor.take('broadcast')) return { kind: 'broadcast' };
    if (cursor.take('multicast')) return { kind: 'multicast', protocol: undefined };
    if (cursor.take('vm')) return this.#vm();
    if (cursor.take('drop')) return this.#drop();
    return undefined;
  }

  #optionalNumber(max: number): number | undefined {
    return /^\d/.test(this.#cursor.peek().text) ? numberOf(this.#cursor.next(), max) : undefined;
  }

  #vm(): Filter {
    if (this.#cursor.peek().kind !== 'word') throw this.#cursor.unexpected("a VM's name");
    return { kind: 'vm', name: this.#cursor.next().text };
  }

  #drop(): Filter {
    const cursor = this.#cursor;
    const { kind, text, column } = cursor.peek();
    const reason = DROP_REASONS.find((known): known is DropReason => known === text);
    if (reason !== undefined) cursor.next();
    else if (kind === 'word' && !cursor.is(...RESERVED)) {
      throw filterError(column, `no frame is dropped for '${text}' (docs/drops.md)`);
    }
    return { kind: 'drop', reason };
  }
}

function lengthIs(operator: '<=' | '>=', bytes: number): Filter {
  return { kind: 'relation', operator, left: { kind: 'length' }, right: { kind: 'number', value: bytes } };
}
