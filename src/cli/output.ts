/** How commands show what they found: one renderer, data on stdout and nothing else there. */

import Table from 'cli-table3';
import { type Command, Option } from 'commander';
import { stringify } from 'yaml';

export const FORMATS = ['table', 'json', 'yaml'] as const;
export type Format = (typeof FORMATS)[number];

export interface OutputOptions {
  readonly output: Format;
  readonly quiet?: boolean;
}

/** How rows of one kind are shown. */
export interface Shape<Row> {
  readonly columns: Readonly<Record<string, (row: Row) => unknown>>;
  /** What `--quiet` prints of a row, and other commands take */
  readonly id: (row: Row) => string;
}

const BORDERLESS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

export function formatOption(): Option {
  return new Option('-o, --output <format>', 'how it is shown').choices(FORMATS).default('table');
}

/** Gives a listing its options. */
export function listing(command: Command): Command {
  return command.addOption(formatOption()).option('-q, --quiet', 'ids only');
}

/** Text of another's making, that cannot move the cursor of a terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is taken out
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}

function cell(value: unknown): string {
  return value === undefined || value === '' ? '-' : printable(String(value));
}

export function tableText<Row>(rows: readonly Row[], { columns }: Shape<Row>): string {
  const table = new Table({
    head: Object.keys(columns),
    chars: BORDERLESS,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  for (const row of rows) table.push(Object.values(columns).map((column) => cell(column(row))));
  return `${table.toString().replaceAll(/ +$/gm, '')}\n`;
}

/** A value as JSON or YAML. */
export function structured(value: unknown, output: Format): string {
  return output === 'yaml' ? stringify(value) : `${JSON.stringify(value, null, 2)}\n`;
}

/** Prints rows as `--output` and `--quiet` say. */
export function printRows<Row>(
  rows: readonly Row[],
  shape: Shape<Row>,
  { output, quiet }: OutputOptions,
): void {
  const ids = quiet === true ? rows.map((row) => shape.id(row)) : undefined;
  if (output !== 'table') write(structured(ids ?? rows, output));
  else if (ids === undefined) write(tableText(rows, shape));
  else write(ids.map((id) => `${id}\n`).join(''));
}

/** Prints one thing: as a table its fields, one a line. */
export function printOne<Row>(row: Row, shape: Shape<Row>, { output, quiet }: OutputOptions): void {
  if (quiet === true) write(output === 'table' ? `${shape.id(row)}\n` : structured(shape.id(row), output));
  else if (output !== 'table') write(structured(row, output));
  else {
    const fields = Object.entries(shape.columns).map(([name, column]) => [name, cell(column(row))]);
    const width = Math.max(...fields.map(([name]) => name.length));
    write(fields.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join(''));
  }
}

export function write(text: string): void {
  process.stdout.write(text);
}

/** Talk: what was done, for a person. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** A reader that goes away early (`| head`) is no error. */
export function endQuietlyWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
