import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cacheDirectory, cached } from '../../src/lab/cache.ts';

describe('cacheDirectory', () => {
  test('TAPSWITCH_CACHE wins over XDG_CACHE_HOME, which wins over the home directory', () => {
    expect(cacheDirectory({ TAPSWITCH_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a');
    expect(cacheDirectory({ XDG_CACHE_HOME: '/b' })).toBe('/b/tapswitch');
    expect(cacheDirectory({})).toMatch(/\.cache\/tapswitch$/);
  });
});

describe('cached', () => {
  let cache: string;
  beforeEach(async () => {
    cache = await mkdtemp(join(tmpdir(), 'tapswitch-test-'));
  });
  afterEach(() => rm(cache, { recursive: true }));

  const writing = (text: string) => (directory: string) => writeFile(join(directory, 'file'), text);
  const read = (directory: string) => readFile(join(directory, 'file'), 'utf8');

  test('asked twice: filled once', async () => {
    const first = await cached('entry', writing('first'), cache);
    expect(await cached('entry', writing('second'), cache)).toBe(first);
    expect(await read(first)).toBe('first');
  });

  test('asked by several at once: all get one complete entry, nothing else stays', async () => {
    const paths = await Promise.all(['a', 'b', 'c'].map((text) => cached('entry', writing(text), cache)));
    expect(new Set(paths).size).toBe(1);
    expect(await read(paths[0] as string)).toMatch(/^[abc]$/);
    expect(await readdir(cache)).toEqual(['entry']);
  });

  test('filling fails: the error comes out and nothing stays', async () => {
    const failing = cached('entry', () => Promise.reject(new Error('no network')), cache);
    await expect(failing).rejects.toThrow('no network');
    expect(await readdir(cache)).toEqual([]);
  });

  test('an unfinished entry: removed by a later run once it is old, left alone while young', async () => {
    const [old, young] = [await mkdtemp(join(cache, '.old-')), await mkdtemp(join(cache, '.young-'))];
    const yesterday = Date.now() / 1000 - 86_400;
    await utimes(old as string, yesterday, yesterday);
    await cached('entry', writing('x'), cache);
    expect((await readdir(cache)).map((name) => join(cache, name))).toEqual([young, join(cache, 'entry')]);
  });
});
