/**
 * What was chosen for VMs, to be theirs again.
 *
 * Theory of operation. An address, a loopback identity, a host port follow from the VM's id, and go around what is
 * somebody's already: who else is there decides, and may have gone since. So whoever keeps VMs over a restart keeps
 * what was chosen for them, too, and says so before they are attached. Until a VM is, what is kept for it is given to
 * nobody else; once it is, what it has is its own anyhow, and nothing is kept.
 */
import { nowhere } from './fault.ts';
import { type PortForward, resolveForward } from './forwards.ts';
import { isSameIp, parseIp } from './ip.ts';
import type { Protocol } from './ports.ts';

/** What the switch chose for a VM. */
export interface Allocation {
  /** Its leased IPv4 address, `10.1.0.17`; none where one is configured */
  readonly leased?: string;
  /** Its loopback identity, `127.64.1.2` */
  readonly loopback: string;
  /** Its forwards from port 0 with the host port that was chosen: `127.0.0.1:25836:6080/tcp` */
  readonly forwards: readonly string[];
}

interface Kept {
  readonly lease: number | undefined;
  readonly loopback: number | undefined;
  readonly forwards: readonly PortForward[];
}

const ipv4Of = (text: string | undefined): number | undefined => {
  const words = text === undefined ? undefined : parseIp(text);
  return words && words[3] >>> 0;
};

const portKey = (port: number, protocol: Protocol) => `${port}/${protocol}`;

/** Things by the id of the VM they are kept for. */
class Owners<Thing> {
  readonly #owners = new Map<Thing, string>();

  set(thing: Thing | undefined, id: string): void {
    if (thing !== undefined) this.#owners.set(thing, id);
  }

  delete(thing: Thing | undefined, id: string): void {
    if (thing !== undefined && this.#owners.get(thing) === id) this.#owners.delete(thing);
  }

  isForAnother(thing: Thing, id: string): boolean {
    const owner = this.#owners.get(thing);
    return owner !== undefined && owner !== id;
  }
}

export class Allocations {
  readonly #kept = new Map<string, Kept>();
  readonly #leases = new Owners<number>();
  readonly #loopbacks = new Owners<number>();
  readonly #ports = new Owners<string>();

  /** Keeps what was chosen for a VM that is not attached, in place of what was kept for it before. */
  keep(id: string, { leased, loopback, forwards }: Allocation): void {
    this.drop(id);
    const kept: Kept = {
      lease: ipv4Of(leased),
      loopback: ipv4Of(loopback),
      forwards: forwards.flatMap((text) => resolveForward(text, nowhere, [])),
    };
    this.#kept.set(id, kept);
    this.#leases.set(kept.lease, id);
    this.#loopbacks.set(kept.loopback, id);
    for (const { host, protocol } of kept.forwards) {
      if (host.kind === 'ip') this.#ports.set(portKey(host.port, protocol), id);
    }
  }

  /** Keeps nothing for a VM any more. */
  drop(id: string): void {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    this.#kept.delete(id);
    this.#leases.delete(kept.lease, id);
    this.#loopbacks.delete(kept.loopback, id);
    for (const { host, protocol } of kept.forwards) {
      if (host.kind === 'ip') this.#ports.delete(portKey(host.port, protocol), id);
    }
  }

  /** Leased address (uint32) that is kept for the VM. */
  leaseOf(id: string): number | undefined {
    return this.#kept.get(id)?.lease;
  }

  /** Loopback identity (uint32) that is kept for the VM. */
  loopbackOf(id: string): number | undefined {
    return this.#kept.get(id)?.loopback;
  }

  /** Host ports that were chosen for forwards like this one of the VM, of which there may be several. */
  portsOf(id: string, { host, guestPort, protocol }: PortForward): number[] {
    const forwards = this.#kept.get(id)?.forwards ?? [];
    return forwards.flatMap((kept) => {
      if (kept.host.kind === 'unix' || host.kind === 'unix') return [];
      const leadsAlike = kept.guestPort === guestPort && kept.protocol === protocol;
      return leadsAlike && isSameIp(kept.host.address, host.address) ? [kept.host.port] : [];
    });
  }

  /** Whether a leased address (uint32) is kept for another VM than `id`. */
  isLeaseOfAnother(address: number, id: string): boolean {
    return this.#leases.isForAnother(address, id);
  }

  /** Whether a loopback identity (uint32) is kept for another VM than `id`. */
  isLoopbackOfAnother(address: number, id: string): boolean {
    return this.#loopbacks.isForAnother(address, id);
  }

  /** Whether a host port, of any address, is kept for another VM than `id`. */
  isPortOfAnother(port: number, protocol: Protocol, id: string): boolean {
    return this.#ports.isForAnother(portKey(port, protocol), id);
  }
}
