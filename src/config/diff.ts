/** What is different between two configurations, and whether a running switch can take it over. */
import { isDeepStrictEqual } from 'node:util';
import { formatPath, type Path } from './fault.ts';
import type { DaemonConfig } from './load.ts';
import { effectiveTree, type Tree } from './settings.ts';

export interface ConfigChange {
  /** Keys down to what is different: a whole VM (`vms`, id) where it is new or gone, one of its keys otherwise */
  readonly path: Path;
  readonly kind: 'added' | 'removed' | 'changed';
  /** Whether it can be applied while the switch runs; it needs a restart otherwise */
  readonly live: boolean;
  /** The change in one line */
  readonly text: string;
}

/** Sections that need a restart: what workers and ports are made of. */
const LASTING_SECTIONS: readonly unknown[] = ['guard', 'fastPath', 'workers'];
/** Sections whose entries have names: an entry that is new or gone is one change. */
const NAMED_SECTIONS: readonly unknown[] = ['networks', 'vms', 'profiles'];

type Mapping = Record<string, Tree>;
type Difference = Omit<ConfigChange, 'live'>;

function isMapping(tree: Tree | undefined): tree is Mapping {
  return typeof tree === 'object' && !Array.isArray(tree);
}

const shown = (value: Tree | undefined): string =>
  value === undefined ? 'none' : typeof value === 'string' ? value : JSON.stringify(value);

function differences(before: Tree | undefined, after: Tree | undefined, path: Path): Difference[] {
  if (isDeepStrictEqual(before, after)) return [];
  const kind = before === undefined ? 'added' : after === undefined ? 'removed' : 'changed';
  const isEntry = path.length === 2 && NAMED_SECTIONS.includes(path[0]);
  if (isEntry && kind !== 'changed') return [{ path, kind, text: `${formatPath(path)}: ${kind}` }];
  if (isMapping(before ?? {}) && isMapping(after ?? {})) {
    const [old, now] = [(before ?? {}) as Mapping, (after ?? {}) as Mapping];
    const keys = new Set([...Object.keys(old), ...Object.keys(now)]);
    return [...keys].flatMap((key) =>
      differences(
        Object.hasOwn(old, key) ? old[key] : undefined,
        Object.hasOwn(now, key) ? now[key] : undefined,
        [...path, key],
      ),
    );
  }
  return [{ path, kind, text: `${formatPath(path)}: ${shown(before)} -> ${shown(after)}` }];
}

/** The changes that lead from one configuration to another, by their values in effect. */
export function diffConfig(before: DaemonConfig, after: DaemonConfig): ConfigChange[] {
  return differences(effectiveTree(before), effectiveTree(after), []).map((difference) => ({
    ...difference,
    live: !LASTING_SECTIONS.includes(difference.path[0]),
  }));
}
