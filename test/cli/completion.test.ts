/** The completion scripts, in the shells they are for. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runIn } from '../../src/lab/process.ts';
import { tapswitch } from '../lib/engine-command.ts';

const ASKED = [
  ['', ['vm', 'forward', 'config', 'doctor']],
  ['vm ', ['add', 'ls', 'show', 'rm', 'wait']],
  ['vm a', ['add']],
  ['vm add x --cr', ['--create-tap']],
  ['--socket /x vm w', ['wait']],
  ['vm ls --output ', ['table', 'json', 'yaml']],
  ['completion ', ['bash', 'zsh']],
  ['config d', ['diff']],
  ['nothing ', []],
] as const;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tapswitch-completion-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** What a shell that has sourced the script at `path` offers after `tapswitch LINE`. */
async function offered(shell: 'bash' | 'zsh', path: string, line: string): Promise<string[]> {
  const words = ['tapswitch', ...line.split(' ')];
  const begin =
    shell === 'zsh' ? 'autoload -Uz compinit && compinit -u -D; setopt ksharrays shwordsplit; ' : '';
  const script = `${begin}source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tapswitch; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const command = shell === 'bash' ? ['bash', '--norc', '-euc'] : ['zsh', '-fc'];
  const { status, stdout, stderr } = await runIn(undefined, [...command, script, path, ...words]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout.split('\n').filter((word) => word !== '');
}

describe.each(['bash', 'zsh'] as const)('%s', (shell) => {
  test('sourced -> what may follow', async ({ skip }) => {
    const isThere = await runIn(undefined, [shell, '-c', 'true']).then(
      ({ status }) => status === 0,
      () => false,
    );
    skip(!isThere, `${shell} is not installed`);
    const path = join(directory, shell);
    writeFileSync(path, (await tapswitch(undefined, ['completion', shell])).stdout);
    for (const [line, expected] of ASKED) {
      const words = await offered(shell, path, line);
      if (expected.length === 0)
        expect(
          words.filter((word) => !word.startsWith('-')),
          line,
        ).not.toContain('add');
      else expect(words, line).toEqual(expect.arrayContaining([...expected]));
    }
    // zsh itself leaves out what does not begin like the word.
    if (shell === 'bash') expect(await offered(shell, path, 'vm a')).toEqual(['add']);
  }, 60_000);
});
