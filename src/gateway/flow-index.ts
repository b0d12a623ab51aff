/** Flows by their names: a hash table whose chains run through the flows themselves, so that nothing is allocated. */
import { FlowKey } from './flow-key.ts';

/** A flow that an index can hold. */
export class IndexedFlow<F> extends FlowKey {
  /** Next in its hash bucket */
  nextInBucket: F | undefined = undefined;
}

function hashOf(key: FlowKey): number {
  let hash = Math.imul(key.guestPort | (key.remotePort << 16), 0x9e3779b1) ^ Math.imul(key.port, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15) ^ key.remote3, 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 13) ^ key.remote2 ^ key.guest3, 0xc2b2ae35);
  return hash ^ (hash >>> 16) ^ key.remote1 ^ key.remote0;
}

function matches(flow: FlowKey, key: FlowKey): boolean {
  return (
    flow.guestPort === key.guestPort &&
    flow.remotePort === key.remotePort &&
    flow.port === key.port &&
    flow.remote3 === key.remote3 &&
    flow.guest3 === key.guest3 &&
    flow.remote2 === key.remote2 &&
    flow.guest2 === key.guest2 &&
    flow.remote1 === key.remote1 &&
    flow.guest1 === key.guest1 &&
    flow.remote0 === key.remote0 &&
    flow.guest0 === key.guest0
  );
}

export class FlowIndex<F extends IndexedFlow<F>> {
  #buckets: (F | undefined)[];
  #size = 0;

  /** @param buckets to begin with, a power of two; they double as flows come */
  constructor(buckets: number) {
    this.#buckets = new Array(buckets).fill(undefined);
  }

  get size(): number {
    return this.#size;
  }

  find(key: FlowKey): F | undefined {
    let flow = this.#buckets[hashOf(key) & (this.#buckets.length - 1)];
    while (flow !== undefined && !matches(flow, key)) flow = flow.nextInBucket;
    return flow;
  }

  /** Adds a flow whose name nobody has; it may not change while it is here. */
  add(flow: F): void {
    if (this.#size >= this.#buckets.length) this.#grow();
    this.#link(flow);
    this.#size++;
  }

  remove(flow: F): void {
    const bucket = hashOf(flow) & (this.#buckets.length - 1);
    let at = this.#buckets[bucket] as F;
    if (at === flow) this.#buckets[bucket] = flow.nextInBucket;
    else {
      while (at.nextInBucket !== flow) at = at.nextInBucket as F;
      at.nextInBucket = flow.nextInBucket;
    }
    flow.nextInBucket = undefined;
    this.#size--;
  }

  #link(flow: F): void {
    const bucket = hashOf(flow) & (this.#buckets.length - 1);
    flow.nextInBucket = this.#buckets[bucket];
    this.#buckets[bucket] = flow;
  }

  #grow(): void {
    const old = this.#buckets;
    this.#buckets = new Array(old.length * 2).fill(undefined);
    for (let flow of old) {
      while (flow !== undefined) {
        const next: F | undefined = flow.nextInBucket;
        this.#link(flow);
        flow = next;
      }
    }
  }
}
