/**
 * Whether the rules let a packet through, without a kernel.
 *
 * Theory of operation. A chain is walked with every outcome that is still possible: where a match is not understood,
 * both the way with it and the way without it are followed. A packet is `dropped` only where every way ends in a drop;
 * where just one does, it is `doubtful`. So a rule that is not understood never becomes a cause, and one before a
 * certain drop does not hide it.
 */
import { all, type Context, matches, type Truth } from './nft-match.ts';
import type { Hook, Packet, Passage } from './packet.ts';
import { type Chain, type Expression, type Rule, type Ruleset, setKey } from './ruleset.ts';

/** The kernel refuses deeper jumps (NFT_JUMP_STACK_SIZE). */
const MAX_DEPTH = 16;

export interface Outcome {
  readonly fate: 'passes' | 'dropped' | 'doubtful';
  /** Rule or policy that drops or may drop it, and what it is part of */
  readonly by?: { readonly family: string; readonly hook: Hook; readonly rule: string };
}

/** What may come of a chain. */
interface Ways {
  accept: boolean;
  /** Rule that drops it on one of the ways */
  drop: string | undefined;
  /** It gets to the end, or returns */
  through: boolean;
  /** It may have been changed on the way: what comes after cannot be told */
  changed: boolean;
}

const nothing = (): Ways => ({ accept: false, drop: undefined, through: false, changed: false });

const HARMLESS = new Set(['counter', 'log', 'comment', 'flow', 'ct helper', 'meter', 'map', 'set']);
const TRANSLATES = new Set(['snat', 'dnat', 'masquerade', 'redirect']);
const HARMLESS_TARGETS = new Set(['LOG', 'NFLOG', 'log', 'nflog', 'CHECKSUM', 'TCPMSS', 'CLASSIFY', 'MARK']);
const TRANSLATING_TARGETS = new Set(['SNAT', 'DNAT', 'MASQUERADE', 'REDIRECT', 'NETMAP', 'snat', 'dnat']);

/** What a rule does where it matches. */
type Effect =
  | { readonly kind: 'none' | 'accept' | 'drop' | 'return' | 'unknown' | 'translate' | 'change' }
  | { readonly kind: 'jump' | 'goto'; readonly target: string };

/** Marks are never known here, so that setting one changes nothing; fields of the packet are. */
function changesPacket(mangle: unknown): boolean {
  const { key } = (mangle ?? {}) as { key?: Readonly<Record<string, unknown>> };
  return key?.payload !== undefined;
}

function effectOf(expression: Expression): Effect {
  const [[kind, what] = ['', undefined]] = Object.entries(expression);
  const { target, type, name } = (what ?? {}) as Record<string, string>;
  if (kind === 'accept' || kind === 'drop' || kind === 'return') return { kind };
  if (kind === 'reject') return { kind: 'drop' };
  if ((kind === 'jump' || kind === 'goto') && target !== undefined) return { kind, target };
  if (kind === 'continue' || HARMLESS.has(kind)) return { kind: 'none' };
  if (TRANSLATES.has(kind)) return { kind: 'translate' };
  if (kind === 'mangle') return { kind: changesPacket(what) ? 'change' : 'none' };
  if (kind === 'notrack') return { kind: 'change' };
  if (kind === 'xt' && type === 'target' && name !== undefined) {
    if (name === 'REJECT' || name === 'DROP') return { kind: 'drop' };
    if (HARMLESS_TARGETS.has(name)) return { kind: 'none' };
    if (TRANSLATING_TARGETS.has(name)) return { kind: 'translate' };
    if (name === 'CT') return { kind: 'change' };
  }
  return { kind: 'unknown' };
}

/** Expressions that only say whether the rule matches, and may not be understood. */
function isCondition(kind: string, what: unknown): boolean {
  if (kind === 'match' || kind === 'limit' || kind === 'quota' || kind === 'ct count') return true;
  return kind === 'xt' && (what as { type?: string } | null)?.type === 'match';
}

interface Step {
  readonly when: Truth;
  readonly effect: Effect;
  readonly rule: string;
}

/** A rule as steps, one for each of its effects; a verdict map is one for each of its elements. */
function stepsOf({ name, expressions }: Rule, context: Context): Step[] {
  const steps: Step[] = [];
  const conditions: Truth[] = [];
  for (const expression of expressions) {
    const [[kind, what] = ['', undefined]] = Object.entries(expression);
    if (kind === 'match') conditions.push(matches(what as Record<string, unknown>, context));
    else if (isCondition(kind, what)) conditions.push(undefined);
    else if (kind === 'vmap') steps.push(...mapSteps(what, all(conditions), name, context));
    else steps.push({ when: all(conditions), effect: effectOf(expression), rule: name });
  }
  return steps.filter(({ effect }) => effect.kind !== 'none');
}

function mapSteps(what: unknown, before: Truth, rule: string, context: Context): Step[] {
  const { key, data } = (what ?? {}) as { key?: unknown; data?: unknown };
  const { set = [] } = (typeof data === 'object' && data !== null ? data : {}) as { set?: unknown };
  const pairs = typeof data === 'string' ? context.set(data.slice(1)) : set;
  if (!Array.isArray(pairs)) return [{ when: before, effect: { kind: 'unknown' }, rule }];
  return pairs.map((pair): Step => {
    const [value, verdict] = Array.isArray(pair) ? pair : [undefined, {}];
    const hit = matches({ op: '==', left: key, right: value }, context);
    return { when: all([before, hit]), effect: effectOf(verdict as Expression), rule };
  });
}

class Evaluation {
  readonly #ruleset: Ruleset;

  constructor(ruleset: Ruleset) {
    this.#ruleset = ruleset;
  }

  walk(chain: Chain, packet: Packet, hook: Hook, depth = 0): Ways {
    const ways = nothing();
    if (depth > MAX_DEPTH) return { ...ways, accept: true, drop: chain.name, through: true };
    const { sets } = this.#ruleset;
    const set = (name: string) => sets.get(setKey(chain.family, chain.table, name));
    for (const step of chain.rules.flatMap((rule) => stepsOf(rule, { packet, hook, set }))) {
      if (step.when === false) continue;
      const goesOn = this.#take(step, ways, chain, packet, hook, depth);
      if (step.when === true && !goesOn) return ways;
    }
    ways.through = true;
    return ways;
  }

  /** Adds what a step may do to the ways, and says whether the walk goes on after it where it matches. */
  #take(
    { effect, rule }: Step,
    ways: Ways,
    chain: Chain,
    packet: Packet,
    hook: Hook,
    depth: number,
  ): boolean {
    switch (effect.kind) {
      case 'accept':
        ways.accept = true;
        return false;
      case 'drop':
        ways.drop = rule;
        return false;
      case 'return':
        ways.through = true;
        return false;
      case 'translate':
        ways.accept = true;
        ways.changed = true;
        return false;
      case 'change':
        ways.changed = true;
        return true;
      case 'jump':
      case 'goto':
        return this.#call(effect.kind, effect.target, ways, chain, packet, hook, depth);
      default:
        ways.accept = true;
        ways.drop ??= rule;
        return true;
    }
  }

  #call(
    kind: 'jump' | 'goto',
    target: string,
    ways: Ways,
    { family, table }: Chain,
    packet: Packet,
    hook: Hook,
    depth: number,
  ): boolean {
    const called = this.#ruleset.chains.find(
      (one) => one.family === family && one.table === table && one.name === target,
    );
    if (called === undefined) return true;
    const inner = this.walk(called, packet, hook, depth + 1);
    ways.accept ||= inner.accept;
    ways.drop = inner.drop ?? ways.drop;
    ways.changed ||= inner.changed;
    if (kind === 'goto') ways.through ||= inner.through;
    return kind === 'jump' && inner.through;
  }
}

/** Whether a chain is run at a hook; undefined where it cannot be told (a netdev chain of unknown interfaces). */
function runsAt(chain: Chain, { families, hook, in: iif, out }: Hook): Truth {
  if (chain.hook !== hook || !families.includes(chain.family)) return false;
  if (hook !== 'ingress' && hook !== 'egress') return true;
  return chain.devices?.includes((hook === 'ingress' ? iif : out) ?? '');
}

/** Walks the packet through its hooks, in each the chains by their priority. */
export function evaluate(ruleset: Ruleset, { packet, hooks }: Passage): Outcome {
  const evaluation = new Evaluation(ruleset);
  let doubt: Outcome['by'];
  let changed = false;
  for (const hook of hooks) {
    const chains = ruleset.chains
      .filter((chain) => runsAt(chain, hook) !== false)
      .sort((a, b) => a.priority - b.priority);
    for (const chain of chains) {
      const ways = evaluation.walk(chain, packet, hook);
      if (ways.through && chain.policy === 'accept') ways.accept = true;
      else if (ways.through) ways.drop ??= `policy of ${setKey(chain.family, chain.table, chain.name)}`;
      changed ||= ways.changed;
      if (ways.drop === undefined) continue;
      const by = { family: chain.family, hook, rule: ways.drop };
      if (!ways.accept && !changed && runsAt(chain, hook) === true) return { fate: 'dropped', by };
      doubt ??= by;
    }
  }
  return doubt === undefined ? { fate: 'passes' } : { fate: 'doubtful', by: doubt };
}
