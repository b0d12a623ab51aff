/**
 * bpf(2), as much of it as a two-instruction verdict on every frame of an interface needs: load the program,
 * attach it to the interface's ingress with a TCX link (Linux 6.6), and pin the link so that it outlives us.
 * Numbers and layouts: linux/bpf.h, `union bpf_attr`.
 */
import { existsSync, statfsSync } from 'node:fs';
import { check, syscallCommand } from './libc.ts';
import { type Memory, mapMemory, unmapMemory } from './memory.ts';

const SYSCALL_NUMBERS: Readonly<Record<string, number>> = { x64: 321, arm64: 280 };

const BPF_PROG_LOAD = 5;
const BPF_OBJ_PIN = 6;
const BPF_OBJ_GET = 7;
const BPF_OBJ_GET_INFO_BY_FD = 15;
const BPF_LINK_CREATE = 28;
const BPF_LINK_DETACH = 34;
const BPF_PROG_TYPE_SCHED_CLS = 3;
const BPF_TCX_INGRESS = 46;
const BPFFS_MAGIC = 0xcafe4a11;

const BPF_MOV64_IMM = 0xb7;
const BPF_EXIT = 0x95;
const INSTRUCTION_BYTES = 8;

/** Enough of `union bpf_attr` for the commands used; what is left out counts as zero. */
const ATTRIBUTES_BYTES = 64;
/** What the attributes point to comes behind them in the same page */
const POINTED_AT = 128;
const PAGE_BYTES = 4096;
const LINK_INFO_BYTES = 32;
const LINK_INFO_TCX_INDEX = 16;

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
 * Loads a program that gives every frame the same verdict. Needs CAP_BPF and CAP_NET_ADMIN of the initial user
 * namespace. Throws SysError (EPERM, ENOSYS).
 *
 * @param verdict a value of {@link TCX}
 * @returns its descriptor
 */
export function loadVerdictProgram(verdict: number): number {
  const licenseAt = POINTED_AT + 2 * INSTRUCTION_BYTES;
  return bpf(
    'load a BPF program',
    BPF_PROG_LOAD,
    (view, memory) => {
      view.setUint32(0, BPF_PROG_TYPE_SCHED_CLS, true);
      view.setUint32(4, 2, true);
      writePointer(view, 8, memory.address + POINTED_AT);
      writePointer(view, 16, memory.address + licenseAt);
      view.setUint8(POINTED_AT, BPF_MOV64_IMM);
      view.setInt32(POINTED_AT + 4, verdict, true);
      view.setUint8(POINTED_AT + INSTRUCTION_BYTES, BPF_EXIT);
      writeText(memory, licenseAt, 'MIT');
    },
    result,
  );
}

/**
 * Runs a program on every frame that an interface of the thread's namespace receives, after the packet sockets
 * and before the host's stack. The link ends when its last descriptor and pin are gone. Throws SysError (EINVAL
 * before Linux 6.6, ENODEV).
 *
 * @returns the link's descriptor
 */
export function attachTcxIngress(program: number, interfaceIndex: number): number {
  return bpf(
    `attach a BPF program to interface ${interfaceIndex}`,
    BPF_LINK_CREATE,
    (view) => {
      view.setUint32(0, program, true);
      view.setUint32(4, interfaceIndex, true);
      view.setUint32(8, BPF_TCX_INGRESS, true);
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
