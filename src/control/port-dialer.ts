/**
 * How long a connection into a VM waits, and what it says when it waited in vain: a port that has answered since the
 * VM's carrier came is expected to answer at once; one that has not may belong to a VM that is booting.
 */
import type { Socket } from 'node:net';
import type { Switch } from '../engine/switch.ts';
import { TapswitchError } from '../errors.ts';
import type { DialOptions } from './contract.ts';

/** As long as a forward waits unless told, `ms` */
const BOOTING_MS = 30_000;
const BOOTED_MS = 1000;
/** What a VM that is still booting may be the cause of */
const BOOT_FAILURES: readonly string[] = ['TAP_DOWN', 'GUEST_SILENT', 'PORT_REFUSED'];

export class PortDialer {
  readonly #tell: (id: string, port: number) => void;
  readonly #reached = new Map<string, Set<number>>();

  /** @param tell called when a port of a VM has been reached for the first time since its carrier came */
  constructor(tell: (id: string, port: number) => void) {
    this.#tell = tell;
  }

  /** A connection to the port has been opened. */
  reached(id: string, port: number): void {
    const ports = this.#reached.get(id) ?? new Set();
    this.#reached.set(id, ports);
    if (ports.has(port)) return;
    ports.add(port);
    this.#tell(id, port);
  }

  /** What answered before may not be there any more. */
  forget(id: string): void {
    this.#reached.delete(id);
  }

  /** See ControlPlane.dial. */
  async dial(sw: Switch, id: string, port: number, { waitMs, signal }: DialOptions): Promise<Socket> {
    const hasAnswered = this.#reached.get(id)?.has(port) ?? false;
    const patience = waitMs ?? (hasAnswered ? BOOTED_MS : BOOTING_MS);
    try {
      return await sw.dial(id, port, { waitMs: patience, signal });
    } catch (error) {
      const isBooting = !hasAnswered && patience > 0;
      if (!isBooting || !(error instanceof TapswitchError) || !BOOT_FAILURES.includes(error.code))
        throw error;
      throw new TapswitchError(
        'VM_NOT_READY',
        `${error.message}, ${Math.round(patience / 1000)} s long`,
        error.nextStep,
        error,
      );
    }
  }
}
