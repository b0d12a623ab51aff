/** Bytes for codec tests: typed vectors, and views that end exactly where the bytes do, so that a read outside throws. */
import fc from 'fast-check';

export interface Slice {
  readonly view: DataView;
  readonly off: number;
  readonly length: number;
}

/** Bytes of a hex dump, blanks ignored. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.replaceAll(/\s/g, '').match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

/** A view over a copy of exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.slice().buffer);
}

/** Hex of a view's bytes. */
export function dump(view: DataView, off = 0, length = view.byteLength - off): string {
  return Buffer.from(view.buffer, view.byteOffset + off, length).toString('hex');
}

function sliceOf(bytes: Uint8Array, off: number): Slice {
  const whole = new Uint8Array(off + bytes.length);
  whole.set(bytes, off);
  return { view: new DataView(whole.buffer), off, length: bytes.length };
}

/** Any bytes, and valid ones damaged in a few places or cut short, at any offset, with nothing behind them. */
export function hostile(template: Uint8Array): fc.Arbitrary<Slice> {
  const noise = fc.uint8Array({ maxLength: 128 });
  const edit = fc.tuple(fc.nat(template.length - 1), fc.nat(255));
  const damaged = fc
    .tuple(fc.array(edit, { maxLength: 4 }), fc.nat(template.length), fc.boolean())
    .map(([edits, cut, whole]) => {
      const bytes = template.slice();
      for (const [at, byte] of edits) bytes[at] = byte;
      return whole ? bytes : bytes.slice(0, cut);
    });
  return fc.tuple(fc.oneof(noise, damaged), fc.nat(16)).map(([bytes, off]) => sliceOf(bytes, off));
}

export const anyByte = fc.nat(0xff);
export const anyWord = fc.nat(0xffff);
/** Any 32 bits as the hot path carries them */
export const anyInt32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
