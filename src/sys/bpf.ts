/**
 * bpf(2), as much of it as programs on an interface's ingress need: load a program, attach it with a TCX link
 * (Linux 6.6) or to a packet socket, pin a link so that it outlives us, and hash maps shared with the program.
 * Numbers and layouts: linux/bpf.h, `union bpf_attr`.
 */
import { existsSync, statfsSync } from 'node:fs';
import { BpfAssembler } from './bpf-assembler.ts';
import { SysError } from './errno.ts';
import { check, setsockopt, syscallCommand } from './libc.ts';
import { type Memory, mapMemory, unmapMemory } from './memory.ts';

const SYSCALL_NUMBERS: Readonly<Record<string, number>> = { x64: 321, arm64: 280 };

const BPF_MAP_CREATE = 0;
const BPF_MAP_LOOKUP_ELEM = 1;
const BPF_MAP_UPDATE_ELEM = 2;
const BPF_MAP_DELETE_ELEM = 3;
const BPF_MAP_GET_NEXT_KEY = 4;
const BPF_PROG_LOAD = 5;
const BPF_OBJ_PIN = 6;
const BPF_OBJ_GET = 7;
const BPF_OBJ_GET_INFO_BY_FD = 15;
const BPF_LINK_CREATE = 28;
const BPF_LINK_DETACH = 34;
const BPF_MAP_TYPE_HASH = 1;
const BPF_F_BEFORE = 1 << 3;
const SOL_SOCKET = 1;
const SO_ATTACH_BPF = 50;
const BPF_TCX_INGRESS = 46;
const BPFFS_MAGIC = 0xcafe4a11;

const INSTRUCTION_BYTES = 8;

/** Enough of `union bpf_attr` for the commands used; what is left out counts as zero. */
const ATTRIBUTES_BYTES = 64;
/** What the attributes point to comes behind them in the same page */
const POINTED_AT = 128;
const PAGE_BYTES = 4096;
const LINK_INFO_BYTES = 32;
const LINK_INFO_TCX_INDEX = 16;

/** What a program is for (`enum bpf_prog_type`): to decide about a socket's frames, or an interface's. */
export const PROGRAM = { socketFilter: 1, interfaceIngress: 3 } as const;

/** What a program makes of every frame (`enum tcx_action_base`). */
export const TCX = { next: -1, drop: 2 } as const;

/**
 * One bpf(2) call.
 *
 * @param prepare fills in the zeroed attributes at offset 0 and what they point to from `POINTED_AT` on
 * @param read takes out of the memory, afterwards, what the kernel wrote
 */
function bpf<T>(
  operation: string,
  command: number,
  prepare: (view: DataView, memory: Memory) => void,
  read: (result: number, view: DataView) => T,
): T {
  const number = SYSCALL_NUMBERS[process.arch];
  if (number === undefined) throw new Error(`bpf(2) has no known number on ${process.arch}`);
  const memory = mapMemory(PAGE_BYTES);
  try {
    prepare(memory.view, memory);
    const attributes = memory.u8.subarray(0, ATTRIBUTES_BYTES);
    const result = check(operation, syscallCommand(number, command, attributes, ATTRIBUTES_BYTES));
    return read(result, memory.view);
  } finally {
    unmapMemory(memory);
  }
}

const result = (value: number): number => value;

function writePointer(view: DataView, offset: number, address: number): void {
  view.setBigUint64(offset, BigInt(address), true);
}

function writeText({ u8 }: Memory, offset: number, text: string): void {
  new TextEncoder().encodeInto(text, u8.subarray(offset, PAGE_BYTES - 1));
}

/**
 * Loads a program. Needs CAP_BPF and CAP_NET_ADMIN of the initial user namespace. Throws SysError (EPERM, ENOSYS;
 * EACCES or EINVAL when the verifier refuses it).
 *
 * @param type a value of {@link PROGRAM}
 * @param instructions from a BpfAssembler
 * @returns its descriptor
 */
export function loadProgram(type: number, instructions: Uint8Array): number {
  const licenseAt = POINTED_AT + instructions.length;
  return bpf(
    'load a BPF program',
    BPF_PROG_LOAD,
    (view, memory) => {
      view.setUint32(0, type, true);
      view.setUint32(4, instructions.length / INSTRUCTION_BYTES, true);
      writePointer(view, 8, memory.address + POINTED_AT);
      writePointer(view, 16, memory.address + licenseAt);
      memory.u8.set(instructions, POINTED_AT);
      writeText(memory, licenseAt, 'MIT');
    },
    result,
  );
}

/** Loads a program for an interface that gives every frame the same verdict, a value of {@link TCX}. */
export function loadVerdictProgram(verdict: number): number {
  return loadProgram(PROGRAM.interfaceIngress, new BpfAssembler().set(0, verdict).exit().assemble());
}

/**
 * Runs a program on every frame that an interface of the thread's namespace receives, after the packet sockets
 * and before the host's stack. The link ends when its last descriptor and pin are gone. Throws SysError (EINVAL
 * before Linux 6.6, ENODEV).
 *
 * @param first whether it runs before those attached already
 * @returns the link's descriptor
 */
export function attachTcxIngress(program: number, interfaceIndex: number, first = false): number {
  return bpf(
    `attach a BPF program to interface ${interfaceIndex}`,
    BPF_LINK_CREATE,
    (view) => {
      view.setUint32(0, program, true);
      view.setUint32(4, interfaceIndex, true);
      view.setUint32(8, BPF_TCX_INGRESS, true);
      view.setUint32(12, first ? BPF_F_BEFORE : 0, true);
    },
    result,
  );
}

/** Index of the interface a TCX link is attached to, 0 when that interface is gone. */
export function tcxLinkInterface(link: number): number {
  return bpf(
    'read a BPF link',
    BPF_OBJ_GET_INFO_BY_FD,
    (view, memory) => {
      view.setUint32(0, link, true);
      view.setUint32(4, LINK_INFO_BYTES, true);
      writePointer(view, 8, memory.address + POINTED_AT);
    },
    (_, view) => view.getUint32(POINTED_AT + LINK_INFO_TCX_INDEX, true),
  );
}

/** Ends a link's effect at once; to drop its last descriptor or pin does so only some milliseconds later. */
export function detachLink(link: number): void {
  bpf('detach a BPF link', BPF_LINK_DETACH, (view) => view.setUint32(0, link, true), result);
}

/** Keeps what `fd` stands for alive under a path of a bpffs until the path is unlinked. Throws SysError (EEXIST). */
export function pin(fd: number, path: string): void {
  const prepare = (view: DataView, memory: Memory) => {
    writePointer(view, 0, memory.address + POINTED_AT);
    view.setUint32(8, fd, true);
    writeText(memory, POINTED_AT, path);
  };
  bpf(`pin ${path}`, BPF_OBJ_PIN, prepare, result);
}

/** Opens what is pinned at `path`. Throws SysError (ENOENT). */
export function openPinned(path: string): number {
  const prepare = (view: DataView, memory: Memory) => {
    writePointer(view, 0, memory.address + POINTED_AT);
    writeText(memory, POINTED_AT, path);
  };
  return bpf(`open ${path}`, BPF_OBJ_GET, prepare, result);
}

/** Whether `path` lies on a mounted BPF file system, where alone things can be pinned. */
export function isBpffs(path: string): boolean {
  return existsSync(path) && statfsSync(path).type === BPFFS_MAGIC;
}

/** Lets a socket-filter program decide which frames a packet socket gets. Throws SysError (EPERM). */
export function attachSocketFilter(socket: number, program: number): void {
  const value = Buffer.alloc(4);
  value.writeInt32LE(program);
  check('attach a BPF socket filter', setsockopt(socket, SOL_SOCKET, SO_ATTACH_BPF, value, 4));
}

/** A hash map that programs and we both read and write, keys and values as bytes. Needs CAP_BPF. */
export class BpfMap {
  readonly fd: number;
  readonly #keyBytes: number;
  readonly #valueBytes: number;

  /** @param fd of a map of such keys and values, which another thread has made */
  constructor(keyBytes: number, valueBytes: number, fd: number) {
    this.#keyBytes = keyBytes;
    this.#valueBytes = valueBytes;
    this.fd = fd;
  }

  /** Makes one. Throws SysError (EPERM). */
  static make(keyBytes: number, valueBytes: number, capacity: number): BpfMap {
    const fd = bpf(
      'make a BPF map',
      BPF_MAP_CREATE,
      (view) => {
        view.setUint32(0, BPF_MAP_TYPE_HASH, true);
        view.setUint32(4, keyBytes, true);
        view.setUint32(8, valueBytes, true);
        view.setUint32(12, capacity, true);
      },
      result,
    );
    return new BpfMap(keyBytes, valueBytes, fd);
  }

  /** One call on a key. The kernel insists that what a command does not use is zero. */
  #element<T>(
    command: number,
    key: Uint8Array,
    value: Uint8Array | undefined,
    read: (value: Uint8Array) => T,
  ): T {
    const valueAt = POINTED_AT + this.#keyBytes;
    let found = new Uint8Array(0);
    return bpf(
      'access a BPF map',
      command,
      (view, memory) => {
        view.setUint32(0, this.fd, true);
        writePointer(view, 8, memory.address + POINTED_AT);
        memory.u8.set(key, POINTED_AT);
        if (value === undefined) return;
        writePointer(view, 16, memory.address + valueAt);
        memory.u8.set(value, valueAt);
        found = memory.u8.subarray(valueAt, valueAt + this.#valueBytes) as Uint8Array<ArrayBuffer>;
      },
      () => read(found),
    );
  }

  set(key: Uint8Array, value: Uint8Array): void {
    this.#element(BPF_MAP_UPDATE_ELEM, key, value, () => {});
  }

  /** A copy of the key's value, undefined where there is none. */
  get(key: Uint8Array): Uint8Array | undefined {
    const room = new Uint8Array(this.#valueBytes);
    return absent(() => this.#element(BPF_MAP_LOOKUP_ELEM, key, room, (value) => value.slice()));
  }

  /** The key behind `key`, or the first; undefined at the end. Where `key` has gone, it begins again. */
  next(key?: Uint8Array): Uint8Array | undefined {
    const nextAt = POINTED_AT + this.#keyBytes;
    return absent(() =>
      bpf(
        'walk a BPF map',
        BPF_MAP_GET_NEXT_KEY,
        (view, memory) => {
          view.setUint32(0, this.fd, true);
          if (key !== undefined) writePointer(view, 8, memory.address + POINTED_AT);
          if (key !== undefined) memory.u8.set(key, POINTED_AT);
          writePointer(view, 16, memory.address + nextAt);
        },
        (_, view) => new Uint8Array(view.buffer, view.byteOffset + nextAt, this.#keyBytes).slice(),
      ),
    );
  }

  /** Removes a key, if it is there. */
  delete(key: Uint8Array): void {
    absent(() => this.#element(BPF_MAP_DELETE_ELEM, key, undefined, () => {}));
  }
}

function absent<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof SysError && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
