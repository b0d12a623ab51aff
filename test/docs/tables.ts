/** Reading the project's documents: files, and the rows of their tables. */
import { readFileSync } from 'node:fs';

const ROOT = new URL('../../', import.meta.url);

/** Text of a file of the project; `path` from its root. */
export function readText(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8');
}

/** Cells of a table row, or nothing for another line. A `|` inside a cell is written `\|`. */
function cells(line: string): string[] | undefined {
  if (!line.startsWith('|') || /^\|[-| ]+\|$/.test(line)) return undefined;
  return line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** Rows of every table of a document whose header begins with the cell `heading`, without the header. */
export function tableRows(path: string, heading: string): string[][] {
  const rows: string[][] = [];
  let wanted = false;
  let inTable = false;
  for (const line of readText(path).split('\n')) {
    if (!line.startsWith('|')) inTable = false;
    const row = cells(line);
    if (row === undefined) continue;
    if (inTable && wanted) rows.push(row);
    else if (!inTable) wanted = row[0] === heading;
    inTable = true;
  }
  return rows;
}

/** A cell without its code marks. */
export function plain(cell: string | undefined): string {
  return (cell ?? '').replaceAll('`', '');
}

/** The first code block of a language in a document. */
export function firstBlock(path: string, language: string): string {
  const block = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(readText(path))?.[1];
  if (block === undefined) throw new Error(`${path} has no block of ${language}`);
  return block;
}
