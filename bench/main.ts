/** `npm run bench -- l2 [--json] [--only NAME]... [--samples N]`: results on stdout, progress on stderr. */
import { readFileSync } from 'node:fs';
import { constants, cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { L2, type Row } from './l2.ts';
import { Measurement, type Progress, type Result } from './measure.ts';
import { type Rig, type RigName, Undo } from './rig.ts';
import { buildRig } from './rigs.ts';
import { ROOT, toolVersions } from './tools.ts';

const USAGE = 'usage: npm run bench -- l2 [--json] [--only NAME]... [--samples N]';
const DEFAULT_SAMPLES = 5;
const SETS: Readonly<Record<string, readonly Row[]>> = { l2: L2 };

const progress: Progress = (message) => void process.stderr.write(`${message}\n`);

interface Options {
  readonly rows: readonly Row[];
  readonly samples: number;
  readonly json: boolean;
}

function readOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      samples: { type: 'string', default: String(DEFAULT_SAMPLES) },
    },
  });
  const known = (positionals.length === 0 ? Object.keys(SETS) : positionals).flatMap((name) => {
    const rows = SETS[name];
    if (rows === undefined) throw new Error(`no set ${name}, there is ${Object.keys(SETS).join(', ')}`);
    return rows;
  });
  for (const name of values.only ?? []) {
    if (!known.some((row) => row.name === name)) {
      throw new Error(`no row ${name}, there is ${known.map((row) => row.name).join(', ')}`);
    }
  }
  const samples = Number(values.samples);
  if (!Number.isInteger(samples) || samples < 1)
    throw new Error(`--samples ${values.samples}: not a number above 0`);
  return {
    rows: known.filter(({ name }) => values.only?.includes(name) ?? true),
    samples,
    json: values.json,
  };
}

function header(): Record<string, unknown> {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const processors = cpus();
  return {
    bench: 'tapswitch',
    version,
    machine: {
      processor: processors[0]?.model,
      processors: processors.length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      architecture: process.arch,
    },
    kernel: release(),
    node: process.version,
    tools: toolVersions(),
  };
}

function readable(result: Result): string {
  const { name, value, unit, reference, referenceValue, ratio } = result;
  const note = result.void ? `  VOID: ${result.reason}` : '';
  const figures = `${value} ${unit}`.padEnd(20);
  return `${name.padEnd(24)}${figures}${`${reference} ${referenceValue}`.padEnd(22)}x${ratio}  (spread ${result.spread})${note}`;
}

function rigNames(rows: readonly Row[]): Set<RigName> {
  const names = new Set<RigName>();
  for (const { subjects, reference, beside } of rows)
    for (const name of [...subjects.map(([, rig]) => rig), reference, ...beside]) names.add(name);
  return names;
}

async function bench({ rows, samples, json }: Options, undo: Undo): Promise<void> {
  const print = (line: object, text: string) =>
    void process.stdout.write(`${json ? JSON.stringify(line) : text}\n`);
  const about = header();
  print(
    about,
    Object.entries(about)
      .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
      .join('\n'),
  );
  const rigs = new Map<RigName, Rig>();
  for (const name of rigNames(rows)) {
    progress(`setting up ${name}`);
    rigs.set(name, await buildRig(name, undo));
  }
  const measurement = new Measurement(rigs, samples, progress);
  for (const row of rows) {
    for (const result of await measurement.row(row)) print(result, readable(result));
  }
}

async function main(): Promise<number> {
  let options: Options;
  try {
    options = readOptions();
  } catch (error) {
    progress(`${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  const undo = new Undo();
  try {
    await bench(options, undo);
    return 0;
  } catch (error) {
    progress((error as Error).message);
    return 1;
  } finally {
    await undo.run();
  }
}

// Namespaces and programs end with this process, however it ends; an `exit` handler removes the one folder.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => process.exit(128 + constants.signals[signal]));
}
process.exit(await main());
