import { join } from 'node:path';
import { ROOT } from './project.mjs';
import { runInForeground } from './run.mjs';

/**
 * Runs vitest once with `node` and gives its exit status. The "runner" way to load its configuration writes no
 * temporary file, so that tests also run where the checkout belongs to someone else.
 */
export function runVitest(args, { node = process.execPath, ...options } = {}) {
  return runInForeground(
    [node, join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--configLoader', 'runner', ...args],
    options,
  );
}
