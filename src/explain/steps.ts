/** An explanation as it grows: the frames that were tried, and the rules they met, in order. */
import type { Scene } from '../engine/scene.ts';
import type { ExplainedOutcome, ExplainedStep } from '../resources/explanation.ts';
import type { Trial, TrialResult } from './trial.ts';

type StepRule = ExplainedStep['rule'];

/** Beside what the API shows, what was tried. */
export interface Explanation {
  readonly steps: readonly ExplainedStep[];
  readonly outcome: ExplainedOutcome;
  /** By the port of the switch it came in by; virtio-net header first */
  readonly frames: readonly { readonly port: number; readonly frame: Uint8Array }[];
}

export class Account {
  readonly scene: Scene;
  readonly #trial: Trial;
  readonly #steps: ExplainedStep[] = [];
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
  drop(rule: StepRule, detail: string, outcome: ExplainedOutcome): Explanation {
    this.#steps.push({ rule, outcome: 'drop', detail });
    return { steps: this.#steps, outcome, frames: this.#frames };
  }

  /** The last step: it goes somewhere. */
  decide(rule: StepRule, detail: string, outcome: ExplainedOutcome): Explanation {
    this.#steps.push({ rule, outcome: 'decides', detail });
    return { steps: this.#steps, outcome, frames: this.#frames };
  }
}
