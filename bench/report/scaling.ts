/** The plot of the scale set: what becomes of its figures as the ports get more; undefined without such rows. */
import type { Result } from '../measure.ts';
import { COLOURS, decades, picture, shape, text, ticks } from './svg.ts';

const WIDTH = 760;
const LEFT = 60;
const RIGHT = 130;
/** Of one diagram: they stand below each other */
const HEIGHT = 260;
const TOP = 64;
const AXIS = 34;
const LINE = 16;
const SCALE_ROW = /^scale\.(.+)\.(\d+)$/;

interface Point {
  readonly ports: number;
  readonly value: number;
}

interface Diagram {
  readonly title: string;
  /** What a row has to show here, undefined for nothing */
  readonly figure: (result: Result) => number | undefined;
}

const DIAGRAMS: readonly Diagram[] = [
  { title: 'Ratio to a bridge with as many ports', figure: ({ ratio }) => ratio },
  {
    title: 'TAP up to first ARP answer, p50, ms: less is better',
    figure: ({ unit, value }) => (unit === 'ms' ? value : undefined),
  },
];

type Curves = ReadonlyMap<string, readonly Point[]>;

function curvesOf(results: readonly Result[], figure: Diagram['figure']): Curves {
  const curves = new Map<string, Point[]>();
  for (const result of results) {
    const [, measure, ports] = SCALE_ROW.exec(result.name) ?? [];
    const value = figure(result);
    if (measure === undefined || value === undefined || result.void) continue;
    curves.set(measure, [...(curves.get(measure) ?? []), { ports: Number(ports), value }]);
  }
  for (const [measure, points] of curves) {
    if (points.length < 2) curves.delete(measure);
    points.sort((a, b) => a.ports - b.ports);
  }
  return curves;
}

/** `y`, or the next place below it that is no label's yet; it is one then. */
function freeFrom(labels: number[], y: number): number {
  let free = y;
  while (labels.some((label) => Math.abs(label - free) < LINE)) free += LINE;
  labels.push(free);
  return free;
}

function drawn(title: string, curves: Curves, top: number): string[] {
  const all = [...curves.values()].flat();
  const across = decades(all.map(({ ports }) => ports));
  const up = ticks(Math.max(...all.map(({ value }) => value)));
  const bottom = top + HEIGHT - AXIS;
  const width = WIDTH - LEFT - RIGHT;
  const x = (ports: number) =>
    LEFT + (Math.log10(ports / across[0]!) / Math.log10(across.at(-1)! / across[0]!)) * width;
  const y = (value: number) => bottom - (value / up.at(-1)!) * (bottom - top - TOP);
  const columns = across.flatMap((ports, i) => [
    shape('line', { x1: x(ports), x2: x(ports), y1: top + TOP, y2: bottom, stroke: COLOURS.grid }),
    text(x(ports), bottom + 16, i === across.length - 1 ? `${ports} ports` : String(ports), {
      'text-anchor': 'middle',
    }),
  ]);
  const rules = up.flatMap((value) => [
    shape('line', { x1: LEFT, x2: LEFT + width, y1: y(value), y2: y(value), stroke: COLOURS.grid }),
    text(LEFT - 6, y(value) + 4, String(value), { 'text-anchor': 'end' }),
  ]);
  const colours = [COLOURS.ours, COLOURS.reference, COLOURS.other, COLOURS.text];
  const labels: number[] = [];
  const lines = [...curves].flatMap(([measure, points], i) => {
    const stroke = colours[i % colours.length]!;
    const end = points.at(-1)!;
    const path = points.map(({ ports, value }) => `${x(ports).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
    return [
      shape('polyline', { points: path, fill: 'none', stroke, 'stroke-width': 2 }),
      text(x(end.ports) + 6, freeFrom(labels, y(end.value) + 4), measure, { fill: stroke }),
    ];
  });
  const heading = text(LEFT, top + TOP - 14, title, { 'font-weight': 'bold' });
  return [heading, ...columns, ...rules, ...lines];
}

export function scalingPlot(results: readonly Result[]): string | undefined {
  const diagrams = DIAGRAMS.map(({ title, figure }) => ({ title, curves: curvesOf(results, figure) })).filter(
    ({ curves }) => curves.size > 0,
  );
  if (diagrams.length === 0) return undefined;
  const parts = diagrams.flatMap(({ title, curves }, i) => drawn(title, curves, i * HEIGHT));
  return picture(WIDTH, diagrams.length * HEIGHT, 'By number of ports', parts);
}
