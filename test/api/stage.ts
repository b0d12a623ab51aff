/** The API with a fake plane, on a real unix socket and a real TCP port of loopback. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { type ApiOptions, startApi } from '../../src/api/server.ts';
import type { ApiConfig } from '../../src/config/service.ts';
import { FakePlane } from './fake-plane.ts';

export const TOKEN = 'sesame-0123456789abcdef';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any answer
  readonly json: any;
}

export interface Asking {
  readonly body?: unknown;
  readonly raw?: string | Buffer;
  readonly headers?: Record<string, string>;
}

export interface Stage {
  readonly plane: FakePlane;
  readonly socket: string;
  readonly port: number;
  readonly directory: string;
  readonly log: string[];
  ask(method: string, path: string, asking?: Asking): Promise<Answer>;
  askTcp(method: string, path: string, asking?: Asking): Promise<Answer>;
  close(): Promise<void>;
}

export function makeDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'tapswitch-api-'));
}

export function ask(
  where: { socketPath: string } | { host: string; port: number },
  method: string,
  path: string,
  { body, raw, headers = {} }: Asking = {},
): Promise<Answer> {
  const content = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const type = content === undefined ? {} : { 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const asked = request({ ...where, method, path, agent: false, headers: { ...type, ...headers } });
    asked.on('error', reject);
    asked.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => {
        const isJson = /json/.test(response.headers['content-type'] ?? '') && text !== '';
        const json = isJson ? JSON.parse(text) : undefined;
        resolve({ status: response.statusCode as number, headers: response.headers, text, json });
      });
    });
    asked.end(content);
  });
}

export async function startStage(
  config: Partial<ApiConfig> = {},
  options: Partial<ApiOptions> = {},
): Promise<Stage> {
  const directory = makeDirectory();
  const socket = join(directory, 'api.sock');
  const tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
  const plane = new FakePlane();
  const log: string[] = [];
  const api = await startApi({
    plane,
    config: {
      socket,
      listen: [{ host: '127.0.0.1', port: 0 }],
      tokenFile,
      hosts: ['box.example'],
      ...config,
    },
    log: pino({ level: 'trace' }, { write: (line) => log.push(line) }),
    version: '1.2.3',
    ...options,
  });
  const tcp = api.addresses.find((address) => address.startsWith('http://127.0.0.1'));
  const port = Number(tcp?.split(':')[2]);
  return {
    plane,
    socket,
    port,
    directory,
    log,
    ask: (method, path, asking) => ask({ socketPath: socket }, method, path, asking),
    askTcp: (method, path, asking) => ask({ host: '127.0.0.1', port }, method, path, asking),
    async close() {
      await api.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
