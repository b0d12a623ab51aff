/** A headless Chromium in a namespace, driven by the DevTools protocol: one page, what it shows, and what it runs. */
import type { ChildProcess } from 'node:child_process';
import { PNG } from 'pngjs';
import { WebSocket } from 'ws';
import { spawnIn } from '../../src/lab/process.ts';

const CHROMIUM = 'chromium';
const START_TIMEOUT_MS = 30_000;
/** No part of it may look beyond the loopback */
const OPTIONS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-port=0',
  '--window-size=1024,768',
];

interface Answer {
  readonly id?: number;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

export class Browser {
  readonly #child: ChildProcess;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #session: string | undefined;
  #sent = 0;

  private constructor(child: ChildProcess, socket: WebSocket) {
    this.#child = child;
    this.#socket = socket;
    socket.on('message', (data) => {
      const answer = JSON.parse(String(data)) as Answer;
      if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer);
    });
  }

  /**
   * Starts a browser with one page. The calling thread is in the same namespace.
   * @param directory for its profile
   * @param script run in every document before its own
   */
  static async start(namespace: string, directory: string, script: string): Promise<Browser> {
    const command = [CHROMIUM, ...OPTIONS, `--user-data-dir=${directory}`, 'about:blank'];
    const env = { ...process.env, HOME: directory };
    const child = spawnIn(namespace, command, { stdio: ['ignore', 'ignore', 'pipe'], env });
    const socket = new WebSocket(await devToolsOf(child));
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    const browser = new Browser(child, socket);
    const { targetId } = await browser.#call('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await browser.#call('Target.attachToTarget', { targetId, flatten: true });
    browser.#session = sessionId as string;
    await browser.#call('Page.enable', {});
    await browser.#call('Page.addScriptToEvaluateOnNewDocument', { source: script });
    return browser;
  }

  #call(method: string, params: object): Promise<Record<string, unknown>> {
    const id = ++this.#sent;
    const session = this.#session === undefined ? {} : { sessionId: this.#session };
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) => {
        this.#waiting.delete(id);
        if (result === undefined) reject(new Error(`${method}: ${error?.message}`));
        else resolve(result);
      });
      this.#socket.send(JSON.stringify({ id, method, params, ...session }));
    });
  }

  async open(url: string): Promise<void> {
    await this.#call('Page.navigate', { url });
  }

  /** Value of an expression in the page; a promise's once it is settled. */
  async evaluate(expression: string): Promise<unknown> {
    const options = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = (await this.#call('Runtime.evaluate', options)) as {
      result: { value?: unknown };
      exceptionDetails?: { text: string };
    };
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${exceptionDetails.text}`);
    return result.value;
  }

  /** Share of the page's pixels, 0 to 1, that have about that colour on a screenshot. */
  async shareOf(red: number, green: number, blue: number): Promise<number> {
    const { data } = await this.#call('Page.captureScreenshot', { format: 'png' });
    const { data: pixels } = PNG.sync.read(Buffer.from(data as string, 'base64'));
    let found = 0;
    for (let at = 0; at < pixels.length; at += 4) {
      const distance =
        Math.abs(pixels[at]! - red) + Math.abs(pixels[at + 1]! - green) + Math.abs(pixels[at + 2]! - blue);
      if (distance < 24) found++;
    }
    return found / (pixels.length / 4);
  }

  close(): void {
    this.#socket.terminate();
    // Its own children are in its group.
    if (this.#child.pid !== undefined && this.#child.exitCode === null)
      process.kill(-this.#child.pid, 'SIGKILL');
  }
}

/** Address of the DevTools, once Chromium says it. */
function devToolsOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const fail = (why: string) => reject(new Error(`${CHROMIUM} ${why}: ${said.slice(-500)}`));
    const timer = setTimeout(() => fail('is not ready in time'), START_TIMEOUT_MS);
    child.on('error', ({ message }) => fail(message));
    child.on('exit', () => fail('has ended'));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      const [, address] = /DevTools listening on (ws:\S+)/.exec(said) ?? [];
      if (address === undefined) return;
      clearTimeout(timer);
      resolve(address);
    });
  });
}
