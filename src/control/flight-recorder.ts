/** The last events of each VM, kept however long ago they were: the log of all forgets those of a quiet VM first. */
import type { Event } from '../resources/resources.ts';
import type { EventSource } from './contract.ts';

/** Events kept of one VM */
export const RECORDED_EVENTS = 64;

export class FlightRecorder {
  readonly #records = new Map<string, Event[]>();

  constructor(events: EventSource) {
    events.subscribe((event) => this.#note(event));
  }

  #note(event: Event): void {
    const { vm, type } = event;
    if (vm === undefined) return;
    // What is not registered any more cannot be asked about, and may never come back.
    if (type === 'vm-removed') {
      this.#records.delete(vm);
      return;
    }
    const record = this.#records.get(vm) ?? [];
    this.#records.set(vm, record);
    record.push(event);
    if (record.length > RECORDED_EVENTS) record.shift();
  }

  /** The last events of a VM, oldest first. */
  of(vm: string): Event[] {
    return [...(this.#records.get(vm) ?? [])];
  }
}
