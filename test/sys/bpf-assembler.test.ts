import { describe, expect, test } from 'vitest';
import { BpfAssembler, FP } from '../../src/sys/bpf-assembler.ts';

const hex = (code: BpfAssembler): string => Buffer.from(code.assemble()).toString('hex');

describe('BpfAssembler', () => {
  test('two instructions: a verdict -> as the kernel headers write them', () => {
    expect(hex(new BpfAssembler().set(0, 2).exit())).toBe('b700000002000000' + '9500000000000000');
  });

  test('load and store: width, registers and offset in their fields', () => {
    const code = new BpfAssembler().load(4, 2, 6, 20).store(2, FP, -64, 3);
    expect(hex(code)).toBe('6162140000000000' + '6b3ac0ff00000000');
  });

  test('map: takes two slots, the descriptor in the first', () => {
    expect(hex(new BpfAssembler().map(1, 7))).toBe('1811000007000000' + '0000000000000000');
  });

  test('jump forward: over as many instructions as lie between', () => {
    const code = new BpfAssembler().ifNot(2, 8, 'out').set(0, 1).label('out').exit();
    expect(hex(code)).toBe('5502010008000000' + 'b700000001000000' + '9500000000000000');
  });

  test('byte load, byte order and unsigned comparisons: as the kernel headers write them', () => {
    const code = new BpfAssembler().load(1, 2, FP, -26).fromNetwork16(2).ifLess(2, 20, 'out');
    expect(hex(code.ifGreater(2, 3, 'out').label('out'))).toBe(
      '71a2e6ff00000000' + 'dc02000010000000' + 'a502010014000000' + '2d32000000000000',
    );
  });

  test('atomic addition: 64 bits', () => {
    expect(hex(new BpfAssembler().atomicAdd(7, 16, 1))).toBe('db17100000000000');
  });

  test('jump to a label that is nowhere -> throws', () => {
    expect(() => new BpfAssembler().ifEqual(0, 0, 'nowhere').assemble()).toThrow('nowhere');
  });
});
