// npm run bench:micro: compiles the bench and runs its micro benches; needs no privileges.
import { join } from 'node:path';
import { ensureDependencies } from './lib/dependencies.mjs';
import { requireNode } from './lib/node-version.mjs';
import { CACHE, ROOT } from './lib/project.mjs';
import { runInForeground, runQuietly } from './lib/run.mjs';

requireNode();
ensureDependencies();
const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
runQuietly('compiling the bench', process.execPath, [compiler, '-p', join(ROOT, 'bench')]);
const program = join(CACHE, 'bench/bench/micro.js');
process.exitCode = await runInForeground([process.execPath, program, ...process.argv.slice(2)]);
