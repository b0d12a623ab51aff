/**
 * Sockets with more to read than one turn takes, in the order in which they go on: so a busy one delays the others by
 * a turn. Their readiness is reported once only (EPOLLET), so that whoever leaves something must be in this list.
 */

/** Whoever reads from a socket. */
export interface Readable {
  nextReady: Readable | undefined;
  isReady: boolean;
  /** Takes one turn's worth; true when there may be more. An ended one has nothing. */
  receive(): boolean;
}

export class ReadyList {
  #first: Readable | undefined = undefined;
  #last: Readable | undefined = undefined;

  /** Something waits for a {@link run}. */
  get busy(): boolean {
    return this.#first !== undefined;
  }

  /** Gives a turn to one that has become ready. */
  visit(readable: Readable): void {
    if (!readable.isReady && readable.receive()) this.#append(readable);
  }

  #append(readable: Readable): void {
    readable.isReady = true;
    if (this.#last === undefined) this.#first = readable;
    else this.#last.nextReady = readable;
    this.#last = readable;
  }

  /** Gives a turn to each that is here now. */
  run(): void {
    let readable = this.#first;
    this.#first = undefined;
    this.#last = undefined;
    while (readable !== undefined) {
      const next: Readable | undefined = readable.nextReady;
      readable.nextReady = undefined;
      readable.isReady = false;
      if (readable.receive()) this.#append(readable);
      readable = next;
    }
  }
}
