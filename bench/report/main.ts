/** `npm run bench:report`: writes docs/benchmarks.md, its plots and the README's from bench/baseline. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readBaselines } from '../baseline.ts';
import { ROOT } from '../tools.ts';
import { reportOf, withHeadline } from './document.ts';

const files = reportOf(readBaselines(ROOT));
// Plots of a baseline that is gone go with it.
rmSync(join(ROOT, 'docs/benchmarks'), { recursive: true, force: true });
for (const [path, content] of files) {
  const target = join(ROOT, 'docs', path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, content);
  process.stdout.write(`docs/${path}\n`);
}
const readme = join(ROOT, 'README.md');
writeFileSync(readme, withHeadline(readFileSync(readme, 'utf8'), files));
