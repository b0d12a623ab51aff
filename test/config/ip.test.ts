import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  firstOf,
  formatEndpoint,
  formatIp,
  formatPrefix,
  type IpWords,
  isIpv4,
  maskWord,
  parseIp,
  parsePrefix,
} from '../../src/config/ip.ts';

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

describe('parseIp', () => {
  test.each<[string, IpWords]>([
    ['192.168.0.14', [0, 0, 0xffff, 0xc0a8000e | 0]],
    ['::ffff:192.168.0.14', [0, 0, 0xffff, 0xc0a8000e | 0]],
    ['::1', [0, 0, 0, 1]],
    ['fd12:3456:789a::8000:1', [0xfd123456 | 0, 0x789a0000, 0, 0x80000001 | 0]],
  ])('%s -> its words', (text, words) => {
    expect(parseIp(text)).toEqual(words);
  });

  test.each(['', '1.2.3', '01.2.3.4', 'fe80::1%eth0', '[::1]', '::1::', 'localhost', ' ::1'])(
    '%j -> no address',
    (text) => {
      expect(parseIp(text)).toBeUndefined();
    },
  );

  test('any words -> the same after text', () => {
    fc.assert(
      fc.property(fc.tuple(word, word, word, word), (words) => {
        expect(parseIp(formatIp(words))).toEqual(words);
      }),
    );
  });

  test('IPv4 -> told from IPv6, and from what only resembles it', () => {
    expect(isIpv4([0, 0, 0xffff, 5])).toBe(true);
    for (const words of [
      [0, 0, 0, 5],
      [0, 0, 0xffff0000 | 0, 5],
      [1, 0, 0xffff, 5],
    ]) {
      expect(isIpv4(words as unknown as IpWords)).toBe(false);
    }
  });
});

test('an address with a port -> IPv6 in brackets', () => {
  expect(formatEndpoint([0, 0, 0xffff, 0x7f000001], 80)).toBe('127.0.0.1:80');
  expect(formatEndpoint([0, 0, 0, 1], 80)).toBe('[::1]:80');
});

describe('parsePrefix', () => {
  test.each([
    ['10.0.0.0/8', 104, '10.0.0.0/8'],
    ['0.0.0.0/0', 96, '0.0.0.0/0'],
    ['10.0.0.1', 128, '10.0.0.1/32'],
    ['10.0.0.1/8', 104, '10.0.0.1/8'],
    ['::/0', 0, '::/0'],
    ['fc00::/7', 7, 'fc00::/7'],
    ['::1', 128, '::1/128'],
    ['::ffff:10.0.0.0/104', 104, '10.0.0.0/8'],
  ])('%s -> %i bits, written %s', (text, length, written) => {
    const prefix = parsePrefix(text);
    expect(prefix?.length).toBe(length);
    expect(formatPrefix(prefix as NonNullable<typeof prefix>)).toBe(written);
  });

  test.each(['', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/-1', '10.0.0.0/8/8', 'any'])(
    '%j -> no prefix',
    (text) => {
      expect(parsePrefix(text)).toBeUndefined();
    },
  );
});

test('masks of every length -> as many ones, first to last', () => {
  for (let length = 0; length <= 128; length++) {
    const bits = [0, 1, 2, 3].map((i) => (maskWord(length, i) >>> 0).toString(2).padStart(32, '0')).join('');
    expect(bits).toBe('1'.repeat(length) + '0'.repeat(128 - length));
  }
});

test('first address of a block -> host bits gone', () => {
  const all: IpWords = [-1, -1, -1, -1];
  expect(firstOf(all, 64)).toEqual([-1, -1, 0, 0]);
  expect(firstOf(all, 127)).toEqual([-1, -1, -1, -2]);
  expect(firstOf(all, 0)).toEqual([0, 0, 0, 0]);
});
