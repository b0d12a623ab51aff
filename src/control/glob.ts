/** Patterns of interface names, as a shell has them: `*` is any text, `?` any one character. */

/** Whether the whole of `name` fits `pattern`. */
export function matches(pattern: string, name: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 'su').test(name);
}
