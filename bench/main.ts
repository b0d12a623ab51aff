/** `npm run bench -- [l2] [forward] [nat] [control] [--json] [--only NAME]... [--samples N]`: results on stdout, progress on stderr. */
import { readFileSync } from 'node:fs';
import { constants, cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CONTROL } from './control.ts';
import { FORWARD } from './forward.ts';
import { L2 } from './l2.ts';
import { Measurement, type Progress, type Result } from './measure.ts';
import { NAT } from './nat.ts';
import { isInstalled } from './peers.ts';
import { type Rig, type RigName, Undo } from './rig.ts';
import { buildRig } from './rigs.ts';
import { type Row, requiredRigs } from './row.ts';
import { ROOT, toolVersions } from './tools.ts';

const USAGE =
  'usage: npm run bench -- [l2] [forward] [nat] [control] [--json] [--only NAME]... [--samples N]';
const DEFAULT_SAMPLES = 5;
const SETS: Readonly<Record<string, readonly Row[]>> = {
  l2: L2,
  forward: FORWARD,
  nat: NAT,
  control: CONTROL,
};

/** `forward.crr` stands for `forward.crr.1` and `forward.crr.8` */
const isMeant = (name: string, only: string): boolean => name === only || name.startsWith(`${only}.`);

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
    if (!known.some((row) => isMeant(row.name, name))) {
      throw new Error(`no row ${name}, there is ${known.map((row) => row.name).join(', ')}`);
    }
  }
  const samples = Number(values.samples);
  if (!Number.isInteger(samples) || samples < 1)
    throw new Error(`--samples ${values.samples}: not a number above 0`);
  return {
    rows: known.filter(({ name }) => values.only?.some((only) => isMeant(name, only)) ?? true),
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
  const { name, value, unit, reference, referenceValue, ratio, spread, rigs } = result;
  const compared = reference === undefined ? '' : `${`${reference} ${referenceValue}`.padEnd(22)}x${ratio}  `;
  const others = Object.entries(rigs)
    .filter(([rig, figures]) => rig !== reference && 'ratio' in figures && figures.ratio !== ratio)
    .map(([rig, figures]) => `${rig} x${figures.ratio}`);
  const note = result.void ? `  VOID: ${result.reason}` : '';
  const beside = others.length > 0 ? `  ${others.join(', ')}` : '';
  return `${name.padEnd(24)}${`${value} ${unit}`.padEnd(24)}${compared}(spread ${spread})${beside}${note}`;
}

/** Sets every rig up that the rows need, and those of other programs where these are installed and start. */
async function buildRigs(rows: readonly Row[], undo: Undo): Promise<Map<RigName, Rig>> {
  const rigs = new Map<RigName, Rig>();
  for (const name of new Set(rows.flatMap(requiredRigs))) {
    progress(`setting up ${name}`);
    rigs.set(name, await buildRig(name, undo));
  }
  for (const name of new Set(rows.flatMap(({ peers = [] }) => peers))) {
    if (!isInstalled(name)) {
      progress(`leaving out ${name}: not installed`);
      continue;
    }
    progress(`setting up ${name}`);
    try {
      rigs.set(name, await buildRig(name, undo));
    } catch (error) {
      progress(`leaving out ${name}: ${(error as Error).message}`);
    }
  }
  return rigs;
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
  const rigs = await buildRigs(rows, undo);
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
