/** VMs as a master-controller registers them: PUT, TAP opened as a VMM does, and the guest's first ARP request answered. */
import { closeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, createClient } from '../src/client/client.ts';
import { inNamespace } from '../src/sys/netns.ts';
import { createPersistentTap, openPersistentTap, removePersistentTap } from '../src/sys/tun.ts';
import { answered, arpRequest } from './arp.ts';

/** PUTs under way at a time */
const CONCURRENCY = 16;
const REQUEST_AGAIN_MS = 200;
/** Of a guest whose TAP is yet to be plugged in */
const REQUEST_SOON_AGAIN_MS = 2;
const GONE_POLL_MS = 5;
const PATIENCE_MS = 10_000;
/** 10.64.0.1 */
const GATEWAY = '0a400001';

const hex = (value: number, bytes: number): string => value.toString(16).padStart(2 * bytes, '0');

interface Timing {
  /** From PUT to its answer, ms */
  readonly put: number;
  /** From the TAP's opening to the answer to the guest's ARP request, ms */
  readonly arp: number;
}

export class VmWorld {
  /** Pattern of the TAPs that are plugged in when they appear */
  static readonly autoAttach = 'auto*';
  static readonly network = { subnet: '10.64.0.0/16', gateway: '10.64.0.1' };
  readonly #host: string;
  readonly #client: Client;
  readonly #taps = new Map<number, number>();

  /** @param host path of the namespace of the daemon, whose API is at `socket` */
  constructor(host: string, socket: string) {
    this.#host = host;
    this.#client = createClient({ socket });
  }

  /** Registers VMs of consecutive numbers, their TAPs held by nobody; several at a time. */
  async put(first: number, count: number): Promise<void> {
    await this.#each(first, count, (number) => this.#register(number));
  }

  /** The same, and each comes up: what each took. */
  async bringUp(first: number, count: number, concurrency = CONCURRENCY): Promise<Timing[]> {
    const timings: Timing[] = [];
    await this.#each(first, count, async (number) => timings.push(await this.#bringUp(number)), concurrency);
    return timings;
  }

  /**
   * A TAP appears that fits the pattern, held as by a VMM, and goes again: ms from its making to the answer to the guest's
   * ARP request.
   */
  async appear(number: number): Promise<number> {
    const { mac, ip } = this.#identity(number);
    const name = `auto${number}`;
    inNamespace(this.#host, () => createPersistentTap(name));
    const began = performance.now();
    const fd = inNamespace(this.#host, () => openPersistentTap(name));
    try {
      await answered(fd, arpRequest({ mac, ip }, GATEWAY), REQUEST_SOON_AGAIN_MS, name);
      return performance.now() - began;
    } finally {
      closeSync(fd);
      inNamespace(this.#host, () => removePersistentTap(name));
      await this.#gone(name);
    }
  }

  async #gone(id: string): Promise<void> {
    const began = performance.now();
    while (performance.now() - began < PATIENCE_MS) {
      const isThere = await this.#client.vm(id).then(
        () => true,
        ({ code }: { code?: string }) => code !== 'VM_UNKNOWN',
      );
      if (!isThere) return;
      await delay(GONE_POLL_MS);
    }
    throw new Error(`${id} is a VM still, without its TAP`);
  }

  /** Lets the TAPs go and removes the VMs. */
  async remove(first: number, count: number): Promise<void> {
    await this.#each(first, count, async (number) => {
      const fd = this.#taps.get(number);
      if (fd !== undefined) closeSync(fd);
      this.#taps.delete(number);
      await this.#client.deleteVm(`vm${number}`);
    });
  }

  async #each(
    first: number,
    count: number,
    work: (number: number) => Promise<unknown>,
    concurrency = CONCURRENCY,
  ) {
    let next = first;
    const worker = async () => {
      while (next < first + count) await work(next++);
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
  }

  async #register(number: number): Promise<void> {
    const { name, mac, ip } = this.#identity(number);
    const macText = mac.match(/../g)!.join(':');
    const ipText = [...Buffer.from(ip, 'hex')].join('.');
    const forwards = ['0:6080', '0:8080'];
    await this.#client.putVm(name, { tap: name, createTap: {}, mac: macText, ip: ipText, forwards });
  }

  #identity(number: number) {
    return { name: `vm${number}`, mac: `0600c0a8${hex(number, 2)}`, ip: `0a40${hex(number + 256, 2)}` };
  }

  async #bringUp(number: number): Promise<Timing> {
    const { name, mac, ip } = this.#identity(number);
    const started = performance.now();
    await this.#register(number);
    const there = performance.now();
    const fd = inNamespace(this.#host, () => openPersistentTap(name));
    this.#taps.set(number, fd);
    await answered(fd, arpRequest({ mac, ip }, GATEWAY), REQUEST_AGAIN_MS, name);
    return { put: there - started, arp: performance.now() - there };
  }
}
