// npm test: brings what the tests need, then runs them all; arguments after `--` go to vitest.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBuild } from './lib/build.mjs';
import { ensureDebianPackages } from './lib/debian.mjs';
import { ensureDependencies } from './lib/dependencies.mjs';
import { requireNode } from './lib/node-version.mjs';
import { formatMissing, TEST_PACKAGES } from './lib/packages.mjs';
import { ensurePrivileges } from './lib/privileges.mjs';
import { ROOT, say } from './lib/project.mjs';
import { runVitest } from './lib/vitest.mjs';

/** Runs the unit tests as they are and the network tests where they can be run. */
async function runApart(prefix, missing, args) {
  const projects = (name) => ['--project', name, '--passWithNoTests', ...args];
  const unit = await runVitest(projects('unit'));
  if (prefix === undefined) {
    const files = readdirSync(join(ROOT, 'test'), { recursive: true }).filter((file) =>
      file.endsWith('.net.test.ts'),
    );
    say(`skipped ${files.length} files of network tests: they need ${missing}`);
    return unit;
  }
  say('the network tests run in a user and network namespace');
  const net = await runVitest(projects('net'), { prefix });
  return unit || net;
}

requireNode();
ensureDependencies();
const absent = ensureDebianPackages(TEST_PACKAGES);
ensureBuild();

const { prefix, missing } = ensurePrivileges();
const args = process.argv.slice(2);
process.exitCode = prefix?.length === 0 ? await runVitest(args) : await runApart(prefix, missing, args);
for (const item of absent) say(`${formatMissing(item)}: tests that use it were skipped or failed`);
