/**
 * Memory that both the kernel and TypeScript see: a mapping with its address, and views over it.
 * It never moves, so addresses may be written into message headers once and used for ever.
 */
import koffi from 'koffi';
import { SysError } from './errno.ts';
import { errno, mmap, munmap } from './libc.ts';

const PROT_READ_WRITE = 0x3;
const MAP_SHARED = 0x1;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_PRIVATE_ANONYMOUS_POPULATE = 0x8022;

export interface Memory {
  /** Address of the first byte, as the kernel knows it */
  readonly address: number;
  readonly bytes: number;
  readonly u8: Uint8Array;
  readonly view: DataView;
}

/**
 * Maps `bytes` of zeroed memory, present from the start unless `populated` is false: then page by page as it is used.
 * Throws SysError (ENOMEM).
 */
export function mapMemory(bytes: number, populated = true): Memory {
  const flags = populated ? MAP_PRIVATE_ANONYMOUS_POPULATE : MAP_PRIVATE_ANONYMOUS;
  const address = mmap(0, bytes, PROT_READ_WRITE, flags, -1, 0);
  if (address === -1) throw new SysError(`mmap of ${bytes} bytes`, errno());
  return memoryAt(address, bytes);
}

/** Maps the first `bytes` of what a descriptor has to share; undefined where the kernel refuses. */
export function mapShared(fd: number, bytes: number): Memory | undefined {
  const address = mmap(0, bytes, PROT_READ_WRITE, MAP_SHARED, fd, 0);
  return address === -1 ? undefined : memoryAt(address, bytes);
}

function memoryAt(address: number, bytes: number): Memory {
  const buffer = koffi.view(address, bytes) as unknown as ArrayBuffer;
  return { address, bytes, u8: new Uint8Array(buffer), view: new DataView(buffer) };
}

/**
 * Maps `bytes` that only system calls touch, which become memory as they are used; returns the address.
 * Throws SysError (ENOMEM).
 */
export function mapAddressSpace(bytes: number): number {
  const address = mmap(0, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
  if (address === -1) throw new SysError(`mmap of ${bytes} bytes`, errno());
  return address;
}

/** Gives the mapping back. Its views must not be touched afterwards: they would read another mapping's bytes. */
export function unmapMemory(memory: Memory): void {
  munmap(memory.address, memory.bytes);
}
