/** Packet filter rules as libnftables-json(5) has them, sorted by chain and set. Any JSON gives a ruleset. */

/** One expression of a rule: an object with one key, its kind, e.g. `{ drop: null }`, `{ match: { … } }`. */
export type Expression = Readonly<Record<string, unknown>>;

export interface Rule {
  /** How a person finds it: `rule handle 3 of bridge f forward` */
  readonly name: string;
  readonly expressions: readonly Expression[];
}

export interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  /** Undefined for a chain that others jump to */
  readonly hook: string | undefined;
  readonly priority: number;
  readonly policy: 'accept' | 'drop';
  /** Interfaces of a netdev chain; undefined where they are not known */
  readonly devices: readonly string[] | undefined;
  readonly rules: readonly Rule[];
}

export interface Ruleset {
  readonly chains: readonly Chain[];
  /** Elements of named sets and maps by {@link setKey}; of maps, pairs of value and verdict */
  readonly sets: ReadonlyMap<string, readonly unknown[]>;
}

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null ? (value as Fields) : {};
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const listOf = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];

/** Key of a chain, or of a set that a rule of that table names. */
export function setKey(family: string, table: string, name: string): string {
  return `${family} ${table} ${name}`;
}

function parseChain(chain: Fields, rules: readonly Rule[]): Chain {
  const devices = chain.dev;
  return {
    family: textOf(chain.family),
    table: textOf(chain.table),
    name: textOf(chain.name),
    hook: chain.hook === undefined ? undefined : textOf(chain.hook),
    priority: Number(chain.prio ?? 0),
    policy: chain.policy === 'drop' ? 'drop' : 'accept',
    devices: devices === undefined ? undefined : listOf(devices).map(textOf),
    rules,
  };
}

/** Reads what `nft --json list ruleset` prints. */
export function parseRuleset(json: unknown): Ruleset {
  const rules = new Map<string, Rule[]>();
  const sets = new Map<string, readonly unknown[]>();
  const chains: Fields[] = [];
  for (const object of listOf(fieldsOf(json).nftables)) {
    const { chain, rule, set, map } = fieldsOf(object);
    if (chain !== undefined) chains.push(fieldsOf(chain));
    const named = fieldsOf(set ?? map);
    const { family, table, name } = named;
    if (name !== undefined) sets.set(setKey(textOf(family), textOf(table), textOf(name)), listOf(named.elem));
    if (rule === undefined) continue;
    const { handle, expr, ...place } = fieldsOf(rule);
    const key = setKey(textOf(place.family), textOf(place.table), textOf(place.chain));
    const there = rules.get(key) ?? [];
    there.push({ name: `rule handle ${handle} of ${key}`, expressions: listOf(expr).map(fieldsOf) });
    rules.set(key, there);
  }
  const parsed = chains.map((chain) => {
    const key = setKey(textOf(chain.family), textOf(chain.table), textOf(chain.name));
    return parseChain(chain, rules.get(key) ?? []);
  });
  return { chains: parsed, sets };
}

const DEVICE_LINE = /hook (?:ingress|egress) devices? (?:= )?(?:"([^"]+)"|\{([^}]*)\})/;

/**
 * Adds the interfaces of netdev chains, which `nft --json` before 1.0.7 leaves out, from `nft list ruleset netdev`.
 * Chains of devices that the text does not show stay as they are.
 */
export function withDevices(ruleset: Ruleset, text: string): Ruleset {
  const devices = new Map<string, readonly string[]>();
  let table = '';
  let chain = '';
  for (const line of text.split('\n')) {
    table = /^table netdev (\S+)/.exec(line)?.[1] ?? table;
    chain = /^\s+chain (\S+)/.exec(line)?.[1] ?? chain;
    const [, one, several] = DEVICE_LINE.exec(line) ?? [];
    const names =
      one === undefined ? several?.split(',').map((name) => name.trim().replaceAll('"', '')) : [one];
    if (names !== undefined) devices.set(setKey('netdev', table, chain), names);
  }
  const chains = ruleset.chains.map((one) => ({
    ...one,
    devices: one.devices ?? devices.get(setKey(one.family, one.table, one.name)),
  }));
  return { ...ruleset, chains };
}
