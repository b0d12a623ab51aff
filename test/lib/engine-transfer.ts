/** Data from one namespace to another, compared at both ends. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { runIn, spawnIn } from '../../src/lab/process.ts';

const TCP_SINK = `
  const { createHash } = require('node:crypto');
  const server = require('node:net').createServer((socket) => {
    const hash = createHash('sha256');
    let bytes = 0;
    socket.on('data', (chunk) => { hash.update(chunk); bytes += chunk.length; });
    socket.on('end', () => { console.log(JSON.stringify({ bytes, sha256: hash.digest('hex') })); server.close(); });
  });
  server.listen(9, () => console.log('up'));
`;
const TCP_SOURCE = `
  const { createHash, randomBytes } = require('node:crypto');
  const [address, bytes] = process.argv.slice(1);
  const data = randomBytes(Number(bytes));
  require('node:net').connect(9, address).end(data);
  console.log(JSON.stringify({ bytes: data.length, sha256: createHash('sha256').update(data).digest('hex') }));
`;
const UDP_SINK = `
  const socket = require('node:dgram').createSocket('udp4');
  socket.on('message', (message, from) => socket.send(message, from.port, from.address));
  socket.bind(9, () => console.log('up'));
`;
const UDP_SOURCE = `
  const [address, count, longest] = process.argv.slice(1);
  const { randomBytes } = require('node:crypto');
  const socket = require('node:dgram').createSocket('udp4');
  const sent = Array.from({ length: Number(count) }, (_, i) => randomBytes(1 + Math.floor((i / count) * longest)));
  let same = 0;
  let next = 0;
  const send = () => socket.send(sent[next], 9, address);
  const end = () => { console.log(same); process.exit(); };
  socket.on('message', (message) => {
    if (sent[next].equals(message)) same++;
    if (++next === sent.length) end(); else send();
  });
  send();
  setTimeout(end, 10_000);
`;

/** Runs a server in one namespace and a client in another; answers what each said last. */
async function play(
  server: string,
  at: string,
  client: string,
  from: string,
  words: string[],
): Promise<[string, string]> {
  const child = spawnIn(at, [process.execPath, '-e', server], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
    await lines.next();
    const { stdout, stderr } = await runIn(from, [process.execPath, '-e', client, ...words]);
    if (stderr !== '') throw new Error(stderr);
    return [server === TCP_SINK ? (await lines.next()).value : '', stdout.trim()];
  } finally {
    const ended = once(child, 'close');
    if (child.kill('SIGKILL')) await ended;
  }
}

/** Sends random bytes over TCP; answers what was received and what was sent, length and hash of each. */
export async function transferTcp(from: string, to: string, address: string, bytes: number) {
  const [received, sent] = await play(TCP_SINK, to, TCP_SOURCE, from, [address, String(bytes)]);
  return { received: JSON.parse(received), sent: JSON.parse(sent) };
}

/** Has datagrams of 1 to `longest` bytes echoed one by one; answers how many came back as they were. */
export async function echoUdp(from: string, to: string, address: string, count: number, longest: number) {
  const [, same] = await play(UDP_SINK, to, UDP_SOURCE, from, [address, String(count), String(longest)]);
  return Number(same);
}

/** The kernel's counts of segments and datagrams with a wrong checksum in a namespace. */
export async function checksumErrors(namespace: string): Promise<number> {
  const { stdout } = await runIn(namespace, ['cat', '/proc/net/snmp']);
  let errors = 0;
  for (const protocol of ['Tcp', 'Udp', 'Icmp']) {
    const [names, values] = stdout.split('\n').filter((line) => line.startsWith(`${protocol}: `));
    const at = names?.split(' ').indexOf('InCsumErrors') ?? -1;
    errors += Number(values?.split(' ')[at] ?? 0);
  }
  return errors;
}
