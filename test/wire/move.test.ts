import fc from 'fast-check';
import { expect, test } from 'vitest';
import { moveUp } from '../../src/wire/move.ts';
import { viewOf } from './bytes.ts';

test('any bytes moved up, overlapping or not -> as they were, and none but their new place written', () => {
  const anyMove = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.nat(70), fc.nat(8));
  fc.assert(
    fc.property(anyMove, ([bytes, distance, from]) => {
      const whole = new Uint8Array(from + bytes.length + distance + 3).fill(0xaa);
      whole.set(bytes, from);
      const expected = whole.slice();
      expected.set(bytes, from + distance);
      const view = viewOf(whole);
      moveUp(view, from, from + distance, bytes.length);
      expect(new Uint8Array(view.buffer)).toEqual(expected);
    }),
  );
});
