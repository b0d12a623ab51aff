import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type Baseline, readBaselines } from '../../bench/baseline.ts';
import type { About } from '../../bench/header.ts';
import { reportOf, withHeadline } from '../../bench/report/document.ts';
import { headlinePlot, latencyPlot, throughputPlot } from '../../bench/report/plots.ts';
import { scalingPlot } from '../../bench/report/scaling.ts';
import { decades, ticks } from '../../bench/report/svg.ts';
import { resultOf } from './result.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(`${ROOT}${path}`, 'utf8');

const about = {
  version: '1.2.3',
  date: '2020-01-02T03:04:05Z',
  machine: { processor: 'Some <CPU>', processors: 2, memoryGiB: 4, architecture: 'x64', load: 0.1 },
  kernel: '6.18',
  node: 'v20',
  tools: { iperf3: 'iperf 3.12' },
  samples: 5,
  seconds: 2,
} as unknown as About;

const rtt = resultOf(0.5, {
  name: 'l2.rtt',
  unit: 'us',
  rigs: {
    tapswitch: { value: 9, ratio: 0.5, p99: 80, p999: 300 },
    bridge: { value: 18, ratio: 1, p99: 90, p999: 200 },
  },
});
const scale = [1, 10, 100].map((ports) =>
  resultOf(1, { name: `scale.tcp.${ports}`, value: 10 / ports, unit: 'Gbit/s' }),
);
const results = [
  resultOf(0.8765, { noisy: true }),
  resultOf(0.5, { name: 'l2.tap.tcp.1', void: true, reason: 'the holder' }),
  rtt,
  ...scale,
];
const baselines = new Map<string, Baseline>([['x64-2cpu', { about, results }]]);

describe('the documents in the repository', () => {
  const files = reportOf(readBaselines(ROOT));

  test.each([...files])('docs/%s -> is what the baselines give (npm run bench:report)', (path, content) => {
    expect(read(`docs/${path}`)).toBe(content);
  });

  test('README.md -> has the plot of the baselines', () => {
    const readme = read('README.md');
    expect(readme).toBe(withHeadline(readme, files));
  });
});

describe('report of a baseline', () => {
  const files = reportOf(baselines);
  const page = files.get('benchmarks.md')!;

  test('every row, its ratio and what is wrong with it -> in the table', () => {
    for (const { name } of results) expect(page).toContain(`\`${name}\``);
    expect(page).toMatch(/`l2\.tcp\.1`.* 0\.8765 .*noisy/);
    expect(page).toContain('void: the holder');
    expect(page).toContain('kernel 6.18');
  });

  test('latency -> a table of its percentiles', () => {
    expect(page).toContain('| `l2.rtt` | tapswitch | 9 | 80 | 300 |');
  });

  test('a plot of each kind -> a file that the page shows', () => {
    for (const name of ['throughput', 'latency', 'scaling']) {
      expect(files.get(`benchmarks/x64-2cpu-${name}.svg`)).toMatch(/^<svg .*\n[\s\S]*<\/svg>\n$/);
      expect(page).toContain(`(benchmarks/x64-2cpu-${name}.svg)`);
    }
  });

  test('another figure -> another page and plot', () => {
    const other = reportOf(new Map([['x64-2cpu', { about, results: [resultOf(0.7)] }]]));
    expect(other.get('benchmarks.md')).not.toBe(page);
    expect(other.get('benchmarks/x64-2cpu-throughput.svg')).not.toBe(
      files.get('benchmarks/x64-2cpu-throughput.svg'),
    );
  });

  test('README without marks -> refused; with them -> the plot between', () => {
    expect(() => withHeadline('# x', files)).toThrow('lacks');
    const marked = '<!-- benchmarks: written by npm run bench:report -->\nold\n<!-- end of benchmarks -->\n';
    expect(withHeadline(marked, files)).toContain('(docs/benchmarks/x64-2cpu-headline.svg)');
    expect(withHeadline(marked, files)).not.toContain('old');
  });
});

describe('plots', () => {
  test('throughput -> a bar for each program, as long as its figure; void rows left out', () => {
    const plot = throughputPlot(results.slice(0, 2))!;
    const widths = [...plot.matchAll(/<rect x="270" y="[\d.]+" width="([\d.]+)"/g)].map(([, width]) =>
      Number(width),
    );
    expect(widths).toHaveLength(2);
    expect(widths[0]! / widths[1]!).toBeCloseTo(0.8765, 2);
    expect(plot).not.toContain('l2.tap');
  });

  test('headline -> the rows that say most; without them none', () => {
    const other = resultOf(1, { name: 'l2.tcp.plain.1' });
    expect(headlinePlot([results[0]!, other])).toContain('l2.tcp.1');
    expect(headlinePlot([results[0]!, other])).not.toContain('plain');
    expect(headlinePlot([other])).toBeUndefined();
  });

  test('scaling, two curves that end in one place -> their labels stand apart', () => {
    const both = ['tcp', 'rtt'].flatMap((measure) =>
      [1, 10].map((ports) => resultOf(1, { name: `scale.${measure}.${ports}` })),
    );
    const [tcp, rtt2] = ['tcp', 'rtt'].map((word) =>
      Number(new RegExp(`y="([\\d.]+)"[^>]*>${word}<`).exec(scalingPlot(both)!)?.[1]),
    );
    expect(Math.abs(tcp! - rtt2!)).toBeGreaterThan(10);
  });

  test('latency -> three marks for each program', () => {
    expect(latencyPlot([rtt])!.match(/<circle /g)).toHaveLength(6);
  });

  const curves = (plot: string) =>
    [...plot.matchAll(/<polyline points="([^"]*)"/g)].map(([, points]) =>
      points!.split(' ').map((point) => point.split(',').map(Number) as [number, number]),
    );

  test('scaling -> the ratio at each number of ports, from few to many, less of it lower', () => {
    const [curve, ...rest] = curves(
      scalingPlot([
        resultOf(0.5, { name: 'scale.tcp.1000' }),
        resultOf(1, { name: 'scale.tcp.1' }),
        resultOf(1, { name: 'scale.tcp.10' }),
      ])!,
    );
    expect(rest).toEqual([]);
    const [[x1, y1], [x10, y10], [x1000, y1000]] = curve as [
      [number, number],
      [number, number],
      [number, number],
    ];
    expect((x1000 - x1) / (x10 - x1)).toBeCloseTo(3, 2);
    expect(y10).toBe(y1);
    expect(y1000).toBeGreaterThan(y1);
  });

  test('scaling -> attaching, which has no ratio, as a diagram of its own', () => {
    const attach = [1, 10].map((ports) => {
      const { ratio, reference, ...row } = resultOf(1, { name: `scale.attach.${ports}`, unit: 'ms' });
      return row;
    });
    const plot = scalingPlot([...scale, ...attach, resultOf(1, { name: 'scale.mem', unit: 'bytes' })])!;
    expect(curves(plot).map((points) => points.length)).toEqual([3, 2]);
    expect(plot).toContain('p50, ms');
  });

  test('nothing to show -> no plot', () => {
    expect(throughputPlot([rtt])).toBeUndefined();
    expect(latencyPlot([resultOf(1)])).toBeUndefined();
    expect(scalingPlot([resultOf(1)])).toBeUndefined();
    expect([...reportOf(new Map()).keys()]).toEqual(['benchmarks.md']);
  });

  test('axes -> round numbers around the values', () => {
    expect(ticks(28.8)).toEqual([0, 10, 20, 30]);
    expect(ticks(1)).toEqual([0, 0.5, 1]);
    expect(decades([9, 300])).toEqual([1, 10, 100, 1000]);
    expect(decades([10, 10])).toEqual([10, 100]);
  });
});
