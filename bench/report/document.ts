/** docs/benchmarks.md and its plots, made from the baselines: no figure in them is written by hand. */
import { type Baseline, kindOf } from '../baseline.ts';
import type { About } from '../header.ts';
import type { Result } from '../measure.ts';
import { headlinePlot, latencyPlot, throughputPlot } from './plots.ts';
import { scalingPlot } from './scaling.ts';

const INTRODUCTION = `# Benchmarks

Made by \`npm run bench:report\` from the files in \`bench/baseline\`: not to be edited. What the rows are and how they
are measured is in [performance.md](performance.md). Ratios are of medians, taken in turns in one run, with the 95 %
interval; compare ratios, never figures of different machines.
`;

const NOTHING = `
There is no baseline yet: \`npm run bench -- --save\` measures one.
`;

const START = '<!-- benchmarks: written by npm run bench:report -->';
const END = '<!-- end of benchmarks -->';

const PLOTS = [
  ['throughput', throughputPlot, 'Throughput by program'],
  ['latency', latencyPlot, 'Latency by program'],
  ['scaling', scalingPlot, 'Scaling with the number of ports'],
] as const;

/** The plot that the README shows */
const HEADLINE = 'headline';

/** Files by their path below docs. */
export type Files = ReadonlyMap<string, string>;

const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |\n`;

const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  row(head) + row(head.map(() => '---')) + rows.map(row).join('');

function note({ noisy, void: isVoid, reason }: Result): string {
  return [isVoid ? `void: ${reason}` : '', noisy ? 'noisy' : ''].filter((each) => each !== '').join('; ');
}

/** Every other rig of the row. */
function others({ rigs, reference, ratio }: Result): string {
  return Object.entries(rigs)
    .filter(([rig, figures]) => rig !== reference && 'ratio' in figures && figures.ratio !== ratio)
    .map(([rig, figures]) => `${rig} ${figures.ratio}`)
    .join(', ');
}

function cells(result: Result): (string | number)[] {
  const { name, value, unit, reference, referenceValue, ratio, interval, spread } = result;
  const compared =
    ratio === undefined ? ['', '', ''] : [ratio, interval!.join(' to '), `${reference} ${referenceValue}`];
  return [`\`${name}\``, `${value} ${unit}`, ...compared, others(result), spread, note(result)];
}

function machine(about: About): string {
  const { processor, processors, memoryGiB, load } = about.machine;
  const tools = Object.entries(about.tools).map(([name, version]) => `${name}: ${version}`);
  return [
    `${processors} processors (${processor}), ${memoryGiB} GiB, kernel ${about.kernel}, Node.js ${about.node},`,
    `tapswitch ${about.version}, ${about.date.slice(0, 10)}. Samples of each: ${about.samples}, of ${about.seconds} s.`,
    `Load average before the run: ${load}. ${tools.join('; ')}.`,
  ].join('\n');
}

const HEAD = ['Row', 'Figure', 'Ratio', 'Interval', 'Reference', 'Other ratios', 'Spread', 'Note'];
const DISTRIBUTION = ['Row', 'Program', 'p50', 'p99', 'p99.9'];
const COST = ['Row', 'Program', 'CPU s/GB, whole machine', 'CPU s/GB, its process'];

function perRig(
  results: readonly Result[],
  head: readonly string[],
  names: readonly string[],
  title: string,
) {
  const seen = new Set<string>();
  const rows = results.flatMap(({ name, rigs }) =>
    Object.entries(rigs).flatMap(([rig, figures]) => {
      const key = `${name.replace(/\.datapath$/, '')} ${rig}`;
      if (seen.has(key) || !names.some((each) => each !== 'value' && each in figures)) return [];
      seen.add(key);
      return [[`\`${name}\``, rig, ...names.map((each) => figures[each] ?? '')]];
    }),
  );
  return rows.length === 0 ? '' : `\n### ${title}\n\n${table(head, rows)}`;
}

function section({ about, results }: Baseline, plots: ReadonlyMap<string, string>): string {
  const kind = kindOf(about);
  const pictures = PLOTS.filter(([name]) => plots.has(`benchmarks/${kind}-${name}.svg`)).map(
    ([name, , caption]) => `\n![${caption}](benchmarks/${kind}-${name}.svg)\n`,
  );
  return [
    `\n## ${kind}\n\n${machine(about)}\n`,
    ...pictures,
    `\n### All rows\n\n${table(HEAD, results.map(cells))}`,
    perRig(results, DISTRIBUTION, ['value', 'p99', 'p999'], 'Latency'),
    perRig(results, COST, ['machineCpuPerGB', 'cpuPerGB'], 'Processor time'),
  ].join('');
}

/** Every file of the report, by its path below docs. */
export function reportOf(baselines: ReadonlyMap<string, Baseline>): Files {
  const files = new Map<string, string>();
  const sections = [...baselines.values()].map((baseline) => {
    for (const [name, plot] of [...PLOTS, [HEADLINE, headlinePlot] as const]) {
      const drawn = plot(baseline.results);
      if (drawn !== undefined) files.set(`benchmarks/${kindOf(baseline.about)}-${name}.svg`, drawn);
    }
    return section(baseline, files);
  });
  files.set('benchmarks.md', INTRODUCTION + (sections.length === 0 ? NOTHING : sections.join('')));
  return files;
}

/** The README with the first kind's headline between its marks. Throws when it has none. */
export function withHeadline(readme: string, files: Files): string {
  const [start, end] = [readme.indexOf(START), readme.indexOf(END)];
  if (start < 0 || end < start) throw new Error(`README.md lacks ${START} or ${END}`);
  const plot = [...files.keys()].find((path) => path.endsWith(`-${HEADLINE}.svg`));
  const shown =
    plot === undefined ? '' : `![TCP throughput of tapswitch, the kernel and other programs](docs/${plot})\n`;
  return `${readme.slice(0, start)}${START}\n${shown}${readme.slice(end)}`;
}
