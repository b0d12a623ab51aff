/** `npm run bench -- ...`: results on stdout, progress on stderr. Status 1: failed, or `--check` found a row that does. */
import { constants } from 'node:os';
import { GuestUnavailable } from '../src/lab/guest.ts';
import { endPrograms } from '../src/lab/process.ts';
import { kindOf, readBaseline, saveBaseline } from './baseline.ts';
import { type About, header } from './header.ts';
import { type Level, verdictOf } from './limits.ts';
import { Measurement, type Result } from './measure.ts';
import { HELP, type Options, readOptions, USAGE } from './options.ts';
import type { Pace } from './pace.ts';
import { isInstalled } from './peers.ts';
import { reporterTo } from './progress.ts';
import { type Rig, type RigName, Undo } from './rig.ts';
import { buildRig } from './rigs.ts';
import { type Row, requiredRigs } from './row.ts';
import { readable } from './text.ts';
import { ROOT } from './tools.ts';

const report = reporterTo(process.stderr);

/** Sets every rig up that the rows need, but for virtual machines that cannot be had here, and those of other programs where these are installed and start. */
async function buildRigs(rows: readonly Row[], undo: Undo, pace: Pace): Promise<Map<RigName, Rig>> {
  const rigs = new Map<RigName, Rig>();
  for (const name of new Set(rows.flatMap(requiredRigs))) {
    report.step(`setting up ${name}`);
    try {
      rigs.set(name, await buildRig(name, undo, pace));
    } catch (error) {
      if (!(error instanceof GuestUnavailable)) throw error;
      report.note(`leaving out the rows on ${name}: ${error.message}`);
    }
  }
  for (const name of new Set(rows.flatMap(({ peers = [] }) => peers))) {
    if (rigs.has(name)) continue;
    if (!isInstalled(name)) {
      report.note(`leaving out ${name}: not installed`);
      continue;
    }
    report.step(`setting up ${name}`);
    try {
      rigs.set(name, await buildRig(name, undo, pace));
    } catch (error) {
      report.note(`leaving out ${name}: ${(error as Error).message}`);
    }
  }
  return rigs;
}

/** Says of each row with limits whether it keeps them; true when none fails. */
function check(rows: readonly Row[], results: readonly Result[], about: About): boolean {
  const limits = new Map(
    rows.flatMap((row) =>
      Object.entries(row.limits ?? {}).map(([suffix, each]) => [row.name + suffix, each] as const),
    ),
  );
  const baseline = readBaseline(ROOT, kindOf(about))?.results;
  const levels: Level[] = results.flatMap((result) => {
    const own = limits.get(result.name);
    if (own === undefined) return [];
    const before = baseline?.find(({ name }) => name === result.name)?.ratio;
    const { level, text } = verdictOf(result, own, before);
    report.note(`${level.padEnd(5)}${result.name}: ${text}`);
    return [level];
  });
  return !levels.includes('fail');
}

async function bench(options: Options, undo: Undo): Promise<boolean> {
  const { samples, pace, json } = options;
  const print = (line: object, text: string) => {
    report.clear();
    process.stdout.write(`${json ? JSON.stringify(line) : text}\n`);
  };
  const about = header(samples, pace.seconds);
  const described = Object.entries(about).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  print(about, described.join('\n'));
  const rigs = await buildRigs(options.rows, undo, pace);
  const rows = options.rows.filter((row) => requiredRigs(row).every((rig) => rigs.has(rig)));
  const measurement = new Measurement(rigs, samples, pace, report.step);
  const results: Result[] = [];
  for (const [i, row] of rows.entries()) {
    report.step(`row ${i + 1} of ${rows.length}: ${row.name}`);
    for (const result of await measurement.row(row)) {
      results.push(result);
      print(result, readable(result));
    }
  }
  if (options.save) report.note(`written: ${saveBaseline(ROOT, { about, results })}`);
  return !options.check || check(rows, results, about);
}

async function main(): Promise<number> {
  let options: Options;
  const words = process.argv.slice(2);
  if (words.includes('--help')) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  try {
    options = readOptions(words);
  } catch (error) {
    report.note(`${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  const undo = new Undo();
  let status = 1;
  try {
    status = (await bench(options, undo)) ? 0 : 1;
  } catch (error) {
    report.note((error as Error).message);
  }
  try {
    await undo.run();
  } catch (error) {
    report.note((error as Error).message);
    status = 1;
  }
  return status;
}

// Namespaces end with this process, however it ends; programs are ended, an `exit` handler removes the one folder.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    const status = 128 + constants.signals[signal];
    endPrograms().then(
      () => process.exit(status),
      () => process.exit(status),
    );
  });
}
process.exit(await main());
