/** The script by which Wireshark finds `tapswitch extcap`. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { TapswitchError } from '../errors.ts';

const SCRIPT = 'tapswitch';
const TSHARK_TIMEOUT = 10_000; // ms
const EXECUTABLE = 0o755;

/**
 * The folder of a user's own extcap programs. Wireshark before 4.1 has it in its configuration and does not list it;
 * a Wireshark that cannot be asked is taken for a newer one.
 */
export function extcapFolder(): string {
  const { stdout, error } = spawnSync('tshark', ['-G', 'folders'], {
    encoding: 'utf8',
    timeout: TSHARK_TIMEOUT,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const folder = (name: string) => new RegExp(`^${name}:\\s+(\\S.*)$`, 'im').exec(error ? '' : stdout)?.[1];
  const personal = folder('Personal Extcap path');
  if (personal !== undefined) return personal;
  const configuration = folder('Personal configuration');
  return configuration === undefined
    ? join(homedir(), '.local/lib/wireshark/extcap')
    : join(configuration, 'extcap');
}

/**
 * Writes the script, and makes its folder where that is missing; returns its path.
 * @param socket of the daemon it asks, the default one where undefined
 * @throws SYSTEM_CALL_FAILED
 */
export function installExtcap(folder: string, socket: string | undefined): string {
  const path = join(folder, SCRIPT);
  const program = realpathSync(process.argv[1] as string);
  const where = socket === undefined ? [] : ['--socket', resolve(socket)];
  const words = [process.execPath, program, ...where, 'extcap'].map(quoted).join(' ');
  try {
    mkdirSync(folder, { recursive: true });
    // By exec, so that the signal with which Wireshark ends a capture arrives.
    writeFileSync(path, `#!/bin/sh\nexec ${words} "$@"\n`);
    chmodSync(path, EXECUTABLE);
  } catch (error) {
    const message = `${path} cannot be written: ${(error as NodeJS.ErrnoException).code}`;
    throw new TapswitchError(
      'SYSTEM_CALL_FAILED',
      message,
      'Check the folder, or name another by --dir.',
      error,
    );
  }
  return path;
}

/** A word of a shell's command line. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
