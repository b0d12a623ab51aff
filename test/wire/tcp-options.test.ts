import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  MAX_WINDOW_SCALE,
  TcpOptions,
  writeSack,
  writeSynOptions,
  writeTimestamps,
} from '../../src/wire/tcp-options.ts';

const HEADER = 20;
/** Options of the longest header */
const MOST_BYTES = 40;

interface Read {
  mss: number;
  windowScale: number;
  sackPermitted: boolean;
  timestamps: readonly [number, number] | undefined;
  sack: readonly number[];
}

const NOTHING: Read = { mss: 0, windowScale: -1, sackPermitted: false, timestamps: undefined, sack: [] };

function result(options: TcpOptions): Read {
  const { mss, windowScale, sackPermitted, hasTimestamps, timestamp, timestampEcho, sackBlocks } = options;
  return {
    mss,
    windowScale,
    sackPermitted,
    timestamps: hasTimestamps ? [timestamp, timestampEcho] : undefined,
    sack: [...options.sack.subarray(0, 2 * sackBlocks)],
  };
}

/** Reads `bytes` as the options of a segment that ends with them, in a buffer that ends there, too. */
function read(bytes: ArrayLike<number>, options = new TcpOptions()): Read {
  const buffer = new Uint8Array(HEADER + bytes.length);
  buffer.set(Array.from(bytes), HEADER);
  options.read(new DataView(buffer.buffer), 0, buffer.length);
  return result(options);
}

function word32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

/** An option's bytes, and what it makes of what was read before. */
interface Piece {
  readonly bytes: readonly number[];
  readonly apply: (read: Read) => Read;
}

const same = (read: Read): Read => read;
const piece: fc.Arbitrary<Piece> = fc.oneof(
  fc.constant({ bytes: [1], apply: same }),
  fc.integer({ min: 1, max: 0xffff }).map((mss) => ({
    bytes: [2, 4, mss >>> 8, mss & 0xff],
    apply: (read: Read) => ({ ...read, mss }),
  })),
  fc.nat(255).map((scale) => ({
    bytes: [3, 3, scale],
    apply: (read: Read) => ({ ...read, windowScale: Math.min(scale, MAX_WINDOW_SCALE) }),
  })),
  fc.constant({ bytes: [4, 2], apply: (read: Read) => ({ ...read, sackPermitted: true }) }),
  fc.tuple(int32, int32).map(([value, echo]) => ({
    bytes: [8, 10, ...word32(value), ...word32(echo)],
    apply: (read: Read) => ({ ...read, timestamps: [value, echo] as const }),
  })),
  fc.array(fc.tuple(int32, int32), { minLength: 1, maxLength: 4 }).map((blocks) => ({
    bytes: [5, 2 + 8 * blocks.length, ...blocks.flat().flatMap(word32)],
    apply: (read: Read) => ({ ...read, sack: blocks.flat() }),
  })),
  fc
    .tuple(fc.constantFrom(6, 9, 34, 253, 255), fc.uint8Array({ maxLength: 6 }))
    .map(([kind, bytes]) => ({ bytes: [kind, 2 + bytes.length, ...bytes], apply: same })),
  // A known kind of a wrong length says nothing
  fc.constantFrom([2, 3, 9], [3, 2], [4, 3, 0], [8, 9, 0, 0, 0, 0, 0, 0, 0]).map((bytes) => ({
    bytes,
    apply: same,
  })),
);

describe('reading', () => {
  test('any bytes -> never throws, never reads outside', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: MOST_BYTES }), (bytes) => {
        read(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  test('any bytes of options, whatever lies behind them -> the same', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: MOST_BYTES }), fc.nat(255), (bytes, behind) => {
        const buffer = new Uint8Array(HEADER + MOST_BYTES + 64).fill(behind);
        buffer.set(bytes, HEADER);
        const options = new TcpOptions();
        options.read(new DataView(buffer.buffer), 0, HEADER + bytes.length);
        expect(result(options)).toEqual(read(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  test('lists of options in any order -> each is read, the last of a kind counts', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.nat(3), (pieces, zeros) => {
        const bytes: number[] = [];
        let expected = NOTHING;
        for (const { bytes: more, apply } of pieces) {
          if (bytes.length + more.length > MOST_BYTES) continue;
          bytes.push(...more);
          expected = apply(expected);
        }
        expect(read([...bytes, ...new Array(zeros).fill(0)])).toEqual(expected);
      }),
      { numRuns: 1000 },
    );
  });

  test('one object for many segments -> nothing of the one before is left', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: MOST_BYTES }),
        fc.uint8Array({ maxLength: MOST_BYTES }),
        (first, second) => {
          const options = new TcpOptions();
          read(first, options);
          expect(read(second, options)).toEqual(read(second));
        },
      ),
    );
  });

  test.each([
    ['a length of 0', [2, 4, 5, 0xb4, 3, 0, 4, 2]],
    ['a length of 1', [2, 4, 5, 0xb4, 3, 1, 4, 2]],
    ['a length past the end', [2, 4, 5, 0xb4, 8, 10, 1, 2]],
    ['a kind without a length', [2, 4, 5, 0xb4, 1, 1, 1, 4]],
    ['the end of the list', [2, 4, 5, 0xb4, 0, 3, 3, 7]],
  ])('%s -> what came before counts, nothing else', (_name, bytes) => {
    expect(read(bytes)).toEqual({ ...NOTHING, mss: 1460 });
  });

  test('a shift beyond 14 -> 14 (RFC 7323 section 2.3)', () => {
    expect(read([3, 3, 255, 0]).windowScale).toBe(14);
  });

  test('SACK of a length that is no whole number of blocks -> the whole ones', () => {
    expect(read([5, 14, ...word32(1), ...word32(2), 9, 9, 9, 9]).sack).toEqual([1, 2]);
  });
});

describe('writing', () => {
  const write = (put: (view: DataView) => number) => {
    const buffer = new Uint8Array(64).fill(0xee);
    const bytes = put(new DataView(buffer.buffer));
    expect(bytes % 4).toBe(0);
    expect([...buffer.subarray(bytes)]).toEqual(new Array(64 - bytes).fill(0xee));
    return buffer.subarray(0, bytes);
  };

  test('any options of a SYN -> read as they were', () => {
    const scale = fc.integer({ min: -1, max: MAX_WINDOW_SCALE });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 0xffff }),
        scale,
        fc.boolean(),
        (mss, windowScale, sackPermitted) => {
          const bytes = write((view) => writeSynOptions(view, 0, mss, windowScale, sackPermitted));
          expect(read(bytes)).toEqual({ ...NOTHING, mss, windowScale, sackPermitted });
        },
      ),
    );
  });

  test('timestamps and SACK blocks -> read as they were, together within 40 bytes', () => {
    const blocks = fc.array(fc.tuple(int32, int32), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(int32, int32, blocks, (value, echo, ranges) => {
        const bytes = write((view) => {
          const at = writeTimestamps(view, 0, value, echo);
          return at + writeSack(view, at, Int32Array.from(ranges.flat()), ranges.length);
        });
        expect(bytes.length).toBeLessThanOrEqual(MOST_BYTES);
        expect(read(bytes)).toEqual({ ...NOTHING, timestamps: [value, echo], sack: ranges.flat() });
      }),
    );
  });

  test('timestamps alone -> the bytes of RFC 7323 appendix A', () => {
    const bytes = write((view) => writeTimestamps(view, 0, 0x01020304, 0x05060708));
    expect([...bytes]).toEqual([1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(read(bytes).timestamps).toEqual([0x01020304, 0x05060708]);
  });
});
