/** Programs the bench uses: its own, compiled here, and those that must be installed. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder: this file runs as .cache/bench/bench/tools.js */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..');

const BINARIES = join(ROOT, '.cache/bench/tools');
const GCC = ['-O2', '-Wall', '-Wextra', '-pthread'];

const modified = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Path of a program of bench/tools, compiled when its source is newer. Throws when gcc fails. */
export function ownTool(name: string): string {
  const source = join(ROOT, 'bench/tools', `${name}.c`);
  const binary = join(BINARIES, name);
  if (modified(binary) <= modified(source)) {
    mkdirSync(BINARIES, { recursive: true });
    execFileSync('gcc', [...GCC, '-o', binary, source], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  return binary;
}

/** A program to be found in the path. */
interface Tool {
  readonly program: string;
  readonly debian: string;
  readonly versionArgument: string;
}

const TOOLS: readonly Tool[] = [
  { program: 'iperf3', debian: 'iperf3', versionArgument: '--version' },
  { program: 'ping', debian: 'iputils-ping', versionArgument: '-V' },
  { program: 'gcc', debian: 'gcc libc6-dev', versionArgument: '--version' },
  { program: 'vde_switch', debian: 'vde2', versionArgument: '--version' },
  { program: 'ethtool', debian: 'ethtool', versionArgument: '--version' },
  { program: 'nft', debian: 'nftables', versionArgument: '--version' },
];

/**
 * Versions of the installed programs, first line of what each says.
 *
 * @throws Error naming the Debian packages to install when one is missing
 */
export function toolVersions(): Record<string, string> {
  const versions: Record<string, string> = {};
  const missing: string[] = [];
  for (const { program, debian, versionArgument } of TOOLS) {
    const { stdout, error } = spawnSync(program, [versionArgument], { encoding: 'utf8' });
    if (error !== undefined) missing.push(debian);
    else versions[program] = stdout.split('\n', 1)[0]!.trim();
  }
  if (missing.length > 0) throw new Error(`missing programs: apt-get install ${missing.join(' ')}`);
  return versions;
}
