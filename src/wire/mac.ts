/**
 * MAC addresses: text and one 48-bit number at the cold edges, two integers on the hot path. `high` is the upper
 * 16 bits, `low` the lower 32 as a signed int32, because neither ever becomes a heap number.
 */

const TEXT = /^[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$/i;

/** 48-bit value of `aa:bb:cc:dd:ee:ff` or `aa-bb-cc-dd-ee-ff`, `undefined` for any other text. */
export function parseMac(text: string): number | undefined {
  return TEXT.test(text) ? Number.parseInt(text.replaceAll(/[:-]/g, ''), 16) : undefined;
}

/** Text of a 48-bit value: lower case, with colons. */
export function formatMac(value: number): string {
  return value
    .toString(16)
    .padStart(12, '0')
    .replaceAll(/..(?!$)/g, '$&:');
}

/** Upper 16 bits of a 48-bit value. */
export function macHigh(value: number): number {
  return Math.floor(value / 2 ** 32);
}

/** Lower 32 bits of a 48-bit value, as int32. */
export function macLow(value: number): number {
  return value | 0;
}

/** The 48-bit value of two halves. */
export function macOf(high: number, low: number): number {
  return high * 2 ** 32 + (low >>> 0);
}
