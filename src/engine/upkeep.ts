/** What nobody tells a switch of has to be looked after: losses in the kernel, addresses of the host, guards taken away. */
import type { Logger } from '../telemetry/logger.ts';
import type { AttachedVms } from './attached-vms.ts';
import type { Captures } from './captures.ts';
import type { FastPaths } from './fast-paths.ts';
import type { Guards } from './guards.ts';
import type { NameService } from './name-service.ts';
import type { OutboundRules } from './outbound.ts';

/** How often, `ms` */
const UPKEEP_MS = 100;
/** Every how many of those times it looks at the guards */
const GUARD_ROUNDS = 20;
/** Every how many of those times it looks at the host's addresses */
const HOST_ADDRESS_ROUNDS = 50;

interface UpkeepParts {
  readonly vms: AttachedVms;
  readonly captures: Captures;
  readonly guards: Guards;
  readonly fastPaths: FastPaths;
  readonly names: NameService;
  readonly outbound: OutboundRules;
}

export class Upkeep {
  readonly #parts: UpkeepParts;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;
  #round = 0;

  constructor(parts: UpkeepParts, log: Logger) {
    this.#parts = parts;
    this.#log = log;
  }

  start(): void {
    this.#timer = setInterval(() => this.#keepUp(), UPKEEP_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #keepUp(): void {
    const { vms, captures, guards } = this.#parts;
    const round = this.#round++;
    vms.keepUp(round);
    captures.collect();
    if (round % HOST_ADDRESS_ROUNDS === 0) this.#followHost();
    if (round % GUARD_ROUNDS !== 0) return;
    guards.restore(() => [...vms].filter(({ plugged }) => plugged).map(({ vm }) => vm));
  }

  #followHost(): void {
    const { vms, names, outbound, fastPaths } = this.#parts;
    fastPaths.offload?.rest();
    names.follow().catch((error: unknown) => {
      this.#log.error({ err: error }, "the host's name servers could not be passed on");
    });
    if (outbound.follow(this.#log)) for (const port of vms) port.refreshPolicy();
  }
}
