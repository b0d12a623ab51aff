/** Many TAPs, all held by this process as by VMMs: most are there and idle, some come up and go again. */
import { closeSync } from 'node:fs';
import { indexOf, withRoutes } from '../src/lab/netns-guest.ts';
import { inNamespace } from '../src/sys/netns.ts';
import type { LinkChanges } from '../src/sys/rtnetlink.ts';
import { openPersistentTap } from '../src/sys/tun.ts';
import { answered, arpRequest } from './arp.ts';

/** Often, since what is lost before the port is attached would be counted as its time */
const REQUEST_AGAIN_MS = 1;
/** 10.66.0.1 */
const GATEWAY = '0a420001';
/** The addresses below belong to gateway and guests */
const FIRST = 16;

const hex = (number: number): string => (number + FIRST).toString(16).padStart(4, '0');
const nameOf = (number: number): string => `idle${number}`;

/** A member as the switch's configuration has it. */
export function crowdVm(number: number) {
  const [high, low] = [hex(number).slice(0, 2), hex(number).slice(2)];
  const ip = `10.66.${Number.parseInt(high, 16)}.${Number.parseInt(low, 16)}`;
  return { tap: nameOf(number), mac: `06:00:0a:42:${high}:${low}`, ip };
}

export interface CrowdSetup {
  /** Members 0 to `present - 1` are there all the time */
  readonly present: number;
  /** So many more may come and go */
  readonly coming: number;
  /** What is done to a TAP to attach it, beside its being there: a bridge wants it enslaved */
  readonly attach: () => LinkChanges;
}

export class Crowd {
  readonly present: number;
  readonly coming: number;
  readonly #host: string;
  readonly #attach: () => LinkChanges;
  readonly #taps = new Map<number, number>();

  /** @param host path of the namespace the TAPs are in */
  constructor(host: string, { present, coming, attach }: CrowdSetup) {
    this.#host = host;
    this.present = present;
    this.coming = coming;
    this.#attach = attach;
  }

  /** Makes all TAPs, since a switch starts with none missing: those of members that come are to leave then. */
  arrive(): void {
    for (let number = 0; number < this.present + this.coming; number++) {
      this.#open(number);
      this.#up(number);
    }
  }

  /** Resolves once the gateway has answered each of those that stay. */
  async allAnswered(): Promise<void> {
    for (let number = 0; number < this.present; number++) await this.#answered(number);
  }

  /**
   * Those that come do, so many at a time.
   * @returns milliseconds of each, from its TAP's coming up to the gateway's answer to its ARP request
   */
  async come(concurrency: number): Promise<number[]> {
    const timings: number[] = [];
    let next = this.present;
    const one = async () => {
      while (next < this.present + this.coming) {
        const number = next++;
        this.#open(number);
        const began = performance.now();
        this.#up(number);
        await this.#answered(number);
        timings.push(performance.now() - began);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, one));
    return timings;
  }

  /** Those that came go again, their TAPs removed. */
  leave(): void {
    for (const [number, fd] of this.#taps) {
      if (number < this.present) continue;
      closeSync(fd);
      this.#taps.delete(number);
      withRoutes(this.#host, (routes) => routes.deleteLink(indexOf(routes, nameOf(number))));
    }
  }

  /** Lets every TAP go; they vanish with their namespace. */
  close(): void {
    for (const fd of this.#taps.values()) closeSync(fd);
    this.#taps.clear();
  }

  #open(number: number): void {
    const fd = inNamespace(this.#host, () => openPersistentTap(nameOf(number)));
    this.#taps.set(number, fd);
  }

  #up(number: number): void {
    withRoutes(this.#host, (routes) =>
      routes.changeLink(indexOf(routes, nameOf(number)), { ...this.#attach(), up: true }),
    );
  }

  #answered(number: number): Promise<void> {
    const sender = { mac: `06000a42${hex(number)}`, ip: `0a42${hex(number)}` };
    const fd = this.#taps.get(number)!;
    return answered(fd, arpRequest(sender, GATEWAY), REQUEST_AGAIN_MS, nameOf(number));
  }
}
