import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allocateSharedMap, NONE, PINNED, SharedMap } from '../../src/switch/shared-map.ts';

const OWNER = 2;
const BUCKET = 8;

type Key = readonly [number, number, number];

function insert(map: SharedMap, key: Key, value: number, expiry: number): number {
  return map.insert(...key, value, expiry, OWNER);
}

function lookUp(map: SharedMap, key: Key, now: number): number | undefined {
  const entry = map.find(...key, now);
  return entry === NONE ? undefined : map.value(entry);
}

/** A map of one bucket with eight entries of the given expiries; the key of entry i is (i, 0, 0), its value 100 + i. */
function oneBucket(expiries: readonly number[]): SharedMap {
  const map = new SharedMap(allocateSharedMap(BUCKET));
  for (const [i, expiry] of expiries.entries()) insert(map, [i, 0, 0], 100 + i, expiry);
  return map;
}

function living(map: SharedMap, now: number): number[] {
  return [...map.entries(now)].map(([key0]) => key0).sort((a, b) => a - b);
}

const EIGHT = [10, 20, 30, 40, 50, 60, 70, 80];

describe('one bucket', () => {
  test('eight entries -> all found', () => {
    const map = oneBucket(EIGHT);
    for (let i = 0; i < BUCKET; i++) expect(lookUp(map, [i, 0, 0], 0)).toBe(100 + i);
  });

  test('an entry lives until just before its expiry', () => {
    const map = oneBucket([10]);
    expect(lookUp(map, [0, 0, 0], 9)).toBe(100);
    expect(lookUp(map, [0, 0, 0], 10)).toBeUndefined();
  });

  test('full: one more -> the soonest to expire gives way, wherever it lies', () => {
    for (const soonest of [0, 3, 7]) {
      const map = oneBucket(EIGHT.map((expiry, i) => (i === soonest ? 5 : expiry)));
      insert(map, [99, 0, 0], 1, 1000);
      expect(living(map, 0)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 99].filter((key) => key !== soonest));
    }
  });

  test('full: one more, pinned ones among them -> never they', () => {
    const map = oneBucket([PINNED, PINNED, 900, PINNED, 800, PINNED, PINNED, PINNED]);
    insert(map, [98, 0, 0], 1, 1000);
    insert(map, [99, 0, 0], 1, 1001);
    expect(living(map, 0)).toEqual([0, 1, 3, 5, 6, 7, 98, 99]);
  });

  test('nothing but pinned ones -> refused, pinned or not; a known key is replaced all the same', () => {
    const map = oneBucket(Array(BUCKET).fill(PINNED));
    expect(insert(map, [99, 0, 0], 1, 1000)).toBe(NONE);
    expect(insert(map, [99, 0, 0], 1, PINNED)).toBe(NONE);
    expect(insert(map, [3, 0, 0], 42, PINNED)).not.toBe(NONE);
    expect(lookUp(map, [3, 0, 0], 0)).toBe(42);
    expect(living(map, 0)).toHaveLength(BUCKET);
  });

  test('a refused insertion -> the lock is free again', () => {
    const map = oneBucket(Array(BUCKET).fill(PINNED));
    insert(map, [99, 0, 0], 1, 1000);
    map.remove(0, 0, 0, OWNER);
    expect(insert(map, [99, 0, 0], 1, 1000)).not.toBe(NONE);
  });

  test('removed, pinned -> gone, its room is free', () => {
    const map = oneBucket(Array(BUCKET).fill(PINNED));
    map.remove(4, 0, 0, OWNER);
    expect(lookUp(map, [4, 0, 0], 0)).toBeUndefined();
    expect(insert(map, [99, 0, 0], 1, PINNED)).not.toBe(NONE);
  });

  test('expired, inserted again, removed -> gone for good', () => {
    const map = oneBucket([1000, 10]);
    insert(map, [1, 0, 0], 7, 500);
    map.remove(1, 0, 0, OWNER);
    expect(lookUp(map, [1, 0, 0], 0)).toBeUndefined();
  });

  test('expired -> a free room goes to others, and it is not found in between', () => {
    const map = oneBucket([10, ...Array(7).fill(PINNED)]);
    expect(insert(map, [99, 0, 0], 1, 1000)).not.toBe(NONE);
    expect(lookUp(map, [0, 0, 0], 0)).toBeUndefined();
  });

  test('refreshed -> lives on; pinned -> stays pinned', () => {
    const map = oneBucket([10, PINNED]);
    map.refresh(map.find(0, 0, 0, 0), 50);
    map.refresh(map.find(1, 0, 0, 0), 50);
    expect(lookUp(map, [0, 0, 0], 49)).toBe(100);
    expect(lookUp(map, [0, 0, 0], 50)).toBeUndefined();
    expect(lookUp(map, [1, 0, 0], PINNED - 1)).toBe(101);
  });

  test('removeValue -> every entry with that value, and no other', () => {
    const map = oneBucket([]);
    for (let i = 0; i < 6; i++) insert(map, [i, 0, 0], i % 2, i < 3 ? PINNED : 100);
    map.removeValue(1, OWNER);
    expect(living(map, 0)).toEqual([0, 2, 4]);
  });
});

test('two buckets, full: one more -> the soonest to expire of both its buckets gives way', () => {
  const full = () => {
    const map = new SharedMap(allocateSharedMap(2 * BUCKET));
    for (let i = 0; i < 200; i++) insert(map, [i, 0, 0], i, 1000 + i);
    return map;
  };
  expect(living(full(), 0)).toHaveLength(2 * BUCKET);
  const soonest = living(full(), 0)[0];
  // A key has both buckets as often as not, and else the one with the soonest as often as not.
  const goneFor = Array.from({ length: 64 }, (_, i) => {
    const map = full();
    insert(map, [1000 + i, 0, 0], 1, 9999);
    return !living(map, 0).includes(soonest!);
  });
  expect(goneFor.filter(Boolean).length).toBeGreaterThan(32);
});

test.each<[string, Key]>([
  ['first', [2, 1, 1]],
  ['second', [1, 2, 1]],
  ['third', [1, 1, 2]],
])('a key that differs in its %s part -> not found', (_name, key) => {
  const map = new SharedMap(allocateSharedMap(BUCKET));
  insert(map, [1, 1, 1], 5, PINNED);
  expect(lookUp(map, key, 0)).toBeUndefined();
  expect(lookUp(map, [1, 1, 1], 0)).toBe(5);
});

test('a quarter full with neighbouring keys, pinned -> all found', () => {
  const map = new SharedMap(allocateSharedMap(16_384));
  for (let i = 0; i < 4096; i++) expect(insert(map, [0xc0a80000 | i, 0x0600, 3], i, PINNED)).not.toBe(NONE);
  for (let i = 0; i < 4096; i++) expect(lookUp(map, [0xc0a80000 | i, 0x0600, 3], 0)).toBe(i);
});

test('two maps on one memory -> the same content', () => {
  const memory = allocateSharedMap(100);
  const [one, other] = [new SharedMap(memory), new SharedMap(memory)];
  insert(one, [-1, -2, -3], -4, 10);
  expect(lookUp(other, [-1, -2, -3], 9)).toBe(-4);
  expect([...other.entries(9)]).toEqual([[-1, -2, -3, -4, 10]]);
  expect([...other.entries(10)]).toEqual([]);
});

describe('unlockDead', () => {
  function lockedBy(owner: number) {
    const memory = allocateSharedMap(BUCKET);
    const lock = new Int32Array(memory);
    lock[0] = owner + 1;
    return { map: new SharedMap(memory), lock };
  }

  test.each([0, 3])('thread %i died holding the lock -> free again', (owner) => {
    const { map, lock } = lockedBy(owner);
    map.unlockDead(owner);
    expect(lock[0]).toBe(0);
    expect(insert(map, [1, 1, 1], 1, PINNED)).not.toBe(NONE);
  });

  test('another thread died -> the holder keeps the lock', () => {
    const { map, lock } = lockedBy(1);
    map.unlockDead(0);
    expect(lock[0]).toBe(2);
  });
});

describe('against a plain Map', () => {
  interface Modelled {
    value: number;
    expiry: number;
  }
  const small = fc.nat(3);
  const key: fc.Arbitrary<Key> = fc.tuple(small, fc.constantFrom(0, -1), fc.constantFrom(0, 7));
  const expiry = fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 40 }) }, fc.constant(PINNED));
  const step = fc.oneof(
    fc.record({ op: fc.constant('insert' as const), key, value: fc.nat(4), expiry }),
    fc.record({ op: fc.constant('remove' as const), key }),
    fc.record({ op: fc.constant('refresh' as const), key, expiry: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ op: fc.constant('removeValue' as const), value: fc.nat(4) }),
    fc.record({ op: fc.constant('pass' as const), seconds: fc.nat(10) }),
  );
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

  /** Plays the steps on both; `check` is called after each with the time, and the keys that were ever inserted. */
  function play(
    capacity: number,
    steps: readonly Step[],
    check: (map: SharedMap, model: Map<string, Modelled>, keys: Map<string, Key>, now: number) => void,
  ): void {
    const map = new SharedMap(allocateSharedMap(capacity));
    const model = new Map<string, Modelled>();
    const keys = new Map<string, Key>();
    let now = 1;
    for (const next of steps) {
      if (next.op === 'pass') now += next.seconds;
      else if (next.op === 'removeValue') {
        map.removeValue(next.value, OWNER);
        for (const [name, { value }] of model) if (value === next.value) model.delete(name);
      } else {
        const name = next.key.join();
        keys.set(name, next.key);
        if (next.op === 'remove') {
          map.remove(...next.key, OWNER);
          model.delete(name);
        } else if (next.op === 'insert') {
          const entry = insert(map, next.key, next.value, next.expiry);
          if (entry === NONE) model.delete(name);
          else model.set(name, { value: next.value, expiry: next.expiry });
        } else {
          const entry = map.find(...next.key, now);
          const known = model.get(name);
          if (entry !== NONE) map.refresh(entry, next.expiry);
          if (entry !== NONE && known && known.expiry !== PINNED) known.expiry = next.expiry;
        }
      }
      check(map, model, keys, now);
    }
  }

  test('any steps with as many keys as one bucket holds -> the same answers', () => {
    const eightKeys = fc
      .array(step, { maxLength: 60 })
      .map((steps) =>
        steps.map((one) => ('key' in one ? { ...one, key: [one.key[0], one.key[1], 0] as Key } : one)),
      );
    fc.assert(
      fc.property(eightKeys, (steps) => {
        play(BUCKET, steps, (map, model, keys, now) => {
          for (const [name, key] of keys) {
            const known = model.get(name);
            const value = known && known.expiry > now ? known.value : undefined;
            expect(lookUp(map, key, now)).toBe(value);
          }
          const living = [...model.values()].filter((known) => known.expiry > now).length;
          expect([...map.entries(now)]).toHaveLength(living);
        });
      }),
    );
  });

  test('any steps with more keys than there is room -> never a wrong answer, and pinned ones never lost', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        play(BUCKET, steps, (map, model, keys, now) => {
          for (const [name, key] of keys) {
            const known = model.get(name);
            const value = lookUp(map, key, now);
            if (value !== undefined) expect(value).toBe(known?.value);
            if (known?.expiry === PINNED) expect(value).toBe(known.value);
          }
        });
      }),
    );
  });
});
