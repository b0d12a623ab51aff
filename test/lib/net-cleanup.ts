/** Undoes what a test has made, the last thing first, however the test ends. */
import { onTestFinished } from 'vitest';

export class Cleanup {
  readonly #steps: (() => unknown)[] = [];

  add(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** Takes every step, also after one that fails; then throws what failed. */
  async run(): Promise<void> {
    const errors: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, `clean-up failed: ${errors.join('; ')}`);
  }
}

/** Clean-up of the test that is running. */
export function atTestEnd(): Cleanup {
  const cleanup = new Cleanup();
  onTestFinished(() => cleanup.run());
  return cleanup;
}
