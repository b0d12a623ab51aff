import { expect, test, vi } from 'vitest';
import { CaptureSession } from '../../src/capture/session.ts';

function session() {
  const end = vi.fn(async () => {});
  const made = new CaptureSession({
    rings: [],
    lost: new SharedArrayBuffer(4),
    label: () => undefined,
    ports: [],
    names: () => [],
    filter: '',
    snaplen: 65_535,
    count: 10,
    durationMs: 60_000,
    end,
  });
  return { made, end };
}

async function read(made: CaptureSession): Promise<number> {
  let pieces = 0;
  for await (const _ of made) pieces++;
  return pieces;
}

test('stopped before anybody reads -> it ends in the workers at once, and once', () => {
  const { made, end } = session();
  made.stop();
  made.stop();
  expect(end).toHaveBeenCalledTimes(1);
});

test('stopped, then read -> a whole file, and it is not ended again', async () => {
  const { made, end } = session();
  made.stop();
  expect(await read(made)).toBeGreaterThan(0);
  expect(end).toHaveBeenCalledTimes(1);
});

test('a reader that leaves the loop -> it ends; stopped while it is read -> it ends when the reader comes to it', async () => {
  const left = session();
  for await (const _ of left.made) break;
  expect(left.end).toHaveBeenCalledTimes(1);
  const { made, end } = session();
  const reading = read(made);
  await vi.waitFor(() => expect(end).not.toHaveBeenCalled());
  made.stop();
  await reading;
  expect(end).toHaveBeenCalledTimes(1);
});
