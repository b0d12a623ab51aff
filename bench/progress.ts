/** Says on stderr what is going on: on a terminal in one line that changes, elsewhere a line for each step. */
import type { WriteStream } from 'node:tty';

export type Progress = (message: string) => void;

/** Clears from the cursor to the end of the line (ECMA-48, EL) */
const CLEAR_LINE = '\r\x1b[K';

/** What `stream` needs to have: a narrower line is cut, since one that wraps cannot be taken back. */
type Stream = Pick<WriteStream, 'write'> & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>;

export interface Reporter {
  /** A step on the way */
  readonly step: Progress;
  /** What should stay to be read */
  readonly note: Progress;
  /** Takes the changing line back, before something else is printed */
  readonly clear: () => void;
}

export function reporterTo(stream: Stream, now: () => number = () => performance.now()): Reporter {
  const note = (message: string) => void stream.write(`${message}\n`);
  if (!stream.isTTY) return { step: note, note, clear: () => {} };
  const began = now();
  const clear = () => void stream.write(CLEAR_LINE);
  return {
    step: (message) => {
      const elapsed = Math.floor((now() - began) / 1000);
      const line = `[${Math.floor(elapsed / 60)}:${String(elapsed % 60).padStart(2, '0')}] ${message}`;
      stream.write(CLEAR_LINE + line.slice(0, (stream.columns ?? 80) - 1));
    },
    note: (message) => {
      clear();
      note(message);
    },
    clear,
  };
}
