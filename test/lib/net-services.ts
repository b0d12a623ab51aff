/** Servers a test puts somewhere. */
import { once } from 'node:events';
import type { Cleanup } from './net-cleanup.ts';
import { kill, type Place } from './net-place.ts';

const WEB = `
  const ports = process.argv.slice(1).map(Number);
  let missing = ports.length;
  for (const port of ports) {
    require('node:http')
      .createServer((request, response) => response.end('this is ' + port))
      .listen(port, () => --missing === 0 && process.stdout.write('up\\n'));
  }
`;

async function startNode(place: Place, cleanup: Cleanup, script: string, words: readonly string[]) {
  const child = place.spawn([process.execPath, '-e', script, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanup.add(() => kill(child));
  const output = child.stdout?.setEncoding('utf8');
  if (output === undefined) throw new Error('server without output');
  const [first] = await Promise.race([once(output, 'data'), once(child, 'exit')]);
  if (!String(first).startsWith('up')) throw new Error(`the server ended with ${first}`);
  return { output, first: String(first) };
}

/** Serves a page that says `this is PORT` on every address of a place. */
export async function serveWeb(place: Place, cleanup: Cleanup, ...ports: number[]): Promise<void> {
  await startNode(place, cleanup, WEB, ports.map(String));
}

const BLOB = `
  const { createCipheriv, createHash } = require('node:crypto');
  const { Readable } = require('node:stream');
  const [port, mebibytes] = process.argv.slice(1).map(Number);
  function* blob() {
    const stream = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16));
    for (let i = 0; i < mebibytes; i++) yield stream.update(Buffer.alloc(1024 * 1024));
  }
  const hash = createHash('sha256');
  for (const part of blob()) hash.update(part);
  require('node:http')
    .createServer((request, response) => {
      Readable.from(blob()).on('error', () => {}).pipe(response);
    })
    .listen(port, () => process.stdout.write('up ' + hash.digest('hex') + '\\n'));
`;

/** Serves `mebibytes` of bytes that do not repeat. Returns their sha256, hexadecimal. */
export async function serveBlob(
  place: Place,
  cleanup: Cleanup,
  port: number,
  mebibytes: number,
): Promise<string> {
  const { first } = await startNode(place, cleanup, BLOB, [String(port), String(mebibytes)]);
  return first.replace('up ', '').trim();
}

const COLLECTOR = `
  let missing = 2;
  const hear = (message) => process.stdout.write(message + '\\n');
  const up = () => --missing === 0 && process.stdout.write('up\\n');
  const { createSocket } = require('node:dgram');
  createSocket('udp4').on('message', hear).bind(Number(process.argv[1]), up);
  createSocket({ type: 'udp6', ipv6Only: true }).on('message', hear).bind(Number(process.argv[1]), up);
`;

export const COLLECTOR_PORT = 9999;

/** Collects datagrams to COLLECTOR_PORT of every address of a place: what they say, each once. */
export async function collectDatagrams(place: Place, cleanup: Cleanup): Promise<Set<string>> {
  const heard = new Set<string>();
  let rest = '';
  const { output } = await startNode(place, cleanup, COLLECTOR, [String(COLLECTOR_PORT)]);
  output.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) heard.add(line);
  });
  return heard;
}
