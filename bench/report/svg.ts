/** The little of SVG that plots need. Text has the reader's sans-serif font; colours stand on a white ground of their own. */

export const COLOURS = {
  ours: '#1f6feb',
  reference: '#57606a',
  other: '#c4a35a',
  grid: '#d8dee4',
  text: '#1f2328',
};

type Attributes = Readonly<Record<string, string | number>>;

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

const escaped = (text: string): string => text.replaceAll(/[&<>"]/g, (character) => ESCAPES[character]!);

/** Two decimals are finer than a screen. */
const shown = (value: string | number): string =>
  typeof value === 'number' ? String(Math.round(value * 100) / 100) : escaped(value);

function opening(name: string, attributes: Attributes): string {
  const all = Object.entries(attributes).map(([key, value]) => ` ${key}="${shown(value)}"`);
  return `<${name}${all.join('')}`;
}

export const shape = (name: string, attributes: Attributes): string => `${opening(name, attributes)}/>`;

export const text = (x: number, y: number, content: string, attributes: Attributes = {}): string =>
  `${opening('text', { x, y, fill: COLOURS.text, ...attributes })}>${escaped(content)}</text>`;

/** A picture of that size with a title for those who cannot see it. */
export function picture(width: number, height: number, title: string, parts: readonly string[]): string {
  const root = { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${height}`, width, height };
  const font = { role: 'img', 'font-family': 'sans-serif', 'font-size': 12 };
  const ground = shape('rect', { width, height, fill: '#ffffff' });
  const heading = text(12, 22, title, { 'font-size': 15, 'font-weight': 'bold' });
  const head = `${opening('svg', { ...root, ...font })}>\n<title>${escaped(title)}</title>`;
  return `${[head, ground, heading, ...parts].join('\n')}\n</svg>\n`;
}

/** Round numbers from 0 past `most`, about five. */
export function ticks(most: number): number[] {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough)!;
  const count = Math.ceil(most / step);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

/** Powers of ten around the values, which must be above 0. */
export function decades(values: readonly number[]): number[] {
  const first = Math.floor(Math.log10(Math.min(...values)));
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(...values))));
  return Array.from({ length: last - first + 1 }, (_, i) => Number((10 ** (first + i)).toPrecision(6)));
}
