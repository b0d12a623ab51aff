/** The plots of the report, each from the results alone; undefined where these have nothing to show. */
import type { Result } from '../measure.ts';
import { COLOURS, decades, picture, shape, text, ticks } from './svg.ts';

const WIDTH = 760;
const TOP = 40;
const LEFT = 270;
const RIGHT = 70;
const LINE = 18;
const GAP = 12;
const AXIS = 34;
const PLOT = WIDTH - LEFT - RIGHT;

/** The product without its fast path, which the row of the product has as well; rows that make a curve */
const NOT_HERE = /\.datapath$|^scale\./;

interface Group {
  readonly label: string;
  readonly bars: readonly Bar[];
}

interface Bar {
  readonly label: string;
  readonly colour: string;
  readonly figures: Readonly<Record<string, number>>;
}

const OURS = /^(tapswitch|datapath|captured|beside|forward|nat|daemon)(-|$)/;

/** Rows of the README's plot */
const HEADLINE = ['l2.tcp.1', 'l2.tcp.4', 'forward.tcp.in', 'forward.tcp.out', 'nat.tcp.up', 'nat.tcp.down'];

function groupsOf(results: readonly Result[], unit: string): Group[] {
  const rows = results.filter(
    (result) => result.unit === unit && !NOT_HERE.test(result.name) && !result.void,
  );
  return rows.map(({ name, rigs, reference }) => ({
    label: name,
    bars: Object.entries(rigs).map(([rig, figures]) => ({
      label: rig === 'forward' || rig === 'nat' ? 'tapswitch' : rig,
      colour: rig === reference ? COLOURS.reference : OURS.test(rig) ? COLOURS.ours : COLOURS.other,
      figures,
    })),
  }));
}

const heightOf = (groups: readonly Group[]): number =>
  TOP + groups.reduce((sum, { bars }) => sum + bars.length * LINE + GAP, 0) + AXIS;

/** Places each group's lines below the last; `draw` gives what is right of the label. */
function lines(groups: readonly Group[], draw: (bar: Bar, y: number) => readonly string[]): string[] {
  let y = TOP;
  return groups.flatMap(({ label, bars }) => {
    const parts = [text(12, y + LINE - 5, label, { 'font-weight': 'bold' })];
    for (const bar of bars) {
      parts.push(text(LEFT - 8, y + LINE - 5, bar.label, { 'text-anchor': 'end' }), ...draw(bar, y));
      y += LINE;
    }
    y += GAP;
    return parts;
  });
}

/** Vertical lines with their values below. */
function grid(values: readonly number[], place: (value: number) => number, height: number, unit: string) {
  const bottom = height - AXIS;
  return values.flatMap((value, i) => [
    shape('line', { x1: place(value), x2: place(value), y1: TOP - 6, y2: bottom, stroke: COLOURS.grid }),
    text(place(value), bottom + 16, i === values.length - 1 ? `${value} ${unit}` : String(value), {
      'text-anchor': 'middle',
    }),
  ]);
}

/** Bars of every program, row by row. */
export function throughputPlot(results: readonly Result[]): string | undefined {
  const groups = groupsOf(results, 'Gbit/s');
  if (groups.length === 0) return undefined;
  const height = heightOf(groups);
  const scale = ticks(Math.max(...groups.flatMap(({ bars }) => bars.map(({ figures }) => figures.value!))));
  const place = (value: number) => LEFT + (value / scale.at(-1)!) * PLOT;
  const bars = lines(groups, ({ colour, figures: { value } }, y) => [
    shape('rect', { x: LEFT, y: y + 2, width: place(value!) - LEFT, height: LINE - 4, fill: colour }),
    text(place(value!) + 5, y + LINE - 5, String(value)),
  ]);
  const title = 'TCP throughput, more is better';
  return picture(WIDTH, height, title, [...grid(scale, place, height, 'Gbit/s'), ...bars]);
}

/** {@link throughputPlot} of a few rows that say most. */
export function headlinePlot(results: readonly Result[]): string | undefined {
  return throughputPlot(results.filter(({ name }) => HEADLINE.includes(name)));
}

/** A line from the median to the 99.9th percentile, with a mark at each of p50, p99, p99.9. */
export function latencyPlot(results: readonly Result[]): string | undefined {
  const groups = groupsOf(results, 'us').filter(({ bars }) => bars.every(({ figures }) => 'p99' in figures));
  if (groups.length === 0) return undefined;
  const marks = ({ figures: { value, p99, p999 } }: Bar) =>
    [value!, p99!, p999].filter((each) => each !== undefined && each > 0) as number[];
  const height = heightOf(groups);
  const scale = decades(groups.flatMap(({ bars }) => bars.flatMap(marks)));
  const [first, last] = [Math.log10(scale[0]!), Math.log10(scale.at(-1)!)];
  const place = (value: number) => LEFT + ((Math.log10(value) - first) / (last - first)) * PLOT;
  const spans = lines(groups, (bar, y) => {
    const at = marks(bar).map(place);
    const middle = y + LINE / 2;
    const line = {
      x1: at[0]!,
      x2: at.at(-1)!,
      y1: middle,
      y2: middle,
      stroke: bar.colour,
      'stroke-width': 2,
    };
    const dots = at.map((cx, i) => shape('circle', { cx, cy: middle, r: 5 - i, fill: bar.colour }));
    return [shape('line', line), ...dots];
  });
  const title = 'Round trip: p50, p99 and p99.9, less is better';
  return picture(WIDTH, height, title, [...grid(scale, place, height, 'us'), ...spans]);
}
