// npm run bench: compiles the switch and the bench, then runs the bench with the arguments after `--`.
import { join } from 'node:path';
import { ensureBuild } from './lib/build.mjs';
import { ensureDebianPackages } from './lib/debian.mjs';
import { ensureDependencies } from './lib/dependencies.mjs';
import { requireNode } from './lib/node-version.mjs';
import { formatMissing, TEST_PACKAGES } from './lib/packages.mjs';
import { ensurePrivileges } from './lib/privileges.mjs';
import { CACHE, fail, ROOT, say } from './lib/project.mjs';
import { runInForeground, runQuietly } from './lib/run.mjs';

requireNode();
ensureDependencies();
ensureBuild();
for (const item of ensureDebianPackages(TEST_PACKAGES)) say(formatMissing(item));
const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
runQuietly('compiling the bench', process.execPath, [compiler, '-p', join(ROOT, 'bench')]);

const { prefix, missing } = ensurePrivileges();
if (missing !== undefined) fail(`the bench needs ${missing}`);
const bench = [process.execPath, join(CACHE, 'bench/bench/main.js'), ...process.argv.slice(2)];
process.exitCode = await runInForeground(bench, { prefix });
