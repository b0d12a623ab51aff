/**
 * What all of this is for, with the parts its users have: a VM is registered before it boots, a browser opens its screen by
 * a link, and each thing that then fails on the way is told to the browser as documented (docs/guest-access.md).
 */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Client, createClient } from '../../src/client/client.ts';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { Browser } from '../lib/browser.ts';
import { type Daemon, scratch, startUp } from '../lib/engine-command.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';
import { bootOn } from '../lib/net-boot.ts';
import { VncGuest } from './vnc-guest.ts';

const WAIT = { timeout: 30_000, interval: 200 };
const ID = 'vm-02018';
const IP = '10.1.0.14';
const MAC = '06:00:0a:01:00:0e';
const COLOUR = '#2060c0';
/** noVNC is told where below its origin the WebSocket is, as the documentation says */
const PAGE = `/vnc.html?autoconnect=1&path=v1/vms/${ID}/http/6080/websockify`;
/** Notes every WebSocket that the page opens, and how it ends. */
const NOTE_CLOSES = `
  window.closes = [];
  window.WebSocket = new Proxy(WebSocket, {
    construct(target, words) {
      const socket = new target(...words);
      socket.addEventListener('close', ({ code, reason }) => window.closes.push({ code, reason }));
      return socket;
    },
  });
`;

let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let client: Client;

beforeEach(() => {
  stage = new GatewayStage();
  files = scratch();
  stage.atEnd(() => files.remove());
});

afterEach(() => stage.end());

async function up(): Promise<Daemon> {
  const socket = join(files.path, 'api.sock');
  client = createClient({ socket });
  const config = {
    networks: { default: stage.network() },
    guestAccess: { listen: '127.0.0.1:8081', domain: 'vms.localhost' },
  };
  const env = { TAPSWITCH_SOCKET: socket, TAPSWITCH_STATE: join(files.path, 'state') };
  const daemon = await startUp(stage.host.path, config, files, { env });
  stage.atEnd(async () => {
    daemon.child.kill('SIGKILL');
    await daemon.ended;
  });
  return daemon;
}

/** Boots the guest as a VMM does: takes the TAP that is there, and a kernel with an address is behind it. */
async function boot(tap: string): Promise<VncGuest> {
  const guest = await bootOn(stage, tap, { mac: MAC, ip: IP, prefix: 24, gateway: '10.1.0.1' });
  const vnc = new VncGuest(guest.namespace);
  stage.atEnd(() => vnc.stop());
  await vnc.boot(COLOUR);
  return vnc;
}

async function link(): Promise<string> {
  const { url } = await client.createLink(ID, { port: 6080, path: PAGE });
  return url;
}

/** The guest's screen is on the browser's. */
const seen = (browser: Browser) =>
  vi.waitFor(async () => expect(await browser.shareOf(0x20, 0x60, 0xc0)).toBeGreaterThan(0.1), WAIT);

const closes = (browser: Browser) => browser.evaluate('window.closes') as Promise<{ code: number }[]>;

/** Status and code of what the page would be answered now, without waiting for a VM that might boot. */
const answer = (browser: Browser) =>
  browser.evaluate(
    `fetch('vnc.html', { headers: { 'x-tapswitch-wait': '0' } }).then(async (it) => [it.status, it.ok ? '' : (await it.json()).code])`,
  ) as Promise<unknown>;

test('VM registered, booted, seen in a browser; websockify killed, TAP down, daemon restarted -> each as documented', async () => {
  const daemon = await up();
  const vm = await client.putVm(ID, { createTap: {}, mac: MAC, ip: IP, profile: 'browser-vm' });
  expect(vm).toMatchObject({
    state: 'down',
    firecracker: { boot_args: expect.stringContaining(`ip=${IP}`) },
  });
  const browser = await Browser.start(stage.host.path, join(files.path, 'profile'), NOTE_CLOSES);
  stage.atEnd(() => browser.close());

  // The page is asked for before anything in the VM could answer.
  const opened = browser.open(await link());
  const vnc = await boot(vm.tap);
  await client.wait(ID, 6080, { timeout: 30 });
  await opened;
  await seen(browser);
  expect(await closes(browser)).toEqual([]);

  await vnc.killWebsockify();
  await vi.waitFor(async () => expect(await closes(browser)).toMatchObject([{ code: 1011 }]), WAIT);
  expect(await answer(browser)).toEqual([502, 'PORT_REFUSED']);
  await vnc.startWebsockify();
  await browser.open(await link());
  await seen(browser);

  const setUp = (isUp: boolean) =>
    withRoutes(stage.host.path, (routes) => routes.changeLink(indexOf(routes, vm.tap), { up: isUp }));
  setUp(false);
  await vi.waitFor(async () => expect(await closes(browser)).toMatchObject([{ code: 1011 }]), WAIT);
  expect(await answer(browser)).toEqual([502, 'TAP_DOWN']);
  setUp(true);
  await browser.open(await link());
  await seen(browser);

  daemon.child.kill('SIGTERM');
  expect(await daemon.ended).toBe(0);
  expect(await closes(browser)).toMatchObject([{ code: 1001 }]);
  await up();
  expect(await answer(browser)).toEqual([401, 'UNAUTHORIZED']);
  await browser.open(await link());
  await seen(browser);
}, 180_000);
