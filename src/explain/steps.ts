/** An explanation as it grows: the frames that were tried, and the rules they met, in order. */
import type { Scene } from '../engine/scene.ts';
import type { DropReason } from '../telemetry/drops.ts';
import type { Trial, TrialResult } from './trial.ts';

export const STEP_RULES = [
  'source-mac',
  'source-ip',
  'arp',
  'neighbour-discovery',
  'destination',
  'fdb',
  'carrier',
  'mode',
  'host-policy',
  'host-port',
  'fast-path',
  'gateway',
  'name-server',
  'service',
  'egress',
  'limits',
  'forward',
] as const;
export type StepRule = (typeof STEP_RULES)[number];

export const STEP_OUTCOMES = ['pass', 'drop', 'decides'] as const;

export interface Step {
  readonly rule: StepRule;
  /** `drop` and `decides` stand last */
  readonly outcome: (typeof STEP_OUTCOMES)[number];
  readonly detail: string;
}

/**
 * What becomes of it: it leaves by another port, the gateway answers or takes it, it goes to all ports that may have it, it
 * is lost without a word, it is lost and the sender told, or a connection of the host's is made for it.
 */
export const ACTIONS = ['forward', 'gateway', 'flood', 'drop', 'refuse', 'connect'] as const;

export interface Outcome {
  readonly action: (typeof ACTIONS)[number];
  /** A VM's id, `host`, or an address and port */
  readonly to?: string;
  /** As it is counted */
  readonly reason?: DropReason;
  /** The rule, where it can be changed: a path of the configuration, or what is built in */
  readonly by: string;
}

export interface Explanation {
  readonly steps: readonly Step[];
  readonly outcome: Outcome;
  /** What was tried, by the port of the switch it came in by; virtio-net header first */
  readonly frames: readonly { readonly port: number; readonly frame: Uint8Array }[];
}

export class Account {
  readonly scene: Scene;
  readonly #trial: Trial;
  readonly #steps: Step[] = [];
  readonly #frames: { port: number; frame: Uint8Array }[] = [];

  constructor(scene: Scene, trial: Trial) {
    this.scene = scene;
    this.#trial = trial;
  }

  /** Tries a frame that comes in by `port`. */
  send(port: number, frame: Uint8Array): TrialResult {
    this.#frames.push({ port, frame });
    return this.#trial.send(port, frame);
  }

  pass(rule: StepRule, detail: string): void {
    this.#steps.push({ rule, outcome: 'pass', detail });
  }

  /** The last step: it is lost. */
  drop(rule: StepRule, detail: string, outcome: Outcome): Explanation {
    this.#steps.push({ rule, outcome: 'drop', detail });
    return { steps: this.#steps, outcome, frames: this.#frames };
  }

  /** The last step: it goes somewhere. */
  decide(rule: StepRule, detail: string, outcome: Outcome): Explanation {
    this.#steps.push({ rule, outcome: 'decides', detail });
    return { steps: this.#steps, outcome, frames: this.#frames };
  }
}
