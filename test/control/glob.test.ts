import { expect, test } from 'vitest';
import { matches } from '../../src/control/glob.ts';

test.each([
  ['fc-vm-*', 'fc-vm-02018', true],
  ['fc-vm-*', 'fc-vm-', true],
  ['fc-vm-*', 'xfc-vm-1', false],
  ['fc-vm-?', 'fc-vm-1', true],
  ['fc-vm-?', 'fc-vm-12', false],
  ['tap.0', 'tapx0', false],
  ['tap.0', 'tap.0', true],
  ['t[a]p', 't[a]p', true],
  ['*', 'anything', true],
])('%s, %s -> %s', (pattern, name, expected) => {
  expect(matches(pattern, name)).toBe(expected);
});
