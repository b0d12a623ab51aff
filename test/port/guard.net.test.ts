import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { applyGuard, detectGuard, type GuardKind, guarded, releaseGuard } from '../../src/port/guard.ts';
import { close } from '../../src/sys/libc.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { openPersistentTap } from '../../src/sys/tun.ts';
import {
  createScene,
  framesSeen,
  HOST_ADDRESSES,
  indexOf,
  joinGuest,
  mountPrivateBpffs,
  reachable,
  run,
  type Scene,
} from './guard-fixtures.ts';

const KINDS: GuardKind[] = mountPrivateBpffs() ? ['nftables', 'tcx'] : ['nftables'];
const NAME = 'fc-vm-1';

let scene: Scene;
const closers: (() => void)[] = [];

beforeEach(() => {
  scene = createScene(NAME);
});

afterEach(() => {
  for (const kind of KINDS) {
    const names = guarded(kind, scene.host.path);
    releaseGuard(kind, names.map(target));
  }
  for (const end of closers.splice(0)) end();
  scene.close();
});

const target = (interfaceName: string) => ({ namespace: scene.host.path, interfaceName });
const ruleset = () => run(scene.host, 'nft', 'list', 'ruleset');
const ping = () => reachable(scene, ['10.77.0.1']);

test('detectGuard: a namespace without anything -> nftables, and nothing is left behind', () => {
  expect(detectGuard(scene.host.path)).toBe('nftables');
  expect(ruleset()).toBe('');
  expect(ping()).toHaveLength(1);
});

describe.each(KINDS)('%s', (kind) => {
  const apply = (...names: string[]) => applyGuard(kind, names.map(target));
  const release = (...names: string[]) => releaseGuard(kind, names.map(target));
  const listed = () => guarded(kind, scene.host.path).sort();

  test('guard set: no host address answers the guest, a packet socket still sees its frames; released: all answer', () => {
    expect(reachable(scene)).toEqual(HOST_ADDRESSES);
    apply(NAME);
    expect(listed()).toEqual([NAME]);
    let answered: string[] = [];
    const seen = framesSeen(scene, NAME, () => {
      answered = reachable(scene);
    });
    expect(answered).toEqual([]);
    expect(seen).toBeGreaterThanOrEqual(HOST_ADDRESSES.length);
    release(NAME);
    expect(listed()).toEqual([]);
    expect(reachable(scene)).toEqual(HOST_ADDRESSES);
  });

  test('another interface of the host is guarded: this one is not touched', () => {
    scene.route.createVeth('a', 'b');
    apply('a');
    expect(listed()).toEqual(['a']);
    expect(reachable(scene)).toEqual(HOST_ADDRESSES);
  });

  test('set twice, released twice: as once', () => {
    apply(NAME);
    apply(NAME, NAME);
    expect(listed()).toEqual([NAME]);
    expect(ping()).toEqual([]);
    release(NAME, NAME);
    release(NAME);
    expect(ping()).toHaveLength(1);
    expect(ruleset()).toBe('');
  });

  test('released: one of two stays guarded; the last takes everything along', () => {
    scene.route.createVeth('a', 'b');
    apply('a', 'b', NAME);
    release('a', 'b');
    expect(listed()).toEqual([NAME]);
    expect(ping()).toEqual([]);
    release(NAME);
    expect(ruleset()).toBe('');
    if (kind === 'tcx') expect(readdirSync('/sys/fs/bpf/tapswitch')).toEqual([]);
  });

  test('the interface goes and comes back: set again, it is guarded; released meanwhile, nothing is left', () => {
    apply(NAME);
    scene.route.deleteLink(indexOf(scene.route, NAME));
    joinGuest(scene, NAME);
    apply(NAME);
    expect(listed()).toEqual([NAME]);
    expect(ping()).toEqual([]);
    scene.route.deleteLink(indexOf(scene.route, NAME));
    release(NAME);
    joinGuest(scene, NAME);
    expect(listed()).toEqual([]);
    expect(ping()).toHaveLength(1);
    expect(ruleset()).toBe('');
  });

  test('enslaved to a bridge: the bridge, and so the host, sees nothing either', () => {
    const { route } = scene;
    route.createBridge('br0');
    const bridge = indexOf(route, 'br0');
    const index = indexOf(route, NAME);
    route.removeAddress(index, '10.77.0.1/24');
    route.changeLink(index, { master: bridge });
    route.changeLink(bridge, { up: true });
    route.addAddress(bridge, '10.77.0.1/24');
    expect(ping()).toHaveLength(1);
    apply(NAME);
    expect(ping()).toEqual([]);
  });

  test('any characters a name can have', () => {
    const names = ['a"b;{}#', 'v.1', '.x', '-f', '=2e=', 'ü*', 'fifteen-letters'];
    for (const [i, name] of names.entries()) scene.route.createVeth(name, `peer${i}`);
    apply(...names);
    expect(listed()).toEqual([...names].sort());
    release(...names);
    expect(listed()).toEqual([]);
  });

  test('an interface is missing: TAP_MISSING, and nothing was done', () => {
    expect(() => apply(NAME, 'nothere')).toThrow(expect.objectContaining({ code: 'TAP_MISSING' }));
    expect(listed()).toEqual([]);
    expect(ruleset()).toBe('');
    release('nothere');
  });

  test('the namespace is missing: NAMESPACE_MISSING; to release there is fine', () => {
    const nowhere = [{ namespace: '/run/netns/nothere', interfaceName: NAME }];
    expect(() => applyGuard(kind, nowhere)).toThrow(expect.objectContaining({ code: 'NAMESPACE_MISSING' }));
    releaseGuard(kind, nowhere);
  });

  test('targets in two namespaces: both guarded by one call', () => {
    const other = createScene(NAME);
    closers.push(() => other.close());
    const targets = [target(NAME), { namespace: other.host.path, interfaceName: NAME }];
    applyGuard(kind, targets);
    expect(ping()).toEqual([]);
    expect(reachable(other, ['10.77.0.1'])).toEqual([]);
    releaseGuard(kind, targets);
    expect(reachable(other, ['10.77.0.1'])).toHaveLength(1);
  });

  test('the process that set it is killed with SIGKILL: the guard holds', async () => {
    await inChild(
      `guard.applyGuard('${kind}', [{ namespace: '${scene.host.path}', interfaceName: '${NAME}' }]);`,
      async (child, said) => {
        expect(await said()).toBe('done');
        child.kill('SIGKILL');
        await once(child, 'exit');
        expect(child.signalCode).toBe('SIGKILL');
      },
    );
    expect(listed()).toEqual([NAME]);
    expect(ping()).toEqual([]);
    release(NAME);
    expect(ping()).toHaveLength(1);
  });
});

test('nftables: 200 interfaces in one transaction, each of them guarded', () => {
  const names = Array.from({ length: 200 }, (_, i) => `tap${i}`);
  for (const [i, name] of names.entries()) scene.route.createVeth(name, `peer${i}`);
  applyGuard('nftables', [...names, NAME].map(target));
  expect(new Set(guarded('nftables', scene.host.path))).toEqual(new Set([...names, NAME]));
  expect(ping()).toEqual([]);
  releaseGuard('nftables', names.map(target));
  expect(guarded('nftables', scene.host.path)).toEqual([NAME]);
});

test('nftables: a chain of that name bound to another interface -> replaced', () => {
  scene.route.createVeth('other', 'peer');
  const hook = 'type filter hook ingress device "other" priority -300; policy drop;';
  run(scene.host, 'nft', 'add', 'table', 'netdev', 'tapswitch');
  run(scene.host, 'nft', 'add', 'chain', 'netdev', 'tapswitch', NAME, `{ ${hook} }`);
  expect(guarded('nftables', scene.host.path)).toEqual(['other']);
  applyGuard('nftables', [target(NAME)]);
  expect(guarded('nftables', scene.host.path)).toEqual([NAME]);
  expect(ping()).toEqual([]);
});

test('nftables: the ruleset is flushed by someone else -> set again, it is guarded', () => {
  applyGuard('nftables', [target(NAME)]);
  run(scene.host, 'nft', 'flush', 'ruleset');
  expect(guarded('nftables', scene.host.path)).toEqual([]);
  releaseGuard('nftables', [target(NAME)]);
  applyGuard('nftables', [target(NAME)]);
  expect(ping()).toEqual([]);
});

test('nftables on a TAP: a frame its holder writes is not answered; without the guard it is', () => {
  const fd = inNamespace(scene.host.path, () => openPersistentTap('tap0'));
  closers.push(() => close(fd));
  const index = indexOf(scene.route, 'tap0');
  scene.route.changeLink(index, { addrGenMode: 'none', up: true });
  scene.route.addAddress(index, '10.79.0.1/24');
  applyGuard('nftables', [target('tap0')]);
  writeSync(fd, arpRequest());
  expect(framesRead(fd)).toBe(0);
  releaseGuard('nftables', [target('tap0')]);
  writeSync(fd, arpRequest());
  expect(framesRead(fd)).toBe(1);
});

test('nftables in a user namespace: found, set and in force', async () => {
  const work = `
    import { execFileSync } from 'node:child_process';
    const { route, guest, host, ...scene } = fixtures.createScene('${NAME}');
    const whole = { route, guest, host, ...scene };
    const targets = [{ namespace: host.path, interfaceName: '${NAME}' }];
    const kind = guard.detectGuard(host.path);
    const before = fixtures.reachable(whole).length;
    guard.applyGuard(kind, targets);
    const during = fixtures.reachable(whole).length;
    guard.releaseGuard(kind, targets);
    console.log(JSON.stringify({ kind, before, during, after: fixtures.reachable(whole).length }));`;
  await inChild(
    work,
    async (_, said) => {
      const all = HOST_ADDRESSES.length;
      expect(JSON.parse(await said())).toEqual({ kind: 'nftables', before: all, during: 0, after: all });
    },
    ['unshare', '-Urn', '--'],
  );
});

test('without any capability: no kind of guard is found', async () => {
  await inChild(
    'console.log(String(guard.detectGuard()));',
    async (_, said) => expect(await said()).toBe('undefined'),
    ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--'],
  );
});

/** Virtio-net header and the question for 10.79.0.1 from 10.79.0.2 */
function arpRequest(): Buffer {
  return Buffer.from(
    `${'00'.repeat(10)} ffffffffffff 02000000002a 0806 0001 0800 06 04 0001 02000000002a 0a4f0002 000000000000 0a4f0001`.replaceAll(
      ' ',
      '',
    ),
    'hex',
  );
}

function framesRead(fd: number): number {
  const frame = Buffer.alloc(2048);
  let frames = 0;
  try {
    while (readSync(fd, frame) > 0) frames++;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
  return frames;
}

/** Runs lines of a module, with `guard` and `fixtures` at hand, in a process that then waits for its end. */
async function inChild(
  work: string,
  test: (child: ChildProcess, said: () => Promise<string>) => Promise<void>,
  wrapper: readonly string[] = [],
): Promise<void> {
  const script = `
    import { runnerImport } from 'vite';
    const load = async (path) => (await runnerImport(path, { configFile: false, logLevel: 'silent' })).module;
    const guard = await load('./src/port/guard.ts');
    const fixtures = await load('./test/port/guard-fixtures.ts');
    ${work}
    console.log('done');
    setInterval(() => {}, 1000);`;
  const [program = '', ...words] = [...wrapper, process.execPath, '--input-type=module', '--eval', script];
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  try {
    await test(child, async () => String((await lines.next()).value));
  } finally {
    child.kill('SIGKILL');
  }
}
