/**
 * Rules as iptables-save(8) and ebtables-save(8) print them, brought to the form of {@link Ruleset}. `nft` shows an
 * extension of theirs by its name alone: what it asks for stands in this text only.
 */
import type { Chain, Expression, Rule, Ruleset } from './ruleset.ts';

export type SaveFamily = 'ip' | 'bridge';

const HOOKS = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];
const PRIORITIES: Readonly<Record<string, number>> = { raw: -300, mangle: -150, nat: -100, security: 50 };
const EBTABLES_PRIORITY = -200;

const LEFT = {
  ip: (field: string): Expression => ({ payload: { protocol: 'ip', field } }),
  arp: (field: string): Expression => ({ payload: { protocol: 'arp', field } }),
  ether: (field: string): Expression => ({ payload: { protocol: 'ether', field } }),
  port: (field: string): Expression => ({ payload: { protocol: 'th', field } }),
  meta: (key: string): Expression => ({ meta: { key } }),
  state: { ct: { key: 'state' } } as Expression,
} as const;

const UNKNOWN: Expression = { xt: { type: 'match', name: 'unknown' } };

/** How an option's word reads as the right side of a match; undefined where it is not understood. */
type Reader = (word: string) => unknown;

const asIs: Reader = (word) => word;
const lower: Reader = (word) => word.toLowerCase();
const name: Reader = (word) => word.replace(/\+$/, '*');
const mac: Reader = (word) => {
  const [, exact] = /^([0-9a-f:]{17})(?:\/ff:ff:ff:ff:ff:ff)?$/i.exec(word) ?? [];
  return word === 'Broadcast' ? 'ff:ff:ff:ff:ff:ff' : exact?.toLowerCase();
};
const address: Reader = (word) => {
  const [addr, length = '32'] = word.split('/');
  return /^\d+$/.test(length) ? { prefix: { addr, len: Number(length) } } : undefined;
};
const ports: Reader = (word) =>
  word.split(',').map((one) => {
    const [low, high] = one.split(':').map(Number);
    return high === undefined ? low : { range: [low, high] };
  });
const states: Reader = (word) => word.toLowerCase().split(',');
const echo: Reader = (word) =>
  ({ '8': 'echo-request', '0': 'echo-reply' })[word] ?? (/^\d+/.test(word) ? word : undefined);
const frameType: Reader = (word) => ({ ARP: 'arp', IPv4: 'ip', IPv6: 'ip6' })[word] ?? word;

type Option = readonly [left: Expression, read: Reader];

const IPTABLES: Readonly<Record<string, Option>> = {
  '-s': [LEFT.ip('saddr'), address],
  '-d': [LEFT.ip('daddr'), address],
  '-i': [LEFT.meta('iifname'), name],
  '-o': [LEFT.meta('oifname'), name],
  '-p': [LEFT.meta('l4proto'), asIs],
  '--sport': [LEFT.port('sport'), ports],
  '--dport': [LEFT.port('dport'), ports],
  '--sports': [LEFT.port('sport'), ports],
  '--dports': [LEFT.port('dport'), ports],
  '--ctstate': [LEFT.state, states],
  '--state': [LEFT.state, states],
  '--icmp-type': [{ payload: { protocol: 'icmp', field: 'type' } }, echo],
  '--physdev-in': [LEFT.meta('physdev in'), name],
  '--physdev-out': [LEFT.meta('physdev out'), name],
};

const EBTABLES: Readonly<Record<string, Option>> = {
  '-s': [LEFT.ether('saddr'), mac],
  '-d': [LEFT.ether('daddr'), mac],
  '-i': [LEFT.meta('iifname'), name],
  '-o': [LEFT.meta('oifname'), name],
  '--logical-in': [LEFT.meta('ibrname'), name],
  '--logical-out': [LEFT.meta('obrname'), name],
  '-p': [LEFT.ether('type'), frameType],
  '--arp-op': [LEFT.arp('operation'), lower],
  '--arp-opcode': [LEFT.arp('operation'), lower],
  '--arp-ip-src': [LEFT.arp('saddr ip'), address],
  '--arp-ip-dst': [LEFT.arp('daddr ip'), address],
  '--arp-mac-src': [LEFT.arp('saddr ether'), mac],
  '--arp-mac-dst': [LEFT.arp('daddr ether'), mac],
  '--ip-src': [LEFT.ip('saddr'), address],
  '--ip-dst': [LEFT.ip('daddr'), address],
  '--ip-proto': [LEFT.ip('protocol'), asIs],
  '--ip-sport': [LEFT.port('sport'), ports],
  '--ip-dport': [LEFT.port('dport'), ports],
};

const TARGETS: Readonly<Record<string, Expression>> = {
  ACCEPT: { accept: null },
  DROP: { drop: null },
  REJECT: { drop: null },
  RETURN: { return: null },
  CONTINUE: { continue: null },
};

/** Words of a line, a quoted one as one word. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

function target(word: string, kind: 'jump' | 'goto', chains: ReadonlySet<string>): Expression {
  if (chains.has(word)) return { [kind]: { target: word } };
  return TARGETS[word] ?? { xt: { type: 'target', name: word } };
}

/** Expressions of what follows `-A CHAIN`. Options that are not known become a match that is not understood. */
function expressionsOf(words: string[], family: SaveFamily, chains: ReadonlySet<string>): Expression[] {
  const options = family === 'ip' ? IPTABLES : EBTABLES;
  const expressions: Expression[] = [];
  for (let i = 0; i < words.length; i++) {
    const isNegated = words[i] === '!';
    if (isNegated) i++;
    const option = words[i] as string;
    if (option === '-j' || option === '-g') {
      // What comes after it are options of the target.
      expressions.push(target(words[i + 1] ?? '', option === '-j' ? 'jump' : 'goto', chains));
      break;
    }
    if (option === '--physdev-is-bridged') {
      const match = { op: isNegated ? '!=' : '==', left: LEFT.meta('physdev bridged'), right: 'yes' };
      expressions.push({ match });
      continue;
    }
    // Older ebtables writes `! ` between option and value.
    const isLateNegation = words[i + 1] === '!';
    const value = words[i + (isLateNegation ? 2 : 1)];
    const isOption = value === undefined || value.startsWith('-');
    if (!isOption) i += isLateNegation ? 2 : 1;
    if (option === '-m' || option === '--comment') continue;
    const [left, read] = options[option] ?? [];
    const right = isOption || value === undefined ? undefined : read?.(value);
    if (left === undefined || right === undefined) expressions.push(UNKNOWN);
    else expressions.push({ match: { op: isNegated || isLateNegation ? '!=' : '==', left, right } });
  }
  return expressions;
}

interface Section {
  readonly table: string;
  /** Policies by chain; `-` for one that others jump to */
  readonly policies: Map<string, string>;
  readonly lines: string[];
}

function sectionsOf(text: string): Section[] {
  const sections: Section[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) sections.push({ table: line.slice(1).trim(), policies: new Map(), lines: [] });
    const section = sections.at(-1);
    const [, chain, policy] = /^:(\S+) (\S+)/.exec(line) ?? [];
    if (chain !== undefined && policy !== undefined) section?.policies.set(chain, policy);
    if (line.startsWith('-A ')) section?.lines.push(line);
  }
  return sections;
}

function chainsOf({ table, policies, lines }: Section, family: SaveFamily): Chain[] {
  const names = new Set([...policies.keys()].filter((one) => !HOOKS.includes(one)));
  return [...policies].map(([chain, policy]): Chain => {
    const own = lines.map(wordsOf).map((words, i) => ({ words, line: lines[i] as string }));
    const rules = own
      .filter(({ words }) => words[1] === chain)
      .map(({ words, line }, i): Rule => {
        const expressions = expressionsOf(words.slice(2), family, names);
        return { name: `rule ${i + 1} of ${family} ${table} ${chain} (${line})`, expressions };
      });
    const isBase = HOOKS.includes(chain);
    // A chain of one's own has a policy in ebtables: what it does at its end.
    const last = !isBase && (policy === 'DROP' || (policy === 'ACCEPT' && family === 'bridge'));
    const end = {
      name: `policy of ${family} ${table} ${chain}`,
      expressions: [TARGETS[policy] as Expression],
    };
    return {
      family,
      table,
      name: chain,
      hook: isBase ? chain.toLowerCase() : undefined,
      priority: family === 'bridge' ? EBTABLES_PRIORITY : (PRIORITIES[table] ?? 0),
      policy: isBase && policy === 'DROP' ? 'drop' : 'accept',
      devices: undefined,
      rules: last ? [...rules, end] : rules,
    };
  });
}

const hasExtension = ({ rules }: Chain) =>
  rules.some(({ expressions }) => expressions.some((one) => 'xt' in one));

/** Whether chains of the family use extensions, whose meaning only the save text has. */
export function needsSaveText({ chains }: Ruleset, family: SaveFamily): boolean {
  return chains.some((chain) => chain.family === family && hasExtension(chain));
}

/**
 * Puts the rules of a save text in the place of those that `nft` could not show in full; where the text is of the
 * legacy programs, whose rules `nft` does not know, adds its chains. The tables `nat` and `broute` of ebtables, and
 * chains that have changed in between, stay as they are.
 */
export function withSaveText(ruleset: Ruleset, text: string, family: SaveFamily): Ruleset {
  const isLegacy = !text.includes('(nf_tables)');
  const saved = sectionsOf(text)
    .filter(({ table }) => family === 'ip' || table === 'filter')
    .flatMap((section) => chainsOf(section, family));
  if (isLegacy) {
    const legacy = saved.map((chain) => ({ ...chain, table: `${chain.table} (legacy)` }));
    return { ...ruleset, chains: [...ruleset.chains, ...legacy] };
  }
  const chains = ruleset.chains.map((chain): Chain => {
    if (chain.family !== family || !hasExtension(chain)) return chain;
    const same = saved.find(({ table, name }) => table === chain.table && name === chain.name);
    return same?.rules.length === chain.rules.length ? { ...chain, rules: same.rules } : chain;
  });
  return { ...ruleset, chains };
}
