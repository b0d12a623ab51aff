// npm start: brings what the demo needs, then runs `tapswitch demo` with the arguments after `--`.
import { join } from 'node:path';
import { ensureBuild } from './lib/build.mjs';
import { ensureDebianPackages } from './lib/debian.mjs';
import { ensureDependencies } from './lib/dependencies.mjs';
import { requireNode } from './lib/node-version.mjs';
import { DEMO_PACKAGES, formatMissing } from './lib/packages.mjs';
import { ensurePrivileges } from './lib/privileges.mjs';
import { ROOT, say } from './lib/project.mjs';
import { runInForeground } from './lib/run.mjs';

requireNode();
ensureDependencies();
ensureBuild();
for (const item of ensureDebianPackages(DEMO_PACKAGES)) say(formatMissing(item));

const { prefix, missing } = ensurePrivileges();
if (missing !== undefined) say(`the demo will not get far: it needs ${missing}`);

const demo = [process.execPath, join(ROOT, 'dist/cli/main.js'), 'demo', ...process.argv.slice(2)];
process.exitCode = await runInForeground(demo, { prefix });
