/**
 * What the daemon was asked for, on disk: the VMs that came by the API; and what was chosen for all VMs.
 *
 * Theory of operation. `state.json` is the state at some moment, replaced as a whole (written beside, synchronised,
 * renamed); `journal` has one line for each change since. A change is durable when the journal is synchronised; changes
 * that come while that is under way wait for the next time, together. A journal that has grown long becomes part of
 * `state.json`. After a crash the last line may be cut: it was never confirmed, and is left out. Everything else
 * that cannot be read is a fault that somebody has to look at. A write that failed may leave such a line before the
 * journal's end, so the next one replaces the state as a whole. A lock on the directory keeps a second daemon away.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { type FileHandle, open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TapswitchError } from '../errors.ts';
import type { Allocation } from '../index.ts';
import type { VmRequest } from '../resources/resources.ts';
import { lockFile } from '../sys/file-lock.ts';

/** Lines of the journal after which it becomes part of the state */
export const JOURNAL_LINES = 4096;
const VERSION = 1;

/** A VM as it was asked for. */
export interface StoredVm {
  readonly request: VmRequest;
  /** Forwards added since */
  readonly added: readonly (string | { readonly listen: string; readonly wait?: number })[];
  /** Those of its profile that were removed since */
  readonly without?: readonly string[];
  readonly generation: number;
  /** What was chosen for it when it was attached last */
  readonly allocation?: Allocation;
  /** Its TAP is ours: we made it */
  readonly ownsTap: boolean;
}

type Change =
  | { readonly put: string; readonly vm: StoredVm }
  | { readonly delete: string }
  | { readonly chosen: string; readonly allocation?: Allocation };

interface Waiting {
  readonly line: string;
  /** For when the change cannot be kept */
  readonly undo: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

function unreadable(path: string, cause: unknown): TapswitchError {
  return new TapswitchError(
    'STATE_UNREADABLE',
    `${path} cannot be read as the state of a daemon: ${(cause as Error).message}`,
    'Look at it; moved away, the daemon begins without VMs of the API.',
    cause,
  );
}

function unusable(directory: string, cause: unknown): TapswitchError {
  return new TapswitchError(
    'STATE_UNWRITABLE',
    `${directory} cannot be the directory of a daemon's state: ${(cause as Error).message}`,
    'Let the daemon write there, or give it a directory of its own by TAPSWITCH_STATE.',
    cause,
  );
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw unreadable(path, error);
  }
}

/** Sets or deletes what is at `id`; what undoes it. */
function change<Value>(map: Map<string, Value>, id: string, value: Value | undefined): () => void {
  const before = map.get(id);
  const set = (to: Value | undefined) => {
    if (to === undefined) map.delete(id);
    else map.set(id, to);
  };
  set(value);
  return () => set(before);
}

export class StateStore {
  readonly vms = new Map<string, StoredVm>();
  /** What was chosen for VMs that are there by the configuration, by their ids */
  readonly chosen = new Map<string, Allocation>();
  readonly #directory: string;
  readonly #unlock: () => void;
  readonly #waiting: Waiting[] = [];
  #journal: FileHandle | undefined;
  #lines = 0;
  #isTorn = false;
  #writing: Promise<void> | undefined;

  private constructor(directory: string, unlock: () => void) {
    this.#directory = directory;
    this.#unlock = unlock;
  }

  /**
   * Reads the state in a directory, made where it is missing, and locks it.
   * @throws TapswitchError STATE_IN_USE, STATE_UNREADABLE, STATE_UNWRITABLE
   */
  static async open(directory: string): Promise<StateStore> {
    let unlock: (() => void) | undefined;
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      unlock = lockFile(join(directory, 'lock'));
    } catch (error) {
      throw unusable(directory, error);
    }
    if (unlock === undefined) {
      throw new TapswitchError(
        'STATE_IN_USE',
        `${directory} is the state of another daemon that runs`,
        'Stop that one, or give this one a directory of its own by TAPSWITCH_STATE.',
      );
    }
    const store = new StateStore(directory, unlock);
    try {
      store.#read();
      await store.#compact();
    } catch (error) {
      unlock();
      throw error instanceof TapswitchError ? error : unusable(directory, error);
    }
    return store;
  }

  /** What was chosen for all VMs, by their ids. */
  allocations(): Map<string, Allocation> {
    const all = new Map(this.chosen);
    for (const [id, { allocation }] of this.vms) if (allocation !== undefined) all.set(id, allocation);
    return all;
  }

  get #statePath(): string {
    return join(this.#directory, 'state.json');
  }

  get #journalPath(): string {
    return join(this.#directory, 'journal');
  }

  #read(): void {
    const text = readIfThere(this.#statePath);
    try {
      const { version, vms, chosen = {} } = text === '' ? { version: VERSION, vms: {} } : JSON.parse(text);
      if (version !== VERSION) throw new Error(`its version is ${version}`);
      for (const [id, vm] of Object.entries(vms)) this.vms.set(id, vm as StoredVm);
      for (const [id, allocation] of Object.entries(chosen)) this.chosen.set(id, allocation as Allocation);
    } catch (error) {
      throw unreadable(this.#statePath, error);
    }
    const lines = readIfThere(this.#journalPath).split('\n');
    // What follows the last line's end is nothing, or a line that was cut.
    lines.pop();
    try {
      for (const line of lines) this.#apply(JSON.parse(line) as Change);
    } catch (error) {
      throw unreadable(this.#journalPath, error);
    }
  }

  /** What undoes it. */
  #apply(asked: Change): () => void {
    if ('chosen' in asked) return change(this.chosen, asked.chosen, asked.allocation);
    if ('put' in asked) return change(this.vms, asked.put, asked.vm);
    return change(this.vms, asked.delete, undefined);
  }

  /**
   * Keeps a VM. Durable once resolved; rejected with STATE_UNWRITABLE, it is what it was. Changes of one VM are made one
   * after another, by whoever calls.
   */
  put(id: string, vm: StoredVm): Promise<void> {
    return this.#change({ put: id, vm });
  }

  /** Forgets a VM. Durable once resolved. */
  delete(id: string): Promise<void> {
    return this.#change({ delete: id });
  }

  /** Keeps what was chosen for a VM of the configuration, or nothing any more. Durable once resolved. */
  choose(id: string, allocation: Allocation | undefined): Promise<void> {
    return this.#change({ chosen: id, ...(allocation && { allocation }) });
  }

  #change(asked: Change): Promise<void> {
    const undo = this.#apply(asked);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line: `${JSON.stringify(asked)}\n`, undo, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) await this.#writeTogether(this.#waiting.splice(0));
    // In one step with the look at what waits: who comes next begins again.
    this.#writing = undefined;
  }

  /** Makes changes durable, and says so, or why not; never throws. */
  async #writeTogether(together: readonly Waiting[]): Promise<void> {
    try {
      if (!this.#isTorn) await this.#append(together);
      if (this.#isTorn || this.#lines >= JOURNAL_LINES) await this.#compact();
      for (const { resolve } of together) resolve();
    } catch (error) {
      this.#isTorn = true;
      const message = `the state could not be written to ${this.#directory}: ${(error as Error).message}`;
      const failure = new TapswitchError('STATE_UNWRITABLE', message, 'Make room there.', error);
      for (const { undo } of together.toReversed()) undo();
      for (const { reject } of together) reject(failure);
    }
  }

  async #append(together: readonly Waiting[]): Promise<void> {
    this.#journal ??= await open(this.#journalPath, 'a', 0o600);
    await this.#journal.appendFile(together.map(({ line }) => line).join(''));
    await this.#journal.datasync();
    this.#lines += together.length;
  }

  /** Writes the state as it is now as a whole, and begins a journal anew. */
  async #compact(): Promise<void> {
    const beside = `${this.#statePath}.new`;
    const [vms, chosen] = [Object.fromEntries(this.vms), Object.fromEntries(this.chosen)];
    const text = JSON.stringify({ version: VERSION, vms, chosen });
    await writeFile(beside, text, { mode: 0o600, flush: true });
    await rename(beside, this.#statePath);
    await this.#syncDirectory();
    await this.#journal?.close();
    // What it has is in the state already: were it found again, it would change nothing.
    this.#journal = await open(this.#journalPath, 'w', 0o600);
    this.#lines = 0;
    this.#isTorn = false;
  }

  async #syncDirectory(): Promise<void> {
    const directory = await open(this.#directory, 'r');
    await directory.sync();
    await directory.close();
  }

  /** Lets the directory go. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#journal?.close();
    this.#unlock();
  }
}
