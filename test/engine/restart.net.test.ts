import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { spawnIn } from '../../src/lab/process.ts';
import { addressOf, macOf, ping, Stage } from '../lib/engine-stage.ts';

let stage: Stage;

beforeEach(() => {
  stage = new Stage();
});

afterEach(() => stage.end());

const SERVER = `require('node:net').createServer((s) => s.pipe(s)).listen(7, () => console.log('up'))`;
const CLIENT = `
  const socket = require('node:net').connect(7, process.argv[1]);
  socket.pipe(process.stdout);
  process.stdin.pipe(socket);
  socket.on('error', (error) => console.log(error.code));
`;

/** A program in a namespace, spoken to line by line. */
function talkTo(namespace: string, script: string, ...words: string[]) {
  const child = spawnIn(namespace, [process.execPath, '-e', script, ...words], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  stage.atEnd(async () => {
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  return {
    say: (text: string) => child.stdin?.write(`${text}\n`),
    hear: async () => (await lines.next()).value,
  };
}

async function hostPort() {
  const [shown] = JSON.parse(await stage.run('ip', '-j', 'addr', 'show', stage.hostPort));
  const { ifindex, address, mtu, addr_info } = shown;
  return { ifindex, address, mtu, addresses: addr_info.map((info: { local: string }) => info.local) };
}

test.each(['configured', 'learned'])(
  '%s addresses: close and createSwitch -> host port the same, TCP goes on',
  async (kind) => {
    const guest = await stage.guest(11);
    const configured = kind === 'configured' ? { ip: addressOf(11), mac: macOf(11) } : {};
    const vm = { tap: 'vm11', netns: stage.host.path, ...configured };
    const first = await stage.start();
    await first.attach('a', vm);
    await ping(guest.namespace, '10.1.0.1', 1); // a guest speaks before it is spoken to, where nothing is configured
    const server = talkTo(guest.namespace, SERVER);
    expect(await server.hear()).toBe('up');
    const client = talkTo(stage.host.path, CLIENT, addressOf(11));
    client.say('before');
    expect(await client.hear()).toBe('before');
    const before = await hostPort();

    await first.close();
    client.say('while there is no switch');
    const second = await stage.start();
    await second.attach('a', vm);
    client.say('after');
    expect(await client.hear()).toBe('while there is no switch');
    expect(await client.hear()).toBe('after');
    expect(await hostPort()).toEqual(before);
    expect((await ping(stage.host.path, addressOf(11))).received).toBe(3);
  },
);

test('switch that is gone: -> host sees the carrier of its port go, and come back with the next one', async () => {
  const first = await stage.start();
  const carrier = () => stage.run('ip', '-o', 'link', 'show', stage.hostPort);
  expect(await carrier()).toContain('LOWER_UP');
  await first.close();
  expect(await carrier()).toContain('NO-CARRIER');
  await stage.start();
  expect(await carrier()).toContain('LOWER_UP');
});
