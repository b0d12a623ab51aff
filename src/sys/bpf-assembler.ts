/**
 * Writes eBPF programs (RFC 9669; linux/bpf.h): instructions in the order they are called, jumps by label. Only what
 * our programs need. A program is checked by the kernel's verifier when it is loaded, not here.
 */
const INSTRUCTION_BYTES = 8;
const MAX_INSTRUCTIONS = 480;

/** Sizes of a load or store, `bytes`. */
export type Width = 1 | 2 | 4 | 8;

const WIDTH_CODE: Readonly<Record<Width, number>> = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 };
const LDX_MEM = 0x61;
const STX_MEM = 0x63;
const STX_ATOMIC = 0xc3;
const LD_IMM64 = 0x18;
const MOV_IMM = 0xb7;
const MOV_REG = 0xbf;
const ADD_IMM = 0x07;
const ADD_REG = 0x0f;
const SUB_REG = 0x1f;
const AND_IMM = 0x57;
const LSH_IMM = 0x67;
const LSH_REG = 0x6f;
const RSH_IMM = 0x77;
const RSH_REG = 0x7f;
const JA = 0x05;
const JEQ_IMM = 0x15;
const JEQ_REG = 0x1d;
const JNE_IMM = 0x55;
const JNE_REG = 0x5d;
const JLT_IMM = 0xa5;
const JGT_IMM = 0x25;
const JGT_REG = 0x2d;
const JSET_IMM = 0x45;
const TO_BIG_ENDIAN = 0xdc;
const CALL = 0x85;
const EXIT = 0x95;
const PSEUDO_MAP_FD = 1;

/** Frame pointer: the stack lies below it */
export const FP = 10;

export class BpfAssembler {
  readonly #view = new DataView(new ArrayBuffer(MAX_INSTRUCTIONS * INSTRUCTION_BYTES));
  readonly #labels = new Map<string, number>();
  readonly #jumps: { at: number; label: string }[] = [];
  #length = 0;

  #emit(code: number, destination: number, source: number, offset: number, immediate: number): this {
    const at = this.#length++ * INSTRUCTION_BYTES;
    this.#view.setUint8(at, code);
    this.#view.setUint8(at + 1, (source << 4) | destination);
    this.#view.setInt16(at + 2, offset, true);
    this.#view.setInt32(at + 4, immediate, true);
    return this;
  }

  #jump(code: number, register: number, source: number, immediate: number, label: string): this {
    this.#jumps.push({ at: this.#length, label });
    return this.#emit(code, register, source, 0, immediate);
  }

  /** `register = value` */
  set(register: number, value: number): this {
    return this.#emit(MOV_IMM, register, 0, 0, value);
  }

  /** `register = source` */
  move(register: number, source: number): this {
    return this.#emit(MOV_REG, register, source, 0, 0);
  }

  /** `register += value` */
  add(register: number, value: number): this {
    return this.#emit(ADD_IMM, register, 0, 0, value);
  }

  /** `register += source` */
  addFrom(register: number, source: number): this {
    return this.#emit(ADD_REG, register, source, 0, 0);
  }

  /** `register -= source` */
  subtract(register: number, source: number): this {
    return this.#emit(SUB_REG, register, source, 0, 0);
  }

  /** `register &= value` */
  and(register: number, value: number): this {
    return this.#emit(AND_IMM, register, 0, 0, value);
  }

  /** `register <<= bits` */
  shiftLeft(register: number, bits: number): this {
    return this.#emit(LSH_IMM, register, 0, 0, bits);
  }

  /** `register >>= bits`, unsigned */
  shiftRight(register: number, bits: number): this {
    return this.#emit(RSH_IMM, register, 0, 0, bits);
  }

  /** `register <<= by`, a register */
  shiftLeftBy(register: number, by: number): this {
    return this.#emit(LSH_REG, register, by, 0, 0);
  }

  /** `register >>= by`, a register, unsigned */
  shiftRightBy(register: number, by: number): this {
    return this.#emit(RSH_REG, register, by, 0, 0);
  }

  /** `register = *(base + offset)` */
  load(width: Width, register: number, base: number, offset: number): this {
    return this.#emit(LDX_MEM | WIDTH_CODE[width], register, base, offset, 0);
  }

  /** `*(base + offset) = register` */
  store(width: Width, base: number, offset: number, register: number): this {
    return this.#emit(STX_MEM | WIDTH_CODE[width], base, register, offset, 0);
  }

  /** `*(base + offset) += register`, 64 bits, atomically */
  atomicAdd(base: number, offset: number, register: number): this {
    return this.#emit(STX_ATOMIC | WIDTH_CODE[8], base, register, offset, 0);
  }

  /** `register =` the map with descriptor `fd` */
  map(register: number, fd: number): this {
    return this.#emit(LD_IMM64, register, PSEUDO_MAP_FD, 0, fd).#emit(0, 0, 0, 0, 0);
  }

  ifEqual(register: number, value: number, label: string): this {
    return this.#jump(JEQ_IMM, register, 0, value, label);
  }

  /** Jumps always */
  go(label: string): this {
    return this.#jump(JA, 0, 0, 0, label);
  }

  /** Jumps when one of the bits of `mask` is set */
  ifAny(register: number, mask: number, label: string): this {
    return this.#jump(JSET_IMM, register, 0, mask, label);
  }

  ifSame(register: number, other: number, label: string): this {
    return this.#jump(JEQ_REG, register, other, 0, label);
  }

  ifNot(register: number, value: number, label: string): this {
    return this.#jump(JNE_IMM, register, 0, value, label);
  }

  ifDifferent(register: number, other: number, label: string): this {
    return this.#jump(JNE_REG, register, other, 0, label);
  }

  /** Jumps when `register < value`, unsigned */
  ifLess(register: number, value: number, label: string): this {
    return this.#jump(JLT_IMM, register, 0, value, label);
  }

  /** Jumps when `register > value`, unsigned */
  ifMore(register: number, value: number, label: string): this {
    return this.#jump(JGT_IMM, register, 0, value, label);
  }

  /** Jumps when `register > other`, unsigned */
  ifGreater(register: number, other: number, label: string): this {
    return this.#jump(JGT_REG, register, other, 0, label);
  }

  /** Turns the lower 16 bits of a register from network order into a number, or back */
  fromNetwork16(register: number): this {
    return this.#emit(TO_BIG_ENDIAN, register, 0, 0, 16);
  }

  /** The same for 32 bits */
  fromNetwork32(register: number): this {
    return this.#emit(TO_BIG_ENDIAN, register, 0, 0, 32);
  }

  /** Calls a helper (`enum bpf_func_id`); arguments in registers 1 to 5, result in 0 */
  call(helper: number): this {
    return this.#emit(CALL, 0, 0, 0, helper);
  }

  exit(): this {
    return this.#emit(EXIT, 0, 0, 0, 0);
  }

  /** Names the place of the next instruction. */
  label(name: string): this {
    this.#labels.set(name, this.#length);
    return this;
  }

  /** The program's bytes. */
  assemble(): Uint8Array {
    for (const { at, label } of this.#jumps) {
      const target = this.#labels.get(label);
      if (target === undefined) throw new Error(`no label ${label}`);
      this.#view.setInt16(at * INSTRUCTION_BYTES + 2, target - at - 1, true);
    }
    return new Uint8Array(this.#view.buffer, 0, this.#length * INSTRUCTION_BYTES);
  }
}
