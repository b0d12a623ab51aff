/** A reader of newc archives for tests, written from the format's description and strict about its padding. */
export interface Member {
  readonly path: string;
  readonly mode: number;
  readonly inode: number;
  readonly data: Buffer;
}

export function readCpio(archive: Buffer): Member[] {
  const members: Member[] = [];
  let offset = 0;
  function take(size: number): Buffer {
    if (offset + size > archive.length) throw new Error(`archive ends at ${archive.length}`);
    offset += size;
    return archive.subarray(offset - size, offset);
  }
  function skipPadding(): void {
    if (take(-offset & 3).some((byte) => byte !== 0)) throw new Error(`padding before ${offset} is not zero`);
  }
  for (;;) {
    const magic = take(6).toString('latin1');
    if (magic !== '070701') throw new Error(`magic ${magic} at ${offset - 6}`);
    const fields = Array.from({ length: 13 }, () => Number.parseInt(take(8).toString('latin1'), 16));
    const [inode, mode, , , , , size, , , , , nameSize] = fields as number[];
    const path = take(nameSize as number)
      .toString()
      .slice(0, -1);
    skipPadding();
    const data = take(size as number);
    skipPadding();
    if (path === 'TRAILER!!!') break;
    members.push({ path, mode: mode as number, inode: inode as number, data });
  }
  if (offset !== archive.length) throw new Error(`${archive.length - offset} bytes after the trailer`);
  return members;
}
