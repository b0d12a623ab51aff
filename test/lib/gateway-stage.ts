/**
 * A stage whose switch runs in the host's namespace, as it does in production: its listeners and the gateway's sockets
 * are where the test's own are. Peers are programs in one of the namespaces.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { NetworkInput } from 'tapswitch';
import { runIn, spawnIn } from '../../src/lab/process.ts';
import { enterNamespace } from '../../src/sys/netns.ts';
import { GATEWAY, Stage } from './engine-stage.ts';

const PEER = fileURLToPath(new URL('gateway-peer.mjs', import.meta.url));
/** Longest a client may take: a test's own time-out is what ends most of them */
const PATIENCE_MS = 120_000;

/** A server in a namespace. */
export interface Peer {
  readonly child: ChildProcess;
  /** Lines it has said after `up` */
  readonly said: string[];
  /** Ends it at once, by SIGKILL: its kernel resets or ends what it had open. */
  kill(): Promise<void>;
}

/** What became of one connection. */
export interface Probe {
  /** `heard TEXT`, an error's code, or `silence` */
  readonly result: string;
  readonly ms: number;
}

export class GatewayStage extends Stage {
  constructor() {
    super();
    this.atEnd(enterNamespace(this.host.path));
  }

  override network(changes: Partial<NetworkInput> = {}): NetworkInput {
    return { subnet: '10.1.0.0/24', gateway: GATEWAY, ...changes };
  }

  /** Starts a server of gateway-peer.mjs and waits until it listens. */
  async serve(namespace: string, role: string, ...words: (string | number)[]): Promise<Peer> {
    const child = spawnIn(namespace, [process.execPath, PEER, role, ...words.map(String)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const said: string[] = [];
    const ended = once(child, 'exit');
    const kill = async () => {
      child.kill('SIGKILL');
      await ended;
    };
    this.atEnd(kill);
    const output = child.stdout?.setEncoding('utf8');
    if (output === undefined) throw new Error('a peer without output');
    await Promise.race([
      new Promise<void>((resolve) => {
        output.on('data', (text: string) => {
          said.push(...text.split('\n').filter((line) => line !== ''));
          resolve();
        });
      }),
      ended.then(() => Promise.reject(new Error(`${role} ended before it listened`))),
    ]);
    said.shift();
    return { child, said, kill };
  }

  /** Runs a client of gateway-peer.mjs to its end: what it said. */
  async call(namespace: string, role: string, ...words: (string | number)[]): Promise<string> {
    const command = [process.execPath, PEER, role, ...words.map(String)];
    const { status, stdout, stderr } = await runIn(namespace, command, { timeoutMs: PATIENCE_MS });
    if (status !== 0) throw new Error(`${role} ${words.join(' ')}: status ${status}, ${stdout}${stderr}`);
    return stdout.trim();
  }

  /** One connection that says hello. */
  async probe(namespace: string, host: string, port: number, patienceMs = 5000): Promise<Probe> {
    return JSON.parse(await this.call(namespace, 'probe', host, port, patienceMs));
  }
}
