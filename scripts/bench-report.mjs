// npm run bench:report: writes docs/benchmarks.md and its plots from bench/baseline.
import { join } from 'node:path';
import { ensureDependencies } from './lib/dependencies.mjs';
import { requireNode } from './lib/node-version.mjs';
import { CACHE, ROOT } from './lib/project.mjs';
import { runInForeground, runQuietly } from './lib/run.mjs';

requireNode();
ensureDependencies();
const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
runQuietly('compiling the bench', process.execPath, [compiler, '-p', join(ROOT, 'bench')]);
process.exitCode = await runInForeground([process.execPath, join(CACHE, 'bench/bench/report/main.js')]);
