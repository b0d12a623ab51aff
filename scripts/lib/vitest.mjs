import { join } from 'node:path';
import { ROOT } from './project.mjs';
import { runInForeground } from './run.mjs';

/** Runs vitest once with `node` and gives its exit status. */
export function runVitest(args, { node = process.execPath, ...options } = {}) {
  return runInForeground([node, join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', ...args], options);
}
