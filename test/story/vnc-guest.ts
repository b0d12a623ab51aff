/** What runs in the guest of the story: a screen of one colour, its VNC server, and noVNC with websockify before it. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { runIn, spawnIn } from '../../src/lab/process.ts';
import { inNamespace } from '../../src/sys/netns.ts';

const VNC = 5900;
const NOVNC = 6080;
const TIMEOUT_MS = 30_000;
/** TCP_LISTEN of linux/tcp_states.h, as /proc/net/tcp writes it */
const LISTEN = '0A';

export class VncGuest {
  readonly #namespace: string;
  readonly #programs: ChildProcess[] = [];
  #websockify: ChildProcess | undefined;

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  #start(command: readonly string[], fds: number): ChildProcess {
    const stdio = ['ignore', 'ignore', 'ignore', ...Array.from({ length: fds }, () => 'pipe' as const)];
    const child = spawnIn(this.#namespace, command, { stdio: stdio as never });
    this.#programs.push(child);
    return child;
  }

  /** @param colour as X11 takes it, e.g. `#2060c0` */
  async boot(colour: string): Promise<void> {
    const screen = ['-screen', '0', '640x480x24', '-nolisten', 'tcp', '-noreset', '-displayfd', '3'];
    const xvfb = this.#start(['Xvfb', ...screen], 1);
    const [number] = (await once(xvfb.stdio[3] as NodeJS.ReadableStream, 'data', {
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })) as [Buffer];
    const display = `:${number.toString().trim()}`;
    const { status, stderr } = await runIn(this.#namespace, [
      'env',
      `DISPLAY=${display}`,
      'xsetroot',
      '-solid',
      colour,
    ]);
    if (status !== 0) throw new Error(`xsetroot: ${stderr}`);
    const options = [
      '-display',
      display,
      '-rfbport',
      String(VNC),
      '-localhost',
      '-nopw',
      '-forever',
      '-shared',
    ];
    this.#start(['x11vnc', ...options, '-noshm', '-noxdamage', '-quiet'], 0);
    await this.#listens(VNC);
    await this.startWebsockify();
  }

  async startWebsockify(): Promise<void> {
    this.#websockify = this.#start(
      ['websockify', '--web', '/usr/share/novnc', String(NOVNC), `127.0.0.1:${VNC}`],
      0,
    );
    await this.#listens(NOVNC);
  }

  /** Ends websockify and what it has forked, as a crash would. */
  async killWebsockify(): Promise<void> {
    const child = this.#websockify as ChildProcess;
    const ended = once(child, 'exit');
    process.kill(-(child.pid as number), 'SIGKILL');
    await ended;
  }

  async #listens(port: number): Promise<void> {
    const entry = `:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 ${LISTEN} `;
    for (const began = Date.now(); Date.now() - began < TIMEOUT_MS; await delay(50)) {
      const sockets = inNamespace(this.#namespace, () => readFileSync('/proc/thread-self/net/tcp', 'utf8'));
      if (sockets.includes(entry)) return;
    }
    throw new Error(`nothing listens on ${port} in the guest`);
  }

  stop(): void {
    for (const { pid, exitCode, signalCode } of this.#programs) {
      if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGKILL');
    }
  }
}
