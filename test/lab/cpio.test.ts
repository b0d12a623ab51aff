import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { writeCpio } from '../../src/lab/cpio.ts';
import { readCpio } from './read-cpio.ts';

const busybox = '/bin/busybox';
const hasBusybox = spawnSync(busybox, ['cpio', '--help']).status === 0;

describe('writeCpio', () => {
  test('entries of each type: mode, data and order come back, inodes differ', () => {
    const archive = writeCpio([
      { type: 'directory', path: 'bin' },
      { type: 'file', path: 'bin/tool', data: Buffer.from('code'), executable: true },
      { type: 'file', path: 'bin/notes', data: Buffer.from('text') },
      { type: 'symlink', path: 'bin/link', target: 'tool' },
    ]);
    expect(
      readCpio(archive).map(({ path, mode, data }) => [path, mode.toString(8), data.toString()]),
    ).toEqual([
      ['bin', '40755', ''],
      ['bin/tool', '100755', 'code'],
      ['bin/notes', '100644', 'text'],
      ['bin/link', '120777', 'tool'],
    ]);
    expect(new Set(readCpio(archive).map(({ inode }) => inode)).size).toBe(4);
  });

  test('names and contents of any length: padded to 4 bytes, read back the same', () => {
    const file = fc.record({
      path: fc.stringMatching(/^[a-z]{1,40}$/),
      data: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
    });
    fc.assert(
      fc.property(fc.array(file), (files) => {
        const archive = writeCpio(files.map((each) => ({ type: 'file', ...each })));
        expect(archive.length % 4).toBe(0);
        expect(readCpio(archive).map(({ path, data }) => ({ path, data }))).toEqual(files);
      }),
    );
  });

  test('the same entries twice: the same bytes', () => {
    const entries = [{ type: 'file', path: 'a', data: Buffer.from('b') }] as const;
    expect(writeCpio(entries)).toEqual(writeCpio(entries));
  });

  test.skipIf(!hasBusybox)('an archive given to busybox cpio: lists its members', () => {
    const archive = writeCpio([
      { type: 'directory', path: 'dir' },
      { type: 'file', path: 'dir/file', data: Buffer.from('x') },
      { type: 'symlink', path: 'dir/link', target: 'file' },
    ]);
    const listed = spawnSync(busybox, ['cpio', '-t'], { input: archive, encoding: 'utf8' });
    expect(listed.stdout.trim().split('\n')).toEqual(['dir', 'dir/file', 'dir/link']);
  });
});
