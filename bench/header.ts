/** What must be known of a run to judge its figures. */
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { ROOT, toolVersions } from './tools.ts';

export interface About {
  readonly bench: 'tapswitch';
  readonly version: string;
  /** UTC, ISO 8601 */
  readonly date: string;
  readonly machine: {
    readonly processor: string | undefined;
    readonly processors: number;
    readonly memoryGiB: number;
    readonly architecture: string;
    /** Load average of the last minute, before the run */
    readonly load: number;
  };
  readonly kernel: string;
  readonly node: string;
  readonly tools: Readonly<Record<string, string>>;
  readonly samples: number;
  /** Length of a bulk sample */
  readonly seconds: number;
}

/** @throws Error naming the Debian packages to install when a program is missing */
export function header(samples: number, seconds: number): About {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const processors = cpus();
  return {
    bench: 'tapswitch',
    version,
    date: new Date().toISOString(),
    machine: {
      processor: processors[0]?.model,
      processors: processors.length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      architecture: process.arch,
      load: Math.round(loadavg()[0]! * 100) / 100,
    },
    kernel: release(),
    node: process.version,
    tools: toolVersions(),
    samples,
    seconds,
  };
}
