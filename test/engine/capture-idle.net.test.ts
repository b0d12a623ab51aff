/** Without a capture its code is never run: seen by the coverage that the datapath's threads write when they end. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { GATEWAY, Stage } from '../lib/engine-stage.ts';

interface Coverage {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly {
      readonly functionName: string;
      readonly ranges: readonly { readonly count: number }[];
    }[];
  }[];
}

let stage: Stage;
let folder: string;

beforeEach(() => {
  stage = new Stage();
  folder = mkdtempSync(join(tmpdir(), 'tapswitch-coverage-'));
});

afterEach(async () => {
  rmSync(folder, { recursive: true });
  await stage.end();
});

/** Functions of the datapath's part of captures that ran while a guest was pinged from the switch's own thread. */
async function ranWhile(captures: boolean): Promise<string[]> {
  const guest = await stage.guest(11);
  const script = `
    import { execFileSync } from 'node:child_process';
    import { createSwitch } from '${join(process.cwd(), 'dist/index.js')}';
    const sw = await createSwitch(${JSON.stringify({ networks: { default: stage.network() } })});
    await sw.attach('a', ${JSON.stringify(stage.vm(11))});
    const capture = ${captures} ? await sw.capture() : undefined;
    execFileSync('nsenter', ['--net=${guest.namespace}', 'ping', '-c', '3', '-i', '0.05', '${GATEWAY}']);
    capture?.stop();
    if (capture) for await (const piece of capture);
    await sw.close();
  `;
  const env = { ...process.env, NODE_V8_COVERAGE: folder };
  execFileSync(process.execPath, ['--input-type=module', '-e', script], { env });
  const reports = readdirSync(folder).map(
    (name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Coverage,
  );
  const files = reports
    .flatMap(({ result }) => result)
    .filter(({ url }) => /\/capture\/(taps?|captured-port|filter\/frame)\.js$/.test(url));
  expect(files.length).toBeGreaterThan(0);
  return files.flatMap(({ functions }) =>
    functions
      .filter(({ functionName, ranges }) => functionName !== '' && (ranges[0]?.count ?? 0) > 0)
      .map(({ functionName }) => functionName),
  );
}

test('no capture -> none of its code runs for a frame', async () => {
  // A class's fields are set up as its file is loaded.
  expect((await ranWhile(false)).filter((name) => name !== '<static_initializer>')).toEqual([]);
});

test('the same with a capture -> it does', async () => {
  expect(await ranWhile(true)).toEqual(expect.arrayContaining(['received', 'sent', 'settle']));
});
