/** The words of a capture filter, each with the column it starts at. */
import { TapswitchError } from '../../errors.ts';

export interface Token {
  /** `end` has empty text */
  readonly kind: 'word' | 'symbol' | 'end';
  readonly text: string;
  /** From 1 */
  readonly column: number;
  /** `\tcp`: a name, whatever else the word may mean */
  readonly escaped: boolean;
}

// Longest first. In brackets a colon separates offset and size, elsewhere it belongs to an address.
const SYMBOL = /&&|\|\||<<|>>|<=|>=|==|!=|[-()[\]:+*/%&|^!<>=]/y;
// A word that begins with a digit ends at a dash, so that `20-30` is a range.
const WORD = /\\?(?:[A-Za-z_][\w.:-]*|[\d:][\w.:]*|\.[\w.]+)/y;
const WORD_IN_BRACKETS = /\\?(?:[A-Za-z_][\w.-]*|\d\w*)/y;
const VM_NAME = /[^\s()]+/y;
const SPACE = /\s*/y;

export function tokenise(text: string): Token[] {
  const tokens: Token[] = [];
  let depth = 0;
  let at = lengthAt(SPACE, text, 0);
  while (at < text.length) {
    const token = tokenAt(text, at, depth > 0, tokens.at(-1));
    if (token.text === '[') depth++;
    else if (token.text === ']') depth--;
    tokens.push(token);
    at += token.text.length + (token.escaped ? 1 : 0);
    at += lengthAt(SPACE, text, at);
  }
  tokens.push({ kind: 'end', text: '', column: text.length + 1, escaped: false });
  return tokens;
}

function tokenAt(text: string, at: number, isInBrackets: boolean, before: Token | undefined): Token {
  const isVmName = before?.kind === 'word' && before.text === 'vm' && !before.escaped;
  const wordPattern = isVmName ? VM_NAME : isInBrackets ? WORD_IN_BRACKETS : WORD;
  const word = lengthAt(wordPattern, text, at);
  if (word > 0) {
    const escaped = text[at] === '\\';
    return { kind: 'word', text: text.slice(at + (escaped ? 1 : 0), at + word), column: at + 1, escaped };
  }
  const symbol = lengthAt(SYMBOL, text, at);
  if (symbol === 0)
    throw filterError(at + 1, `'${String.fromCodePoint(text.codePointAt(at) ?? 0)}' means nothing here`);
  return { kind: 'symbol', text: text.slice(at, at + symbol), column: at + 1, escaped: false };
}

/** How long a match of the sticky `pattern` at `at` is; 0 for none. */
function lengthAt(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0].length ?? 0;
}

/** The error of a filter that cannot be read. */
export function filterError(column: number, problem: string): TapswitchError {
  const message = `capture filter, column ${column}: ${problem}`;
  return new TapswitchError(
    'FILTER_INVALID',
    message,
    'Correct the filter there: docs/capture.md has the language',
  );
}
