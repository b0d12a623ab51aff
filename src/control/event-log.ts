/** The events of one run of the daemon: the newest are kept for those who come later or were away. */
import { randomUUID } from 'node:crypto';
import type { Event } from '../resources/resources.ts';
import type { EventSource } from './contract.ts';

/** Events kept */
export const KEPT_EVENTS = 4096;

/** What an event says beside when it was. */
export type EventContent = Omit<Event, 'sequence' | 'run' | 'time'>;

export class EventLog implements EventSource {
  readonly run: string = randomUUID();
  readonly #now: () => Date;
  readonly #listeners = new Set<(event: Event) => void>();
  readonly #kept: Event[] = [];
  #last = 0;

  constructor(now: () => Date = () => new Date()) {
    this.#now = now;
  }

  get last(): number {
    return this.#last;
  }

  add(content: EventContent): void {
    const event = { sequence: ++this.#last, run: this.run, time: this.#now().toISOString(), ...content };
    this.#kept.push(event);
    if (this.#kept.length > 2 * KEPT_EVENTS) this.#kept.splice(0, this.#kept.length - KEPT_EVENTS);
    for (const heard of this.#listeners) heard(event);
  }

  since(sequence: number): readonly Event[] {
    const first = Math.max(this.#kept.length - KEPT_EVENTS, this.#kept.length - (this.#last - sequence), 0);
    return this.#kept.slice(first);
  }

  subscribe(heard: (event: Event) => void): () => void {
    this.#listeners.add(heard);
    return () => this.#listeners.delete(heard);
  }
}
