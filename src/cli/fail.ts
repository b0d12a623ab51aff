/** How a command ends that cannot go on. */
import { writeSync } from 'node:fs';
import { EXIT, TapswitchError } from '../errors.ts';

/**
 * Says on stderr what went wrong and ends the process: one line with code, cause and next step for an operational
 * error, the stack for a bug. Datapath threads come out of their foreign call within half a second and end with it.
 */
export function fail(error: unknown): never {
  if (error instanceof TapswitchError) {
    const stop = error.message.endsWith('?') ? '' : '.';
    writeSync(2, `tapswitch: ${error.code}: ${error.message}${stop} ${error.nextStep}\n`);
    process.exit(error.exitStatus);
  }
  writeSync(2, `tapswitch: bug: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(EXIT.failure);
}
