/**
 * Ranges of sequence numbers, sorted and apart from each other: what has arrived out of order, and what the peer says
 * has arrived with it. Bounded; all in one array, so that nothing is allocated.
 */
import { before } from '../../wire/tcp.ts';

export const MAX_RANGES = 64;

export class RangeSet {
  /** Start and end (the number after the last) of each range, alternating */
  readonly edges = new Int32Array(2 * MAX_RANGES);
  count = 0;

  clear(): void {
    this.count = 0;
  }

  start(index: number): number {
    return this.edges[2 * index] as number;
  }

  end(index: number): number {
    return this.edges[2 * index + 1] as number;
  }

  /** Adds `start` up to but not including `end`; false when there is no room for one more range. */
  add(start: number, end: number): boolean {
    const { edges } = this;
    let first = 0;
    while (first < this.count && before(edges[2 * first + 1] as number, start)) first++;
    let last = first;
    let from = start;
    let to = end;
    while (last < this.count && !before(end, edges[2 * last] as number)) {
      if (before(edges[2 * last] as number, from)) from = edges[2 * last] as number;
      if (before(to, edges[2 * last + 1] as number)) to = edges[2 * last + 1] as number;
      last++;
    }
    if (last === first) {
      if (this.count === MAX_RANGES) return false;
      edges.copyWithin(2 * first + 2, 2 * first, 2 * this.count);
      this.count++;
    } else if (last > first + 1) {
      edges.copyWithin(2 * first + 2, 2 * last, 2 * this.count);
      this.count -= last - first - 1;
    }
    edges[2 * first] = from;
    edges[2 * first + 1] = to;
    return true;
  }

  /** Forgets everything before `sequence`. */
  dropBefore(sequence: number): void {
    const { edges } = this;
    let gone = 0;
    while (gone < this.count && !before(sequence, edges[2 * gone + 1] as number)) gone++;
    if (gone > 0) {
      edges.copyWithin(0, 2 * gone, 2 * this.count);
      this.count -= gone;
    }
    if (this.count > 0 && before(edges[0] as number, sequence)) edges[0] = sequence;
  }

  /** Index of the range that holds `sequence`, -1 when none does. */
  indexOf(sequence: number): number {
    for (let i = 0; i < this.count; i++) {
      if (before(sequence, this.edges[2 * i] as number)) return -1;
      if (before(sequence, this.edges[2 * i + 1] as number)) return i;
    }
    return -1;
  }

  copyFrom(other: RangeSet): void {
    this.edges.set(other.edges);
    this.count = other.count;
  }
}
