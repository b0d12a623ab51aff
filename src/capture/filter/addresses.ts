/** The addresses, networks and ports a filter names. */
import { firstOf, type IpPrefix, isIpv4, MAPPED_BITS, maskWord, parseIp } from '../../config/ip.ts';
import type { Filter } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { SERVICES } from './names.ts';
import { filterError, type Token } from './tokens.ts';
import { numberOf } from './values.ts';

const MAX_PORT = 65_535;
const IPV4_BITS = 32;
/** 10, 172.16, 192.168.0: a network by its first bytes */
const SHORT_NETWORK = /^\d{1,3}(?:\.\d{1,3}){0,2}$/;

/** Words and masks of an address node. */
export type Block = Pick<Filter & { kind: 'address' }, 'words' | 'masks'>;

export function hostBlock(token: Token): Block {
  const address = parseIp(token.text);
  if (address === undefined) {
    const hint = 'addresses only; a VM is named as in: vm NAME';
    throw filterError(token.column, `'${token.text}' is no IP address (${hint})`);
  }
  return blockOf({ address, length: MAPPED_BITS + IPV4_BITS });
}

/** A network as `10.0.0.0/8`, `10.0.0.0 mask 255.0.0.0`, `10`, `fd00::/8`; an address alone is one of its own. */
export function networkBlock(token: Token, cursor: Cursor): Block {
  const isShort = SHORT_NETWORK.test(token.text);
  const given = isShort ? token.text.split('.') : [];
  const address = parseIp(isShort ? [...given, '0', '0', '0'].slice(0, 4).join('.') : token.text);
  if (address === undefined) throw filterError(token.column, `'${token.text}' is no network`);
  const offset = isIpv4(address) ? MAPPED_BITS : 0;
  let length = offset + (isShort ? 8 * given.length : MAPPED_BITS + IPV4_BITS - offset);
  if (cursor.take('/')) length = offset + numberOf(cursor.next(), MAPPED_BITS + IPV4_BITS - offset);
  else if (offset > 0 && cursor.take('mask')) return maskedBlock(token, address[3], cursor.next());
  const first = firstOf(address, length);
  if (first.some((word, i) => word !== address[i])) {
    throw filterError(
      token.column,
      `'${token.text}' has bits set beyond its ${length - offset} bits of network`,
    );
  }
  return blockOf({ address, length });
}

function maskedBlock(token: Token, word: number, maskToken: Token): Block {
  const mask = parseIp(maskToken.text);
  if (mask === undefined || !isIpv4(mask))
    throw filterError(maskToken.column, `'${maskToken.text}' is no mask`);
  if ((word & ~mask[3]) !== 0)
    throw filterError(token.column, `'${token.text}' has bits set beyond its mask`);
  return { words: [word], masks: [mask[3]] };
}

function blockOf({ address, length }: IpPrefix): Block {
  const words = isIpv4(address) ? [3] : [0, 1, 2, 3];
  return { words: words.map((i) => address[i] as number), masks: words.map((i) => maskWord(length, i)) };
}

export function portOf(token: Token): number {
  return SERVICES.get(token.text) ?? numberOf(token, MAX_PORT);
}

/** `20-30`; a port alone is a range of one. */
export function portRange(token: Token, cursor: Cursor): { first: number; last: number } {
  const first = portOf(token);
  const last = cursor.take('-') ? portOf(cursor.next()) : first;
  return { first: Math.min(first, last), last: Math.max(first, last) };
}
