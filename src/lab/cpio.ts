/** Writer for "newc" cpio archives, the form a kernel unpacks as its initramfs (Documentation/driver-api/early-userspace/buffer-format.rst). */

export type CpioEntry =
  | { readonly type: 'directory'; readonly path: string }
  | { readonly type: 'file'; readonly path: string; readonly data: Buffer; readonly executable?: boolean }
  | { readonly type: 'symlink'; readonly path: string; readonly target: string };

const MAGIC = '070701';
const HEADER_SIZE = 110;
const TRAILER = 'TRAILER!!!';

/** File type bits of `st_mode` (uapi/linux/stat.h) */
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;

interface Node {
  readonly mode: number;
  readonly links: number;
  readonly data: Buffer;
}

const NOTHING = Buffer.alloc(0);

function nodeOf(entry: CpioEntry): Node {
  switch (entry.type) {
    case 'directory':
      return { mode: S_IFDIR | 0o755, links: 2, data: NOTHING };
    case 'file':
      return { mode: S_IFREG | (entry.executable ? 0o755 : 0o644), links: 1, data: entry.data };
    case 'symlink':
      return { mode: S_IFLNK | 0o777, links: 1, data: Buffer.from(entry.target) };
  }
}

function padding(size: number): Buffer {
  return Buffer.alloc(-size & 3);
}

function member(path: string, inode: number, { mode, links, data }: Node): Buffer[] {
  const name = Buffer.from(`${path}\0`);
  const [uid, gid, mtime, device, checksum] = [0, 0, 0, 0, 0];
  const fields = [
    inode,
    mode,
    uid,
    gid,
    links,
    mtime,
    data.length,
    device,
    device,
    device,
    device,
    name.length,
    checksum,
  ];
  const header = MAGIC + fields.map((field) => field.toString(16).padStart(8, '0')).join('');
  return [Buffer.from(header), name, padding(HEADER_SIZE + name.length), data, padding(data.length)];
}

/**
 * The archive with `entries` in their order (a directory before what is in it), owned by root, times zero: the same
 * entries always give the same bytes. Paths are relative, without a leading slash.
 */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const members = entries.flatMap((entry, index) => member(entry.path, index + 1, nodeOf(entry)));
  return Buffer.concat([...members, ...member(TRAILER, 0, { mode: 0, links: 1, data: NOTHING })]);
}
