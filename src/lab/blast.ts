/** TCP throughput between two namespaces with Node alone, so that it can be shown where iperf3 is not installed. */
import { once } from 'node:events';
import { spawnIn } from './process.ts';

const PORT = 5201;
const CHUNK_BYTES = 256 * 1024;

const RECEIVER = `
  const server = require('node:net').createServer((socket) => {
    let bytes = 0;
    let start;
    socket.on('data', (chunk) => { start ??= performance.now(); bytes += chunk.length; });
    socket.on('error', () => {});
    socket.on('close', () => {
      process.stdout.write(String((bytes * 8) / (performance.now() - start) / 1e6) + '\\n');
      server.close();
    });
  });
  server.listen(${PORT}, () => process.stdout.write('listening\\n'));
`;

const SENDER = `
  const [address, ms] = process.argv.slice(1);
  const chunk = Buffer.alloc(${CHUNK_BYTES});
  const socket = require('node:net').connect(${PORT}, address, () => {
    const send = () => { while (socket.write(chunk)); };
    socket.on('drain', send);
    send();
    setTimeout(() => socket.destroy(), Number(ms));
  });
`;

/**
 * Sends from one namespace to `address` in another for `ms` milliseconds.
 *
 * @returns what arrived, Gbit/s
 */
export async function blastTcp(from: string, to: string, address: string, ms: number): Promise<number> {
  const receiver = spawnIn(to, [process.execPath, '-e', RECEIVER], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const lines = receiver.stdout?.setEncoding('utf8');
    if (lines === undefined) throw new Error('receiver without output');
    await once(lines, 'data');
    const result = once(lines, 'data');
    const sender = spawnIn(from, [process.execPath, '-e', SENDER, address, String(ms)], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await once(sender, 'exit');
    const [text] = await result;
    return Number(text);
  } finally {
    receiver.kill('SIGKILL');
  }
}
