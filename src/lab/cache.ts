/**
 * Things made once and kept between runs. Whatever is kept is made under a hidden temporary name beside its final
 * one and renamed when complete, so that a run that dies half-way leaves no broken entry and two runs at once agree.
 */
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Age at which an unfinished entry surely belongs to a run that died, `ms` */
const ABANDONED_MS = 3_600_000;

/** `$TAPSWITCH_CACHE`, else `tapswitch` under `$XDG_CACHE_HOME` or `~/.cache`. */
export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const { TAPSWITCH_CACHE: own, XDG_CACHE_HOME: shared } = environment;
  return own || join(shared || join(homedir(), '.cache'), 'tapswitch');
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function removeAbandoned(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (!name.startsWith('.')) continue;
    const path = join(cache, name);
    const found = await stat(path).catch(() => undefined); // another run may have finished with it
    if (found && Date.now() - found.mtimeMs > ABANDONED_MS) await rm(path, { recursive: true, force: true });
  }
}

/**
 * Path of the directory kept as `name`. `fill` puts what belongs into it the first time, into the directory it is
 * given; when it rejects, nothing is kept.
 */
export async function cached(
  name: string,
  fill: (directory: string) => Promise<void>,
  cache: string = cacheDirectory(),
): Promise<string> {
  const final = join(cache, name);
  if (await exists(final)) return final;
  await mkdir(cache, { recursive: true });
  await removeAbandoned(cache);
  const temporary = await mkdtemp(join(cache, `.${name}-`));
  try {
    await fill(temporary);
    await rename(temporary, final);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    const lostTheRace = ['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '');
    if (!lostTheRace) throw error;
  }
  return final;
}
