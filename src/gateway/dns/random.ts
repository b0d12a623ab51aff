/** Numbers that nobody can foretell, fetched by the pool. */
import { randomFillSync } from 'node:crypto';

const POOL = 512;

export class RandomPool {
  readonly #numbers = new Uint16Array(POOL);
  #left = 0;

  /** 16 bits. */
  next(): number {
    if (this.#left === 0) {
      randomFillSync(this.#numbers);
      this.#left = POOL;
    }
    this.#left--;
    return this.#numbers[this.#left] as number;
  }
}
