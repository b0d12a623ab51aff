/** How a command ends that cannot go on. */
import { writeSync } from 'node:fs';
import { ApiError } from '../client/client.ts';
import { EXIT, TapswitchError } from '../errors.ts';

/** Text of another's making, as one line that cannot move the cursor of a terminal. */
function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is taken out
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trimEnd();
}

/**
 * Says on stderr what went wrong and ends the process: one line with code, cause and next step for an operational
 * error, the stack for a bug. Datapath threads come out of their foreign call within half a second and end with it.
 */
export function fail(error: unknown): never {
  if (error instanceof TapswitchError || error instanceof ApiError) {
    const stop = /[.?]$/.test(error.message) ? '' : '.';
    writeSync(2, `${oneLine(`tapswitch: ${error.code}: ${error.message}${stop} ${error.nextStep}`)}\n`);
    process.exit(error.exitStatus);
  }
  writeSync(2, `tapswitch: bug: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(EXIT.failure);
}
