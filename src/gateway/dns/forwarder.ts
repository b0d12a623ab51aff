/**
 * Questions that others may know the answer to: how many may be on their way, and which (see lookup.ts for one).
 * Beyond the bounds a question is answered with SERVFAIL at once, so that a guest which floods waits for itself.
 */
import * as dns from '../../wire/dns.ts';
import { Lookup, type LookupTools } from './lookup.ts';
import type { DnsClient, Query } from './query.ts';

/** Questions on their way, over all VMs: each has a socket. */
const MAX_LOOKUPS = 4096;
/** The same of one VM. */
const MAX_LOOKUPS_PER_VM = 256;
/** Those over TCP, over all VMs: each may hold an answer of 64 KB. */
const MAX_STREAM_LOOKUPS = 512;

export class DnsForwarder {
  readonly #tools: LookupTools;
  readonly #lookups = new Set<Lookup>();
  readonly #perVm = new Map<number, number>();
  #streams = 0;

  constructor(tools: LookupTools) {
    this.#tools = tools;
  }

  /** Questions on their way. */
  get size(): number {
    return this.#lookups.size;
  }

  /** Passes a question on; the client gets its answer within 6 seconds, or at once. */
  ask(client: DnsClient, query: Query): void {
    const { counts, replies } = this.#tools;
    const ofVm = this.#perVm.get(client.port) ?? 0;
    const isFull =
      this.#lookups.size >= MAX_LOOKUPS || (client.stream && this.#streams >= MAX_STREAM_LOOKUPS);
    if (isFull || ofVm >= MAX_LOOKUPS_PER_VM) {
      if (isFull) counts.refusedForAll++;
      else counts.refusedForVm++;
      client.reply(replies.failure(query, dns.RCODE_SERVFAIL));
      return;
    }
    const lookup = new Lookup(this.#tools, client, query, this.#remove);
    counts.forwarded++;
    this.#lookups.add(lookup);
    this.#perVm.set(client.port, ofVm + 1);
    if (client.stream) this.#streams++;
    lookup.start();
  }

  /** Ends all questions of a client, which gets no answers. */
  cancel(client: DnsClient): void {
    for (const lookup of this.#lookups) if (lookup.client === client) this.#drop(lookup);
  }

  /** Ends all questions of a VM. */
  forgetPort(port: number): void {
    for (const lookup of this.#lookups) if (lookup.client.port === port) this.#drop(lookup);
  }

  #drop(lookup: Lookup): void {
    lookup.cancel();
    this.#remove(lookup);
  }

  readonly #remove = (lookup: Lookup): void => {
    const { port, stream } = lookup.client;
    this.#lookups.delete(lookup);
    if (stream) this.#streams--;
    const left = (this.#perVm.get(port) as number) - 1;
    if (left === 0) this.#perVm.delete(port);
    else this.#perVm.set(port, left);
  };
}
