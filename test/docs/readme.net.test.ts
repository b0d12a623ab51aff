/** What the README says a user types, typed: its configuration, its commands, and its example of the client. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { withRoutes } from '../../src/lab/netns-guest.ts';
import { runIn, spawnIn } from '../../src/lab/process.ts';
import { createPersistentTap } from '../../src/sys/tun.ts';
import { COMMAND, scratch, startUp } from '../lib/engine-command.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';
import { bootOn } from '../lib/net-boot.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const WAIT = { timeout: 20_000, interval: 100 };

/** Blocks of code in a language that have a text in them. */
function block(language: string, having: string): string {
  const blocks = [...README.matchAll(/^```(\w+)\n(.*?)^```$/gms)];
  const found = blocks.filter(([, name, text]) => name === language && text?.includes(having));
  expect(found.length, `blocks of ${language} with ${having}`).toBe(1);
  return found[0]?.[2] as string;
}

let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let place: NodeJS.ProcessEnv;

beforeEach(async () => {
  stage = new GatewayStage();
  files = scratch();
  stage.atEnd(() => files.remove());
  createPersistentTap('fc-vm-02018');
  place = { TAPSWITCH_SOCKET: join(files.path, 'api.sock'), TAPSWITCH_STATE: join(files.path, 'state') };
  const config = parse(block('yaml', '# tapswitch.yaml'));
  const daemon = await startUp(stage.host.path, config, files, { env: place });
  expect(daemon.ready, daemon.log()).toBe('1\n');
  stage.atEnd(async () => {
    daemon.child.kill('SIGKILL');
    await daemon.ended;
  });
});

afterEach(() => stage.end());

/** A guest on a TAP that is there, with noVNC's and the agent's ports served. */
async function boot(tap: string, ip: string, mac?: string): Promise<void> {
  const addresses = { ip, prefix: 16, gateway: '192.168.0.1', ...(mac !== undefined && { mac }) };
  const guest = await bootOn(stage, tap, { ...addresses, services: true });
  await guest.ready();
}

const commandOf = (line: string) => [...COMMAND, ...line.split(/\s+/).slice(2)];
const envOf = () => ['env', ...Object.entries(place).map(([name, value]) => `${name}=${value}`)];

test('the commands of a running daemon, one after the other -> each does what it says', async () => {
  const lines = block('sh', 'tapswitch vm add').trim().split('\n');
  const [add, wait, follow] = lines as [string, string, string];
  expect(lines.every((line) => line.startsWith('npx tapswitch '))).toBe(true);
  const added = await runIn(stage.host.path, [...envOf(), ...commandOf(add)]);
  expect(added).toMatchObject({ status: 0 });
  const following = spawnIn(stage.host.path, [...envOf(), ...commandOf(follow)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  stage.atEnd(() => following.kill('SIGKILL'));
  let told = '';
  following.stdout?.setEncoding('utf8').on('data', (text: string) => {
    told += text;
  });
  await boot('fc-vm-02020', '192.168.0.16');
  expect(await runIn(stage.host.path, [...envOf(), ...commandOf(wait)])).toMatchObject({ status: 0 });
  await vi.waitFor(() => expect(told).toContain('port-reachable'), WAIT);
  const shown = await runIn(stage.host.path, [
    ...envOf(),
    ...COMMAND,
    'vm',
    'show',
    'vm-02020',
    '--output',
    'json',
  ]);
  const { forwards } = JSON.parse(shown.stdout);
  expect(forwards.map(({ guestPort }: { guestPort: number }) => guestPort)).toEqual(
    expect.arrayContaining([6080, 8080]),
  );
  const { host } = forwards.find(
    ({ guestPort, identity }: { guestPort: number; identity: boolean }) => guestPort === 8080 && identity,
  );
  expect((await fetch(`http://${host}/health`)).status).toBe(200);
});

test('the example of the client -> registers the VM and waits for it', async () => {
  const code = block('ts', "from 'tapswitch/client'");
  // Below the project, so that it finds the package by its name.
  const directory = join(ROOT, '.cache');
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `readme-${process.pid}.mjs`);
  writeFileSync(path, `${code}\nconsole.log(vm.tap);\n`);
  stage.atEnd(() => rmSync(path));
  const run = runIn(stage.host.path, [...envOf(), process.execPath, path], { timeoutMs: 60_000 });
  const there = () => withRoutes(stage.host.path, (routes) => routes.linkByName('fc-vm-02020'));
  await vi.waitFor(() => expect(there()).toBeDefined(), WAIT);
  await boot('fc-vm-02020', '192.168.0.16');
  expect(await run).toMatchObject({ status: 0, stdout: 'fc-vm-02020\n' });
});

test('what is typed when a VM does not answer -> says so, and a capture that opens', async () => {
  const lines = block('sh', 'tapswitch diagnose').replaceAll('npx tapswitch', COMMAND.join(' '));
  const run = (line: string) =>
    runIn(stage.host.path, [...envOf(), 'sh', '-c', `cd ${files.path} && ${line}`]);
  const [diagnose, ...others] = lines.trim().split('\n') as [string, ...string[]];
  const absent = await run(diagnose);
  expect(absent.stdout).toContain('VMM_ABSENT: No process holds its TAP.');
  expect(absent.status).toBe(69);
  await boot('fc-vm-02018', '192.168.0.14', '06:00:c0:a8:00:0e');
  await vi.waitFor(async () => expect((await run(diagnose)).stdout).toContain('HEALTHY: '), WAIT);
  for (const line of others) expect(await run(line), line).toMatchObject({ status: 0 });
  expect(readFileSync(join(files.path, 'vm.pcapng')).readUInt32LE(0)).toBe(0x0a0d0d0a);
});
