import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, say } from './project.mjs';
import { runQuietly } from './run.mjs';

function packagesIn(path) {
  try {
    return JSON.parse(readFileSync(join(ROOT, path), 'utf8')).packages;
  } catch {
    return undefined; // absent, or left half-written by an interrupted installation
  }
}

/**
 * Whether node_modules holds what package-lock.json asks for. npm writes what it installed to
 * node_modules/.package-lock.json, last of all. Comparing contents instead of times keeps a fresh checkout, whose
 * files are all new, from installing twice; packages for other platforms are optional and rightly absent.
 */
function isInstalled() {
  const installed = packagesIn('node_modules/.package-lock.json');
  if (installed === undefined) return false;
  return Object.entries(packagesIn('package-lock.json')).every(([path, { version, optional }]) => {
    if (path === '') return true;
    const present = installed[path];
    return present === undefined ? optional === true : present.version === version;
  });
}

/** Installs the npm packages when they are missing or not those of package-lock.json. */
export function ensureDependencies() {
  if (isInstalled()) return;
  say('installing npm packages (npm ci)');
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  runQuietly('npm ci', 'npm', ['ci', '--include=dev', '--include=optional', ...quiet]);
}
