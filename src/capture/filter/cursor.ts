/** A place in the words of a filter. */
import { filterError, type Token } from './tokens.ts';

export class Cursor {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  /** The token `ahead` of the next one; the last one is the end. */
  peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)] as Token;
  }

  next(): Token {
    const token = this.peek();
    this.#at++;
    return token;
  }

  /** Takes the next token if it reads like one of `texts`. */
  take(...texts: readonly string[]): Token | undefined {
    return this.is(...texts) ? this.next() : undefined;
  }

  is(...texts: readonly string[]): boolean {
    const { kind, escaped, text } = this.peek();
    return kind !== 'end' && !escaped && texts.includes(text);
  }

  expect(text: string): void {
    if (this.take(text) === undefined) throw this.unexpected(`'${text}'`);
  }

  /** The error that something else than `wanted` comes next. */
  unexpected(wanted: string): Error {
    const { kind, text, column } = this.peek();
    return filterError(column, `expected ${wanted}, not ${kind === 'end' ? 'the end' : `'${text}'`}`);
  }

  get mark(): number {
    return this.#at;
  }

  goBack(mark: number): void {
    this.#at = mark;
  }
}
