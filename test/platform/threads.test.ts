/** What is taken for granted of koffi, worker threads and the ends of processes. */
import { spawnSync } from 'node:child_process';
import { afterAll, expect, test } from 'vitest';
import { clearEventfd, openEventfd } from '../../src/sys/eventfd.ts';
import { close, read, write } from '../../src/sys/libc.ts';
import { mapMemory, unmapMemory } from '../../src/sys/memory.ts';
import { DIST, scratch } from '../lib/engine-command.ts';

const SLEEP_MS = 400;

const files = scratch();

afterAll(() => files.remove());

const IMPORTS = `
  import { readlinkSync } from 'node:fs';
  import { parentPort, Worker, workerData } from 'node:worker_threads';
  import { EPOLLIN, Epoll, openEpoll } from '${DIST}sys/epoll.js';
  import { clearEventfd, openEventfd, signalEventfd } from '${DIST}sys/eventfd.js';
`;

/** Runs a program of two threads, both with the calls of sys in reach; `start(data)` in `main` starts `worker`. */
function runThreads(main: string, worker: string) {
  const file = files.file('worker.mjs', IMPORTS + worker);
  const start = `const start = (workerData) => new Worker('${file}', { workerData });`;
  const program = files.file('main.mjs', IMPORTS + start + main);
  const begun = performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, [program], {
    encoding: 'utf8',
    timeout: 15_000,
  });
  return { status, stdout: stdout.trim(), stderr, ms: performance.now() - begun };
}

test('memory mapped and viewed through koffi: -> what the kernel writes is read, what is written the kernel takes', () => {
  const memory = mapMemory(4096);
  const fd = openEventfd();
  memory.view.setBigUint64(0, 42n, true);
  expect(write(fd, memory.address, 8)).toBe(8);
  expect(read(fd, memory.address + 16, 8)).toBe(8);
  expect(memory.view.getBigUint64(16, true)).toBe(42n);
  clearEventfd(fd);
  close(fd);
  unmapMemory(memory);
});

test('worker asleep in epoll_wait: eventfd signalled by another thread -> awake at once', () => {
  const { stdout, stderr } = runThreads(
    `const fd = openEventfd();
    const worker = start(fd);
    worker.on('message', (message) => {
      if (message === 'asleep soon') setTimeout(() => { worker.began = performance.now(); signalEventfd(fd); }, 200);
      else console.log(message, performance.now() - worker.began < 100);
    });`,
    `const epoll = new Epoll(openEpoll(), 1);
    epoll.add(workerData, EPOLLIN, 5);
    parentPort.postMessage('asleep soon');
    const ready = epoll.wait(10_000);
    clearEventfd(workerData);
    parentPort.postMessage('woken ' + ready + ' ' + epoll.token(0));`,
  );
  expect(stderr).toBe('');
  expect(stdout).toBe('woken 1 5 true');
});

test.each([
  ['process.exit(7)', 7],
  [`throw new Error('planted')`, 1],
])(
  'worker in epoll_wait of a bounded time, main thread does %s: -> the process ends no later than that',
  (end, status) => {
    const found = runThreads(
      `const begun = () => { console.log(performance.now()); ${end}; };
    start(0).on('message', () => setTimeout(begun, 100));`,
      `const epoll = new Epoll(openEpoll(), 1);
    parentPort.postMessage('asleep');
    for (;;) epoll.wait(${SLEEP_MS});`,
    );
    expect(found.status).toBe(status);
    expect(found.ms - Number(found.stdout)).toBeLessThan(SLEEP_MS + 1500);
  },
);

test('descriptor opened by a worker that threw: -> still open, and another thread may close it', () => {
  const { stdout } = runThreads(
    `const worker = start(0);
    let fd;
    worker.on('message', (opened) => { fd = opened; });
    worker.on('error', () => {});
    worker.on('exit', () => console.log(readlinkSync('/proc/self/fd/' + fd)));`,
    `parentPort.postMessage(openEventfd());
    setTimeout(() => { throw new Error('planted'); }, 50);`,
  );
  expect(stdout).toBe('anon_inode:[eventfd]');
});
