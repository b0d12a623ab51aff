/** A clock that goes on only when a test says so. */
import { Clock } from '../../src/sys/clock.ts';

const START_MS = 1_000_000;

export class StubClock extends Clock {
  override seconds = START_MS / 1000;
  override ms = START_MS;
  #elapsed = START_MS;

  override tick(): void {}

  pass(seconds: number): void {
    this.#elapsed += Math.round(seconds * 1000);
    this.seconds = Math.floor(this.#elapsed / 1000);
    this.ms = this.#elapsed | 0;
  }
}
