/** A stage whose switch lets the kernel carry connections of bulk, with such connections. */
import { once } from 'node:events';
import type { Switch } from 'tapswitch';
import { expect, vi } from 'vitest';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { runIn, spawnIn } from '../../src/lab/process.ts';
import { BpfMap } from '../../src/sys/bpf.ts';
import { close } from '../../src/sys/libc.ts';
import { createNamespace } from '../../src/sys/netns.ts';
import { GatewayStage } from './gateway-stage.ts';

export const OUTSIDE = '203.0.113.2';
/** How long something may take on a machine that is busy */
export const PATIENCE = { timeout: 20_000, interval: 50 };
/** Longest the end of a connection may take to be heard of, `ms` */
const SOON_MS = 5000;

/** Whether the kernel lets us use BPF. */
export function bpfAllowed(): boolean {
  try {
    close(BpfMap.make(4, 4, 1).fd);
    return true;
  } catch {
    return false;
  }
}

/** A program that runs until it is ended, or ends. */
export interface Running {
  readonly child: ReturnType<typeof spawnIn>;
  /** What it said, once it has ended */
  readonly ended: Promise<string>;
}

export class OffloadStage extends GatewayStage {
  /** Starts a switch with one VM, `a`, whose connections are for the kernel unless told otherwise. */
  async startWithVm(options: Parameters<GatewayStage['start']>[0] = {}): Promise<Switch> {
    const sw = await this.start({ fastPath: 'auto', ...options });
    await sw.attach('a', this.vm(2, { forwards: ['15300:5300', '15301:5301'] }));
    return sw;
  }

  /** Makes a network beyond the host, with one host, {@link OUTSIDE}; the namespace of that. */
  plugOutside(): string {
    const outside = createNamespace();
    this.atEnd(() => outside.close());
    withRoutes(this.host.path, (routes) => {
      routes.createVeth('wan', 'eth0', outside.path);
      const index = indexOf(routes, 'wan');
      routes.changeLink(index, { up: true });
      routes.addAddress(index, '203.0.113.1/24');
    });
    withRoutes(outside.path, (routes) => {
      const index = indexOf(routes, 'eth0');
      routes.changeLink(index, { up: true });
      routes.addAddress(index, `${OUTSIDE}/24`);
    });
    return outside.path;
  }

  /** Runs a program until the end of the test, if it does not end before. */
  keep(namespace: string, command: string[]): Running {
    const child = spawnIn(namespace, command, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const output of [child.stdout, child.stderr]) {
      output?.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    }
    const ended = once(child, 'exit').then(() => said);
    this.atEnd(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    return { child, ended };
  }

  /** An endless stream through the first forward: from the host, or with `-R` from the guest. */
  async stream(
    sw: Switch,
    guest: string,
    ...options: string[]
  ): Promise<{ server: Running; client: Running }> {
    const server = this.keep(guest, ['iperf3', '-s', '-p', '5300']);
    await vi.waitFor(async () => {
      const { stdout } = await runIn(guest, ['ss', '-tlnH', 'sport', '=', ':5300']);
      expect(stdout).not.toBe('');
    }, PATIENCE);
    const command = ['iperf3', '-c', '127.0.0.1', '-p', '15300', '-t', '60', ...options];
    const client = this.keep(this.host.path, command);
    await whenOffloaded(sw);
    return { server, client };
  }
}

/** How many connections of a VM the kernel carries. */
export async function offloaded(sw: Switch, id = 'a'): Promise<number> {
  return (await sw.flows(id)).filter(({ state }) => state === 'offloaded').length;
}

/** Resolves when there is one at least. */
export async function whenOffloaded(sw: Switch, id = 'a'): Promise<void> {
  await vi.waitFor(async () => expect(await offloaded(sw, id)).toBeGreaterThan(0), PATIENCE);
}

/** Resolves when nothing is left of a VM's connections. */
export async function whenForgotten(sw: Switch, id = 'a'): Promise<void> {
  await vi.waitFor(async () => expect(await sw.flows(id)).toEqual([]), PATIENCE);
}

/** What a promise resolves with, if it does so soon. */
export async function soon<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('not soon')), SOON_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
