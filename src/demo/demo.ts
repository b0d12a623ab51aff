/** The demo: builds its world, shows the lines, stays until asked to end, and leaves nothing behind. */

import type { Logger } from '../telemetry/logger.ts';
import { guestLines } from './checks.ts';
import type { DemoLine } from './line.ts';
import { throughputLine } from './throughput.ts';
import { chooseGuests, VMS, World } from './world.ts';

export interface DemoOptions {
  readonly mode: 'isolated' | 'shared';
  /** `auto`: QEMU where it can be had, else namespaces */
  readonly guests: 'auto' | 'qemu' | 'netns';
  readonly onHost: boolean;
  /** End after the lines instead of staying up */
  readonly once: boolean;
  /** Fewer and shorter throughput samples */
  readonly quick: boolean;
  readonly log: Logger;
  readonly onProgress: (message: string) => void;
  readonly onLine: (line: DemoLine) => void;
}

async function playIn(world: World, options: DemoOptions, ended: Promise<unknown>): Promise<boolean> {
  await world.build();
  let held = true;
  const show = (line: DemoLine) => {
    held &&= line.ok;
    options.onLine(line);
  };
  for await (const line of guestLines(world, options.mode)) show(line);
  options.onProgress('measuring throughput');
  const [samples, ms] = options.quick ? [1, 500] : [3, 1000];
  show(await throughputLine(world, samples, ms));
  if (options.once) return held;
  const forwards = VMS.flatMap(({ name }) => world.switch.forwards(name)).filter(({ identity }) => !identity);
  const urls = forwards.map(({ host, guestPort }) => `http://${host}/ (${guestPort})`);
  options.onProgress(`up until Ctrl-C; try curl on: ${urls.join(', ')}`);
  await ended;
  return held;
}

/**
 * Plays the demo. Resolves with whether every line held.
 *
 * @param ended settles when the demo is to end; it is cut short then wherever it is
 */
export async function playDemo(options: DemoOptions, ended: Promise<unknown>): Promise<boolean> {
  const choice =
    options.guests === 'auto' ? await chooseGuests(options.onProgress) : { guests: options.guests };
  if ('reason' in choice) options.onProgress(`namespaces play the guests: ${choice.reason}`);
  const world = new World({ ...options, guests: choice.guests });
  try {
    const cut = ended.then(() => false);
    return await Promise.race([playIn(world, options, ended), cut]);
  } finally {
    options.onProgress('cleaning up');
    await world.end();
  }
}
