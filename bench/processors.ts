/** Which processors the two ends of a load run on: chosen here, so that a run can be repeated. */
import { readFileSync } from 'node:fs';

/** The first two processors we may use, the same one twice where there is only one. */
function firstTwo(): [number, number] {
  const [, list] = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  const allowed = (list ?? '0').split(',').flatMap((range) => {
    const [first, last] = range.split('-').map(Number) as [number, number | undefined];
    return last === undefined ? [first] : [first, first + 1];
  });
  return [allowed[0]!, allowed[1] ?? allowed[0]!];
}

export const [CLIENT_PROCESSOR, SERVER_PROCESSOR] = firstTwo();

/** `command` on one processor. */
export const pinned = (processor: number, command: readonly string[]): string[] => [
  'taskset',
  '-c',
  String(processor),
  ...command,
];
