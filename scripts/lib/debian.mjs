// Debian packages: what is present is left alone, what is missing is installed where we may.

import { say } from './project.mjs';
import { capture } from './run.mjs';

const APT_OPTIONS = ['-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120'];

/** Those of `packages` that are not installed; all of them on a system without dpkg. */
function missingOf(packages) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholders are dpkg's
  const format = '${Package} ${db:Status-Status}\n';
  const { stdout } = capture('dpkg-query', ['-W', '-f', format, ...packages.map(({ name }) => name)]);
  const installed = new Set((stdout ?? '').split('\n').filter((line) => line.endsWith(' installed')));
  return packages.filter(({ name }) => !installed.has(`${name} installed`));
}

function apt(args) {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return capture('apt-get', args, environment).status === 0;
}

/**
 * Installs what is missing of `packages`, a list of `{ name, why }`. Only root with apt-get can; gives what is
 * missing in the end, so that the caller can name it.
 */
export function ensureDebianPackages(packages) {
  const missing = missingOf(packages);
  if (missing.length === 0 || process.geteuid() !== 0) return missing;
  if (capture('apt-get', ['--version']).status !== 0) return missing;
  for (const { name, why } of missing) say(`installing Debian package ${name}: ${why}`);
  apt(['update', '-q']); // should it fail, the lists that are there may still do
  const install = (names) => apt(['install', ...APT_OPTIONS, ...names]);
  if (install(missing.map(({ name }) => name))) return [];
  for (const { name } of missing) install([name]); // one package apt does not know holds up all others
  return missingOf(missing);
}
