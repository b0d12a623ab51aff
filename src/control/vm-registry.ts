/**
 * Which VMs there are, who asked for them, and how they come and go.
 *
 * Theory of operation. A VM of the API is in the store before it is at the switch when it is new, and leaves the store
 * first when it goes: a crash in between leaves what was confirmed, or asked for. What is attached when its TAP
 * appears is attached once: work on one VM is done in the order it was asked for.
 */
import { isDeepStrictEqual } from 'node:util';
import { DEFAULT_NETWORK, ID_RULE, isId } from '../config/names.ts';
import type { VmConfig } from '../config/resolve.ts';
import type { VmInput } from '../config/schema.ts';
import type { AutoAttachRule } from '../config/service.ts';
import type { Switch } from '../engine/switch.ts';
import { TapswitchError } from '../errors.ts';
import type { Logger, PortState } from '../index.ts';
import type { Forward, ForwardRequest, Generation, Vm, VmRequest } from '../resources/resources.ts';
import { Attacher } from './attacher.ts';
import { inputOf } from './configured.ts';
import type { EventLog } from './event-log.ts';
import { changeForwards, differInForwards } from './forward-changes.ts';
import { matches } from './glob.ts';
import type { Observer } from './observer.ts';
import { type OwnTaps, tapOf } from './own-taps.ts';
import type { PortDialer } from './port-dialer.ts';
import type { StateStore, StoredVm } from './state-store.ts';
import { storedWithout } from './stored-forwards.ts';
import type { VmFacts } from './views.ts';

interface Entry {
  readonly origin: Vm['origin'];
  /** Of the API: also in the store */
  stored: StoredVm | undefined;
  /** Of the configuration or a pattern: what was said of it */
  readonly input?: VmInput;
}

interface RegistryParts {
  readonly switch: Switch;
  readonly store: StateStore;
  readonly events: EventLog;
  readonly observer: Observer;
  readonly dialer: PortDialer;
  readonly taps: OwnTaps;
}

export class VmRegistry {
  readonly #parts: RegistryParts;
  readonly #log: Logger;
  readonly #entries = new Map<string, Entry>();
  /** Names of TAPs of our own namespace, and the VMs of the API they are for */
  readonly #byTap = new Map<string, string>();
  readonly #work = new Map<string, Promise<unknown>>();
  readonly #attacher: Attacher;

  constructor(parts: RegistryParts, log: Logger) {
    this.#parts = parts;
    this.#attacher = new Attacher(parts, log);
    this.#log = log;
  }

  #enter(id: string, entry: Entry): void {
    this.#leave(id);
    this.#entries.set(id, entry);
    const request = entry.stored?.request;
    if (request !== undefined && request.netns === undefined) this.#byTap.set(tapOf(id, request), id);
  }

  #leave(id: string): void {
    this.#attacher.clear(id);
    const request = this.#entries.get(id)?.stored?.request;
    if (request !== undefined && request.netns === undefined) this.#byTap.delete(tapOf(id, request));
    this.#entries.delete(id);
  }

  /** Does one thing after the other for each VM. */
  #inTurn<T>(id: string, step: () => Promise<T>): Promise<T> {
    const before = this.#work.get(id) ?? Promise.resolve();
    const work = before.then(step, step);
    this.#work.set(id, work);
    const done = () => {
      if (this.#work.get(id) === work) this.#work.delete(id);
    };
    work.then(done, done);
    return work;
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    while (this.#work.size > 0) await Promise.allSettled(this.#work.values());
  }

  // --- what is known --------------------------------------------------------------------------------------
  ids(): string[] {
    return [...this.#entries.keys()];
  }

  /** Throws VM_UNKNOWN. */
  known(id: string): void {
    if (this.#entries.has(id)) return;
    throw new TapswitchError('VM_UNKNOWN', `there is no VM ${id}`, 'GET /v1/vms lists those there are.');
  }

  requestOf(id: string): VmRequest | undefined {
    const entry = this.#entries.get(id);
    return entry?.stored?.request ?? entry?.input;
  }

  refusalOf(id: string): TapswitchError | undefined {
    return this.#attacher.refusalOf(id);
  }

  /** @param port undefined while the VM waits for its TAP */
  facts(id: string, port: PortState | undefined): VmFacts {
    const entry = this.#entries.get(id) as Entry;
    const request = this.requestOf(id);
    return {
      id,
      network: port?.network ?? request?.network ?? DEFAULT_NETWORK,
      tap: port?.interface ?? tapOf(id, request ?? {}),
      netns: request?.netns,
      profile: request?.profile,
      origin: entry.origin,
      generation: entry.stored?.generation ?? 0,
      mac: request?.mac,
      ip: request?.ip,
      ip6: request?.ip6,
      vmm: request?.vmm,
    };
  }

  // --- who asks -------------------------------------------------------------------------------------------
  /** Takes note of a VM of the configuration, which the switch has already. */
  adopt(vm: VmConfig): void {
    const { id } = vm;
    this.#enter(id, { origin: 'config', stored: undefined, input: inputOf(vm) });
    this.#attacher.store(id);
    this.#parts.events.add({ type: 'vm-added', vm: id });
  }

  /** Attaches the VMs of the state; one whose TAP is missing, or that cannot be had for another reason, stays known. */
  async restore(vms: ReadonlyMap<string, StoredVm>): Promise<void> {
    for (const [id, stored] of [...vms]) await this.#restore(id, stored);
  }

  async #restore(id: string, stored: StoredVm): Promise<void> {
    if (this.#entries.has(id)) {
      this.#log.warn({ vm: id }, 'VM of the API has the id of one in the configuration, and is left out');
      return;
    }
    this.#enter(id, { origin: 'api', stored });
    await this.#attacher.orWait(id, async () => {
      this.#attacher.makeTap(id, stored.request);
      await this.#attachAgain(id, stored);
    });
    this.#parts.events.add({ type: 'vm-added', vm: id });
  }

  async #attachAgain(id: string, stored: StoredVm): Promise<void> {
    const now = await this.#attacher.attachAgain(id, stored);
    (this.#entries.get(id) as Entry).stored = now;
  }

  /** Detaches the VMs of some networks, which stay known. */
  async suspend(networks: ReadonlySet<string>): Promise<void> {
    const detach = async (id: string) => {
      if (!this.#isAttached(id)) return;
      await this.#parts.switch.detach(id);
      this.#attacher.keep(id, this.#entries.get(id)?.stored);
    };
    const ids = [...networks].flatMap((network) => this.#parts.switch.vmsIn(network));
    await Promise.all(ids.map((id) => this.#inTurn(id, () => detach(id))));
  }

  /** Attaches what is known and not attached, the VMs of the configuration apart: the networks have changed. */
  async resume(): Promise<void> {
    const each = [...this.#entries].map(([id, entry]) => this.#inTurn(id, () => this.#resume(id, entry)));
    await Promise.all(each);
  }

  async #resume(id: string, { origin, stored, input }: Entry): Promise<void> {
    if (origin === 'config' || this.#isAttached(id)) return;
    const attach = () => this.#parts.switch.attach(id, input as VmInput);
    await this.#attacher.orWait(id, stored === undefined ? attach : () => this.#attachAgain(id, stored));
  }

  /** Ends a VM of the configuration. */
  async dropConfigured(id: string): Promise<void> {
    await this.#inTurn(id, () => this.#remove(id));
  }

  /** Makes the VM what `request` says. Whether it is new. */
  put(id: string, request: VmRequest): Promise<boolean> {
    if (!isId(id)) throw new TapswitchError('CONFIG_INVALID', `${id} is no id of a VM`, ID_RULE);
    return this.#inTurn(id, () => this.#put(id, request));
  }

  async #put(id: string, request: VmRequest): Promise<boolean> {
    const entry = this.#entries.get(id);
    if (entry !== undefined && entry.origin !== 'api') throw this.#configuredError(id, entry);
    const before = entry?.stored;
    const isAttached = this.#isAttached(id);
    const isAsAsked = before !== undefined && isAttached && before.without === undefined;
    if (isAsAsked && isDeepStrictEqual(before.request, request)) return false;
    if (isAsAsked && differInForwards(before.request, request)) return this.#putForwards(id, before, request);
    if (before !== undefined && isAttached) await this.#parts.switch.detach(id);
    const keepsTap = before !== undefined && tapOf(id, before.request) === tapOf(id, request);
    const madeTap = this.#attacher.makeTap(id, request);
    let stored: StoredVm = {
      request,
      added: before?.added ?? [],
      generation: before?.generation ?? 0,
      ownsTap: madeTap || (keepsTap && before.ownsTap),
      ...(before?.allocation && { allocation: before.allocation }),
    };
    try {
      stored = await this.#attacher.attach(id, stored);
      await this.#parts.store.put(id, stored);
    } catch (error) {
      await this.#putBack(id, before, madeTap ? request : undefined);
      throw error;
    }
    this.#enter(id, { origin: 'api', stored });
    if (before?.ownsTap && !keepsTap) this.#parts.taps.remove(tapOf(id, before.request));
    this.#parts.events.add({ type: before === undefined ? 'vm-added' : 'vm-changed', vm: id });
    return before === undefined;
  }

  /** Another VM only in its forwards: the others, and its flows, are not touched. */
  async #putForwards(id: string, before: StoredVm, request: VmRequest): Promise<false> {
    const { switch: made, store, events } = this.#parts;
    const [old = [], now = []] = [before.request.forwards, request.forwards];
    await changeForwards(made, id, old, now);
    const stored = { ...before, request, allocation: made.allocation(id) };
    await store.put(id, stored).catch(async (error: unknown) => {
      await changeForwards(made, id, now, old);
      throw error;
    });
    this.#enter(id, { origin: 'api', stored });
    events.add({ type: 'vm-changed', vm: id });
    return false;
  }

  /** What it was before is what stays. `madeTap`: the request whose TAP was made for it. */
  async #putBack(id: string, before: StoredVm | undefined, madeTap: VmRequest | undefined): Promise<void> {
    if (this.#isAttached(id)) await this.#parts.switch.detach(id);
    if (madeTap !== undefined) this.#parts.taps.remove(tapOf(id, madeTap));
    if (before !== undefined) await this.#attacher.attach(id, before).catch(() => {});
  }

  #configuredError(id: string, { origin }: Entry): TapswitchError {
    const by = origin === 'config' ? 'the configuration file' : 'a pattern of autoAttach';
    return new TapswitchError('VM_CONFIGURED', `VM ${id} is there by ${by}`, 'Change that, and reload.');
  }

  /** Removes TAPs that were made for VMs which are not there, since we were killed in between. */
  removeOrphans(): void {
    for (const tap of [...this.#parts.taps.names]) {
      const owner = this.#entries.get(this.#byTap.get(tap) ?? '');
      if (owner?.stored?.ownsTap !== true) this.#parts.taps.remove(tap);
    }
  }

  /** Ends what is kept for VMs that went while there was no daemon. */
  forgetOthers(): void {
    this.#attacher.forgetOthers(this.#entries);
  }

  /** Throws VM_UNKNOWN, VM_CONFIGURED. */
  async delete(id: string): Promise<void> {
    this.known(id);
    await this.#inTurn(id, async () => {
      this.known(id);
      const entry = this.#entries.get(id) as Entry;
      if (entry.origin !== 'api') throw this.#configuredError(id, entry);
      await this.#parts.store.delete(id);
      await this.#remove(id);
      if (entry.stored?.ownsTap) this.#parts.taps.remove(tapOf(id, entry.stored.request));
    });
  }

  async #remove(id: string): Promise<void> {
    const { events, observer, dialer } = this.#parts;
    this.#leave(id);
    if (this.#isAttached(id)) await this.#parts.switch.detach(id);
    this.#attacher.forget(id);
    observer.forget(id);
    dialer.forget(id);
    events.add({ type: 'vm-removed', vm: id });
  }

  /** An interface of our namespace is there, or has gone: VMs that wait for it, and patterns that fit. */
  linkSeen(name: string, present: boolean, rules: readonly AutoAttachRule[]): void {
    const waiting = this.#byTap.get(name);
    if (present && waiting !== undefined && !this.#isAttached(waiting)) this.#attachLate(waiting);
    const rule = rules.find(({ match }) => matches(match, name));
    if (!present) this.#removeGone(name);
    else if (rule !== undefined) this.#attachByRule(name, rule);
  }

  /** It may be on its way in, and is out of it again once that is done. */
  #removeGone(name: string): void {
    if (!this.#work.has(name) && !this.#entries.has(name)) return;
    this.#soon(name, async () => {
      if (this.#entries.get(name)?.origin === 'auto') await this.#remove(name);
    });
  }

  #isAttached(id: string): boolean {
    return this.#parts.switch.has(id);
  }

  #isInUse(name: string): boolean {
    const { vms, hostPorts } = this.#parts.switch.stats();
    return [...Object.values(vms), ...Object.values(hostPorts)].some((port) => port.interface === name);
  }

  #soon(id: string, step: () => Promise<void>): void {
    this.#inTurn(id, step).catch((error: unknown) => {
      this.#log.warn({ vm: id, err: (error as Error).message }, 'interface could not be followed');
    });
  }

  #attachLate(id: string): void {
    this.#soon(id, async () => {
      const stored = this.#entries.get(id)?.stored;
      if (stored !== undefined && !this.#isAttached(id)) await this.#attachAgain(id, stored);
    });
  }

  #attachByRule(name: string, { network, profile }: AutoAttachRule): void {
    const input: VmInput = { tap: name, network, ...(profile !== undefined && { profile }) };
    this.#soon(name, async () => {
      if (this.#entries.has(name) || this.#isInUse(name)) return;
      await this.#parts.switch.attach(name, input);
      this.#enter(name, { origin: 'auto', stored: undefined, input });
      this.#attacher.store(name);
      this.#parts.events.add({
        type: 'vm-added',
        vm: name,
        detail: 'its interface fits a pattern of autoAttach',
      });
    });
  }

  // --- forwards and generations ---------------------------------------------------------------------------
  async addForward(id: string, request: ForwardRequest): Promise<Forward[]> {
    this.known(id);
    return this.#inTurn(id, async () => {
      const states = await this.#parts.switch.addForward(id, request);
      await this.#changeStored(id, (stored) => ({ ...stored, added: [...stored.added, request] }));
      for (const { host, guestPort } of states) {
        this.#parts.events.add({ type: 'forward-added', vm: id, host, port: guestPort });
      }
      return states.map(({ identity = false, ...state }) => ({ ...state, identity }));
    });
  }

  async removeForward(id: string, spec: string, reset: boolean): Promise<void> {
    this.known(id);
    await this.#inTurn(id, async () => {
      const before = this.#parts.switch.forwards(id);
      const removed = await this.#parts.switch.removeForward(id, spec, { reset });
      const left = new Set(
        this.#parts.switch.forwards(id).map(({ host, protocol }) => `${protocol} ${host}`),
      );
      const gone = before.filter(
        ({ host, protocol, identity }) => !identity && !left.has(`${protocol} ${host}`),
      );
      await this.#changeStored(id, (stored) => storedWithout(stored, removed));
      for (const { host, guestPort } of gone) {
        this.#parts.events.add({ type: 'forward-removed', vm: id, host, port: guestPort });
      }
    });
  }

  async newGeneration(id: string): Promise<Generation> {
    this.known(id);
    return this.#inTurn(id, async () => {
      const reset = await this.#parts.switch.resetFlows(id);
      await this.#changeStored(id, (stored) => ({ ...stored, generation: stored.generation + 1 }));
      const generation = this.#entries.get(id)?.stored?.generation ?? 0;
      this.#parts.events.add({ type: 'generation', vm: id });
      return { generation, reset };
    });
  }

  async #changeStored(id: string, change: (stored: StoredVm) => StoredVm): Promise<void> {
    const entry = this.#entries.get(id);
    if (entry?.stored === undefined) return;
    const allocation = this.#isAttached(id) ? this.#parts.switch.allocation(id) : entry.stored.allocation;
    const changed = { ...change(entry.stored), ...(allocation && { allocation }) };
    await this.#parts.store.put(id, changed);
    entry.stored = changed;
  }
}
