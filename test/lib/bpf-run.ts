/** Runs a BPF program for an interface on one frame, as if it had come in by the loopback (BPF_PROG_TEST_RUN, linux/bpf.h). */
import { check, syscallCommand } from '../../src/sys/libc.ts';
import { mapMemory } from '../../src/sys/memory.ts';

const SYSCALL_NUMBERS: Readonly<Record<string, number>> = { x64: 321, arm64: 280 };
const BPF_PROG_TEST_RUN = 10;
const ATTRIBUTES_BYTES = 80;
const INPUT = 4096;
const OUTPUT = 8192;
const ROOM = 4096;

const memory = mapMemory(INPUT + OUTPUT);

export interface BpfRun {
  /** What the program returned */
  readonly verdict: number;
  /** The frame as the program left it */
  readonly frame: Uint8Array;
}

/** @param program descriptor  @param frame with its Ethernet header, at most 4,096 bytes */
export function runProgram(program: number, frame: Uint8Array): BpfRun {
  const { view, u8, address } = memory;
  u8.fill(0, 0, ATTRIBUTES_BYTES);
  u8.set(frame, INPUT);
  view.setUint32(0, program, true);
  view.setUint32(8, frame.length, true);
  view.setUint32(12, ROOM, true);
  view.setBigUint64(16, BigInt(address + INPUT), true);
  view.setBigUint64(24, BigInt(address + OUTPUT), true);
  view.setUint32(32, 1, true);
  const number = SYSCALL_NUMBERS[process.arch] as number;
  const attributes = u8.subarray(0, ATTRIBUTES_BYTES);
  check('run a BPF program', syscallCommand(number, BPF_PROG_TEST_RUN, attributes, ATTRIBUTES_BYTES));
  return {
    verdict: view.getInt32(4, true),
    frame: u8.slice(OUTPUT, OUTPUT + view.getUint32(12, true)),
  };
}
