// The unit tests and one smoke of the demo on Node.js 24, whose binary comes from npm into .cache.
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { ensureBuild } from './lib/build.mjs';
import { ensureDependencies } from './lib/dependencies.mjs';
import { ensurePrivileges } from './lib/privileges.mjs';
import { CACHE, fail, ROOT, say } from './lib/project.mjs';
import { capture, runInForeground, runQuietly } from './lib/run.mjs';
import { runVitest } from './lib/vitest.mjs';

/** Gives the path of a Node.js 24 binary. It stays out of node_modules, where it would shadow the user's `node`. */
function ensureNode24() {
  const name = `node-linux-${process.arch}`;
  const directory = join(CACHE, 'node24');
  const binary = join(directory, 'node_modules', name, 'bin/node');
  if (!existsSync(binary)) {
    say(`fetching Node.js 24 (npm package ${name})`);
    mkdirSync(directory, { recursive: true });
    const options = ['--prefix', directory, '--no-save', '--no-package-lock', '--no-audit', '--no-fund'];
    runQuietly('fetching Node.js 24', 'npm', ['install', ...options, `${name}@24`]);
  }
  return binary;
}

ensureDependencies();
ensureBuild();
const node = ensureNode24();
const version = capture(node, ['--version']).stdout?.trim();
if (!version?.startsWith('v24.')) fail(`${node} is not Node.js 24: ${version || 'it does not run'}`);

say(`unit tests on Node.js ${version}`);
const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` };
const unit = await runVitest(['--project', 'unit', ...process.argv.slice(2)], { node, env });

const { prefix, missing } = ensurePrivileges();
let smoke = 0;
if (prefix === undefined) {
  say(`skipped the demo on Node.js ${version}: it needs ${missing}`);
} else {
  say(`demo on Node.js ${version}`);
  const demo = ['demo', '--once', '--quick', '--guests', 'netns'];
  smoke = await runInForeground([node, join(ROOT, 'dist/cli/main.js'), ...demo], { prefix, env });
}
process.exitCode = unit || smoke;
