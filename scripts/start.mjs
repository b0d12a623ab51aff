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

async function fetchKernel() {
  const { ensureKernel } = await import(join(ROOT, 'dist/lab/kernel.js'));
  // Where it cannot be had the demo finds so itself, says why and goes on without.
  await ensureKernel(say).catch(() => {});
}

requireNode();
ensureDependencies();
ensureBuild();
for (const item of ensureDebianPackages(DEMO_PACKAGES)) say(formatMissing(item));

const { prefix, missing } = ensurePrivileges();
// The namespace the demo is about to enter has no way to a package mirror: fetch the guests' kernel out here.
if (prefix?.length > 0) await fetchKernel();
if (missing !== undefined) say(`the demo will not get far: it needs ${missing}`);

const demo = [process.execPath, join(ROOT, 'dist/cli/main.js'), 'demo', ...process.argv.slice(2)];
process.exitCode = await runInForeground(demo, { prefix });
