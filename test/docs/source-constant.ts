/** Values of constants of the source, exported or not, so that documents can be compared with them. */
import { readText } from './tables.ts';

function evaluate(expression: string, known: Readonly<Record<string, unknown>>): number {
  const factors = expression.split('*').map((factor) => {
    const text = factor.trim();
    const value = /^[\d_]+$/.test(text) ? Number(text.replaceAll('_', '')) : known[text];
    if (typeof value !== 'number') throw new Error(`cannot evaluate ${expression}`);
    return value;
  });
  return factors.reduce((product, factor) => product * factor, 1);
}

/** The number `name` stands for in the module at `path`, from the project's root. */
export async function sourceConstant(path: string, name: string): Promise<number> {
  const module = (await import(new URL(`../../${path}`, import.meta.url).href)) as Record<string, unknown>;
  if (typeof module[name] === 'number') return module[name];
  const declared = new RegExp(`^const ${name} = ([^;]+);`, 'm').exec(readText(path))?.[1];
  if (declared === undefined) throw new Error(`${path} has no constant ${name}`);
  return evaluate(declared, module);
}
