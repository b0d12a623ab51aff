/** Reads the host's packet filter rules by the programs that print them. Changes nothing, loads no module. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { parseRuleset, type Ruleset, withDevices } from './ruleset.ts';
import { needsSaveText, type SaveFamily, withSaveText } from './save-text.ts';

const run = promisify(execFile);
const TIMEOUT_MS = 1200;
const MAX_OUTPUT_BYTES = 64 << 20;

const SAVE: Readonly<Record<SaveFamily, string>> = { ip: 'iptables-save', bridge: 'ebtables-save' };

async function output(program: string, words: readonly string[] = []): Promise<string | undefined> {
  // A user's path often lacks the directories of system programs.
  const PATH = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`;
  const options = { timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES, env: { ...process.env, PATH } };
  try {
    return (await run(program, words, options)).stdout;
  } catch {
    // Not installed, not allowed, or too slow: the rules stay as far as they are known.
    return undefined;
  }
}

/** Tables of iptables' legacy kind that the kernel has; listing them by their program would make them. */
function hasLegacyTables(): boolean {
  try {
    return readFileSync('/proc/thread-self/net/ip_tables_names', 'utf8') !== '';
  } catch {
    return false;
  }
}

/** The module that keeps the rules of ebtables' legacy kind; its program would load it. */
const hasLegacyEbtables = (): boolean => existsSync('/sys/module/ebtable_filter');

/** The rules; undefined where they cannot be read. Takes 2.4 s at the longest. */
export async function readRules(): Promise<Ruleset | undefined> {
  const listed = await output('nft', ['--json', 'list', 'ruleset']);
  if (listed === undefined) return undefined;
  let ruleset = parseRuleset(JSON.parse(listed));
  const wanted = [
    ...(needsSaveText(ruleset, 'ip') ? [{ family: 'ip', program: SAVE.ip } as const] : []),
    ...(needsSaveText(ruleset, 'bridge') ? [{ family: 'bridge', program: SAVE.bridge } as const] : []),
    ...(hasLegacyTables() ? [{ family: 'ip', program: 'iptables-legacy-save' } as const] : []),
    ...(hasLegacyEbtables() ? [{ family: 'bridge', program: 'ebtables-legacy-save' } as const] : []),
  ];
  const hasNetdev = ruleset.chains.some(({ hook, devices }) => hook !== undefined && devices === undefined);
  const [devices, ...texts] = await Promise.all([
    hasNetdev ? output('nft', ['list', 'ruleset', 'netdev']) : undefined,
    ...wanted.map(({ program }) => output(program)),
  ]);
  if (devices !== undefined) ruleset = withDevices(ruleset, devices);
  wanted.forEach(({ family }, i) => {
    const text = texts[i];
    if (text !== undefined) ruleset = withSaveText(ruleset, text, family);
  });
  return ruleset;
}
