/** The host's end of a guest's command channel; guest-init.ts describes the lines that go over it. */
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import type { Outcome } from './process.ts';

/** How much later than a command's own time-out the guest's answer may come, `ms`: an emulated guest is slow */
const ANSWER_GRACE_MS = 10_000;

interface Pending {
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

function decode(field = ''): string {
  return Buffer.from(field, 'base64').toString('utf8');
}

export class GuestShell {
  readonly #channel: Duplex;
  readonly #pending = new Map<string, Pending>();
  #lastId = 0;
  #ended: Error | undefined;

  constructor(channel: Duplex) {
    this.#channel = channel;
    createInterface({ input: channel }).on('line', (line) => this.#answered(line));
    channel.on('error', () => {}); // the guest's end is gone: `end` says so to whoever waits
  }

  /** Runs `command` in the guest's shell; status 137 when it took longer than `timeoutMs`. */
  run(command: string, timeoutMs: number): Promise<Outcome> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = String(++this.#lastId);
    return new Promise((resolve, reject) => {
      const late = () => this.#settle(id)?.reject(new Error(`the guest does not answer: ${command}`));
      const timer = setTimeout(late, timeoutMs + ANSWER_GRACE_MS);
      this.#pending.set(id, { resolve, reject, timer });
      this.#channel.write(
        `${id} ${Math.ceil(timeoutMs / 1000)} ${Buffer.from(command).toString('base64')}\n`,
      );
    });
  }

  /** Rejects what runs and all that is asked from now on. */
  end(reason: Error): void {
    this.#ended ??= reason;
    for (const id of [...this.#pending.keys()]) this.#settle(id)?.reject(reason);
    this.#channel.destroy();
  }

  #answered(line: string): void {
    const [id, status, stdout, stderr] = line.split(' ');
    this.#settle(id as string)?.resolve({
      status: Number(status),
      stdout: decode(stdout),
      stderr: decode(stderr),
    });
  }

  #settle(id: string): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(pending?.timer);
    return pending;
  }
}
