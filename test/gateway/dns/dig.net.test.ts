/** A real client asks the gateway's DNS: dig, by all its ways of asking. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NetnsGuest } from '../../../src/lab/netns-guest.ts';
import { runIn, spawnIn } from '../../../src/lab/process.ts';
import { addressOf, GATEWAY } from '../../lib/engine-stage.ts';
import { GatewayStage } from '../../lib/gateway-stage.ts';

const hasClient = spawnSync('dig', ['-v']).status === 0;

const SERVER = fileURLToPath(new URL('../../lib/net-dns-server.mjs', import.meta.url));
const GATEWAY6 = 'fd00:7::1';
const ADDRESS6 = 'fd00:7::2';
const OWN_NAME = 'vm-a.tapswitch.internal';
const RECORD = 'db.example';
const RECORD_ADDRESS = '203.0.113.9';

let stage: GatewayStage;
let guest: NetnsGuest;

beforeAll(async () => {
  stage = new GatewayStage();
  guest = await stage.guest(2);
  const command = ['ip', '-6', 'addr', 'add', `${ADDRESS6}/64`, 'dev', 'eth0', 'nodad'];
  expect((await runIn(guest.namespace, command)).status).toBe(0);
  const server = spawnIn(stage.host.path, [process.execPath, SERVER, '127.0.0.1=good'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  stage.atEnd(() => server.kill('SIGKILL'));
  await Promise.race([once(server.stdout as NodeJS.EventEmitter, 'data'), once(server, 'exit')]);
  expect(server.exitCode).toBeNull();
  const dns = { upstreams: ['127.0.0.1'], records: { [RECORD]: RECORD_ADDRESS } };
  const addresses = { subnet6: 'fd00:7::/64', gateway6: GATEWAY6 };
  const sw = await stage.start({ networks: { default: stage.network({ ...addresses, dns }) } });
  await sw.attach('vm-a', stage.vm(2, { ip6: ADDRESS6 }));
});

afterAll(() => stage.end());

interface Reply {
  readonly status: string;
  /** As dig writes them, e.g. `qr rd ra` */
  readonly flags: string;
  /** Size of UDP messages the answer says it can take, bytes; undefined without EDNS */
  readonly edns: number | undefined;
  /** Records of the answer, their data only */
  readonly data: readonly string[];
  /** Transport of the answer that was taken */
  readonly over: string;
  readonly output: string;
}

async function dig(...words: string[]): Promise<Reply> {
  const server = words.some((word) => word.startsWith('@')) ? [] : [`@${GATEWAY}`];
  const { status, stdout, stderr } = await runIn(guest.namespace, [
    'dig',
    '-r',
    '+tries=1',
    ...server,
    ...words,
  ]);
  if (status !== 0) throw new Error(`dig ${words.join(' ')}: ${status} ${stdout}${stderr}`);
  const field = (pattern: RegExp): string | undefined => pattern.exec(stdout)?.[1];
  const edns = field(/^; EDNS: .*udp: (\d+)$/m);
  const records = (field(/^;; ANSWER SECTION:\n((?:.+\n)*)/m) ?? '').split('\n').slice(0, -1);
  return {
    status: field(/status: (\w+)/) as string,
    flags: field(/^;; flags: ([a-z ]+);/m) as string,
    edns: edns === undefined ? undefined : Number(edns),
    data: records.map((line) => line.replace(/^\S+\s+\d+\s+IN\s+\S+\s+/, '')),
    over: field(/^;; SERVER: .*\((\w+)\)$/m) as string,
    output: stdout,
  };
}

const dug = test.skipIf(!hasClient);

dug.each([
  { words: [], over: 'UDP', edns: 1232 },
  { words: ['+tcp'], over: 'TCP', edns: 1232 },
  { words: ['+bufsize=512'], over: 'UDP', edns: 1232 },
  { words: ['+noedns'], over: 'UDP', edns: undefined },
  { words: ['+noedns', '+tcp'], over: 'TCP', edns: undefined },
  { words: [`@${GATEWAY6}`], over: 'UDP', edns: 1232 },
  { words: [`@${GATEWAY6}`, '+tcp'], over: 'TCP', edns: 1232 },
])('own name, its address, asked with $words -> answered, with EDNS where asked with it', async (asked) => {
  const answer = { status: 'NOERROR', flags: 'qr aa rd ra', edns: asked.edns, over: asked.over };
  expect(await dig(OWN_NAME, ...asked.words)).toMatchObject({ ...answer, data: [addressOf(2)] });
  expect(await dig('-x', addressOf(2), ...asked.words)).toMatchObject({ ...answer, data: [`${OWN_NAME}.`] });
});

dug('own name and address of IPv6 -> answered', async () => {
  expect((await dig(OWN_NAME, 'AAAA')).data).toEqual([ADDRESS6]);
  expect((await dig('-x', ADDRESS6)).data).toEqual([`${OWN_NAME}.`]);
});

dug("the gateway's name, a configured one, that of another VM -> addresses, and none", async () => {
  expect((await dig('gateway.tapswitch.internal')).data).toEqual([GATEWAY]);
  expect((await dig('gateway.tapswitch.internal', 'AAAA')).data).toEqual([GATEWAY6]);
  expect((await dig(RECORD)).data).toEqual([RECORD_ADDRESS]);
  expect((await dig('-x', RECORD_ADDRESS)).data).toEqual([`${RECORD}.`]);
  expect(await dig('vm-b.tapswitch.internal')).toMatchObject({ status: 'NXDOMAIN', data: [] });
});

dug.each([
  { words: [], over: 'UDP', said: '"edns 1232"' },
  { words: ['+tcp'], over: 'TCP', said: '"edns 1232"' },
  { words: ['+bufsize=4096'], over: 'UDP', said: '"edns 4096"' },
  { words: ['+noedns'], over: 'UDP', said: '"no edns"' },
  { words: [`@${GATEWAY6}`], over: 'UDP', said: '"edns 1232"' },
])('name of the world asked with $words -> asked likewise of the upstream, its answer', async (asked) => {
  const { status, flags, over, data } = await dig('name.example', 'TXT', ...asked.words);
  expect({ status, flags, over }).toEqual({ status: 'NOERROR', flags: 'qr rd ra', over: asked.over });
  const [role, transport, , , said] = (data[0] as string).split(/(?<=") (?=")/);
  expect([role, transport, said]).toEqual(['"good"', `"${asked.over.toLowerCase()}"`, asked.said]);
});

dug.each([GATEWAY, GATEWAY6])(
  'answer of 60,000 bytes, asked of %s: cut over UDP -> dig asks again over TCP, gets all of it',
  async (gateway) => {
    expect(await dig(`@${gateway}`, 'big.example', 'TXT', '+ignore')).toMatchObject({
      flags: 'qr tc rd ra',
      data: [],
      over: 'UDP',
    });
    const whole = await dig(`@${gateway}`, 'big.example', 'TXT');
    expect(whole.output).toContain('Truncated, retrying in TCP mode.');
    expect(whole).toMatchObject({ flags: 'qr rd ra', over: 'TCP' });
    expect(whole.data[0]?.replace(/[" ]/g, '')).toBe('x'.repeat(60_000));
  },
);

dug(
  'answer of 3,000 bytes by UDP, for which the guest has room -> cut by the gateway, whole over TCP',
  async () => {
    const words = ['wide.example', 'TXT', '+bufsize=4096'];
    expect(await dig(...words, '+ignore')).toMatchObject({ flags: 'qr tc rd ra', data: [], over: 'UDP' });
    const whole = await dig(...words);
    expect(whole.over).toBe('TCP');
    expect(whole.data[0]?.replace(/[" ]/g, '')).toBe('x'.repeat(3000));
  },
);

dug('two questions on one TCP connection -> both answered there', async () => {
  const { output } = await dig('+tcp', '+keepopen', OWN_NAME, 'name.example', 'TXT');
  expect(output.match(/status: NOERROR/g)).toHaveLength(2);
  expect(output).toContain(`IN\tA\t${addressOf(2)}`);
  expect(output).toContain('"good" "tcp"');
});

dug('what the gateway does not know: later EDNS, another opcode -> says so', async () => {
  expect((await dig(OWN_NAME, '+edns=1', '+noednsnegotiation')).status).toBe('BADVERS');
  expect((await dig(OWN_NAME, '+opcode=NOTIFY')).status).toBe('NOTIMP');
});
