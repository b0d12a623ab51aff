/**
 * Which TAPs are ours to remove: those that we made and have not removed yet.
 *
 * Theory of operation. A TAP outlives us, and between making it and keeping its VM durably we may be killed; so it is noted
 * before it is made, and struck out after it has been removed. What is noted and no VM has is an orphan of such a crash.
 * A note is written and not synchronised: a crash of the machine, which could lose it, takes the TAPs along.
 */
import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Lines after which the file is written anew */
const MANY_LINES = 4096;
const MODE = 0o600;

export class TapLedger {
  readonly #path: string;
  readonly #names = new Set<string>();
  #lines = 0;

  /** @param directory of the state, whose lock the caller has */
  constructor(directory: string) {
    this.#path = join(directory, 'taps');
    for (const line of this.#read().split('\n')) {
      if (line.startsWith('+')) this.#names.add(line.slice(1));
      else this.#names.delete(line.slice(1));
    }
    this.#rewrite();
  }

  #read(): string {
    try {
      return readFileSync(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw error;
    }
  }

  get names(): ReadonlySet<string> {
    return this.#names;
  }

  /** To be called before the TAP is made. */
  add(name: string): void {
    this.#names.add(name);
    this.#append(`+${name}\n`);
  }

  /** To be called when there is none of ours any more. */
  remove(name: string): void {
    this.#names.delete(name);
    this.#append(`-${name}\n`);
  }

  #append(line: string): void {
    appendFileSync(this.#path, line, { mode: MODE });
    if (++this.#lines > MANY_LINES + this.#names.size) this.#rewrite();
  }

  #rewrite(): void {
    const text = [...this.#names].map((name) => `+${name}\n`).join('');
    writeFileSync(`${this.#path}.new`, text, { mode: MODE });
    renameSync(`${this.#path}.new`, this.#path);
    this.#lines = this.#names.size;
  }
}
