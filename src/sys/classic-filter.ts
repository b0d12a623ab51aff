/**
 * Classic BPF programs (linux/filter.h, linux/bpf_common.h) for packet sockets: they need no privilege beyond the
 * socket's own, and see a received frame from its network header on.
 */
import { check, setsockoptAt } from './libc.ts';
import { mapMemory, unmapMemory } from './memory.ts';

/** One instruction: code, jumps when true and when false, operand. */
export type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, operand: number];

const INSTRUCTION_BYTES = 8;
const POINTER_OFFSET = 8;
const PROGRAM_BYTES = 16; // struct sock_fprog: the number of instructions, and where they are

/** Hands a program to a socket by an option that takes a struct sock_fprog. Throws SysError. */
export function setProgram(
  fd: number,
  level: number,
  option: number,
  program: readonly Instruction[],
  what: string,
): void {
  const memory = mapMemory(PROGRAM_BYTES + program.length * INSTRUCTION_BYTES);
  try {
    const { view, address } = memory;
    view.setUint16(0, program.length, true);
    view.setBigUint64(POINTER_OFFSET, BigInt(address + PROGRAM_BYTES), true);
    for (const [index, [code, jumpTrue, jumpFalse, operand]] of program.entries()) {
      const at = PROGRAM_BYTES + index * INSTRUCTION_BYTES;
      view.setUint16(at, code, true);
      view.setUint8(at + 2, jumpTrue);
      view.setUint8(at + 3, jumpFalse);
      view.setInt32(at + 4, operand, true);
    }
    check(what, setsockoptAt(fd, level, option, address, PROGRAM_BYTES));
  } finally {
    unmapMemory(memory);
  }
}
