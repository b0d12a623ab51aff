/** What the command line asks for. */
import { parseArgs } from 'node:util';
import { FULL, type Pace, QUICK, SMOKE } from './pace.ts';
import type { Row } from './row.ts';
import { QUICK_IN_SETS, QUICK_ROWS, SETS } from './sets.ts';

export const USAGE = `usage: npm run bench -- [${Object.keys(SETS).join('] [')}] [--only NAME]... [--quick] [--samples N]
       [--no-peers] [--check] [--save] [--json]`;

const DEFAULT_SAMPLES = 5;
const QUICK_SAMPLES = 3;

/** What `--help` says. */
export const HELP = `${USAGE}

Without a set: all of them. docs/performance.md says what each row measures.
  --only NAME   this row, or the rows below it: forward.crr is forward.crr.1 and forward.crr.8; may be repeated
  --quick       a dozen rows (of a set: its short ones), ${QUICK_SAMPLES} samples, without other programs
  --samples N   ${DEFAULT_SAMPLES} unless given
  --no-peers    without other programs beside
  --check       says whether ratios keep their limits; the exit status is 1 where one does not
  --save        writes the results into the baseline of this kind of machine, bench/baseline
  --json        a line of JSON for the machine and for each row`;

export interface Options {
  readonly rows: readonly Row[];
  readonly samples: number;
  readonly pace: Pace;
  readonly json: boolean;
  /** Compares the ratios with their limits and the baseline; the status tells */
  readonly check: boolean;
  /** Writes the results into the baseline of this kind of machine */
  readonly save: boolean;
}

/** The row of that name, else those below it: `forward.crr` stands for `forward.crr.1` and `forward.crr.8`. */
function named(rows: readonly Row[], only: string): Row[] {
  const exactly = rows.filter(({ name }) => name === only);
  return exactly.length > 0 ? exactly : rows.filter(({ name }) => name.startsWith(`${only}.`));
}

function rowsOf(sets: readonly string[], only: readonly string[] | undefined, quick: boolean): Row[] {
  const known = (sets.length === 0 ? Object.keys(SETS) : sets).flatMap((name) => {
    const rows = SETS[name];
    if (rows === undefined) throw new Error(`no set ${name}, there is ${Object.keys(SETS).join(', ')}`);
    return rows;
  });
  const meant = only?.flatMap((name) => {
    const rows = named(known, name);
    if (rows.length === 0)
      throw new Error(`no row ${name}, there is ${known.map((row) => row.name).join(', ')}`);
    return rows;
  });
  const asked = known.filter((row) => meant?.includes(row) ?? true);
  const quickRows = sets.length === 0 ? QUICK_ROWS : [...QUICK_ROWS, ...QUICK_IN_SETS];
  // Named rows are measured as they are: --quick then only says how long
  const chosen = quick && only === undefined ? asked.filter(({ name }) => quickRows.includes(name)) : asked;
  if (chosen.length === 0) throw new Error(`--quick has no row of ${sets.join(', ')}`);
  return chosen;
}

/** @throws Error naming what is wrong with the arguments */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      samples: { type: 'string' },
      quick: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      'no-peers': { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
    },
  });
  const { quick, smoke, save } = values;
  const samples = Number(values.samples ?? (quick ? QUICK_SAMPLES : DEFAULT_SAMPLES));
  if (!Number.isInteger(samples) || samples < 1)
    throw new Error(`--samples ${values.samples}: not a number above 0`);
  if (save && smoke) throw new Error('--smoke measures nothing that could be saved');
  const rows = rowsOf(positionals, values.only, quick);
  return {
    rows: quick || values['no-peers'] ? rows.map(({ peers, ...row }) => row) : rows,
    samples,
    pace: smoke ? SMOKE : quick ? QUICK : FULL,
    json: values.json,
    check: values.check,
    save,
  };
}
