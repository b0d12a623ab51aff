/**
 * How a fault in a configuration is reported: one line that starts with the place in the file, where there is one,
 * and the path of the key.
 */
import { type ErrorCode, TapswitchError } from '../errors.ts';

/** Keys from the top of the configuration down to the value at fault; list items by index. */
export type Path = readonly (string | number)[];

/** Where the value at `path` stands in the file, as `file:line:column: `, or '' for a configuration without file. */
export type Locate = (path: Path) => string;

export const nowhere: Locate = () => '';

/** `text` in quotation marks on one line, shortened when long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

/** Text of a path: `vms.a.forwards[1]`. */
export function formatPath(path: Path): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else text += `${text === '' ? '' : '.'}${/^[\w.-]{1,63}$/.test(key) ? key : quote(key)}`;
  }
  return text;
}

/** An error about the value at `path`. `message` says what is wrong with it, `nextStep` what would be right. */
export function configError(
  code: ErrorCode,
  locate: Locate,
  path: Path,
  message: string,
  nextStep: string,
): TapswitchError {
  const subject = path.length === 0 ? '' : `${formatPath(path)}: `;
  return new TapswitchError(code, `${locate(path)}${subject}${message}`, nextStep);
}

/** Makes a CONFIG_INVALID about one value: what is wrong with it, and what would be right. */
export type Fail = (message: string, nextStep: string) => TapswitchError;

export function failAt(locate: Locate, path: Path): Fail {
  return (message, nextStep) => configError('CONFIG_INVALID', locate, path, message, nextStep);
}
