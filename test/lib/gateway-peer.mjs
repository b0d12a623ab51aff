// One end of a TCP connection in some namespace: `node gateway-peer.mjs ROLE ...`. Servers print `up` once they listen.
import { createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const MEBIBYTE = 1024 * 1024;

const say = (text) => process.stdout.write(`${text}\n`);

function* blob(mebibytes) {
  const stream = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16));
  for (let i = 0; i < mebibytes; i++) yield stream.update(Buffer.alloc(MEBIBYTE));
}

async function send(socket, mebibytes) {
  const hash = createHash('sha256');
  let bytes = 0;
  for (const part of blob(mebibytes)) {
    hash.update(part);
    bytes += part.length;
    if (!socket.write(part)) await once(socket, 'drain');
  }
  socket.end();
  return `${bytes} ${hash.digest('hex')}`;
}

/** Takes every part up to the end. Iterating over the socket instead would destroy it there, half open or not. */
function takeAll(socket, take) {
  return new Promise((resolve, reject) => {
    socket.on('data', take);
    socket.once('end', resolve);
    socket.once('error', reject);
  });
}

async function receive(socket) {
  const hash = createHash('sha256');
  let bytes = 0;
  await takeAll(socket, (part) => {
    hash.update(part);
    bytes += part.length;
  });
  return `${bytes} ${hash.digest('hex')}`;
}

async function text(socket) {
  let all = '';
  await takeAll(socket.setEncoding('utf8'), (part) => {
    all += part;
  });
  return all;
}

function serve(port, whenConnected) {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    Promise.resolve(whenConnected(socket)).catch(() => socket.destroy());
  });
  server.listen({ port: Number(port), backlog: 4096 }, () => say('up'));
}

function dial(host, port) {
  if (host === 'unix') return connect({ path: port, allowHalfOpen: true });
  return connect({ host, port: Number(port), allowHalfOpen: true });
}

/** Connects `total` times, `parallel` at a time; says how many got their byte back, and what went wrong. */
async function churn(host, port, total, parallel) {
  let left = Number(total);
  let good = 0;
  const bad = {};
  const one = () =>
    new Promise((resolve) => {
      let heard = '';
      let error = 'no answer';
      const socket = dial(host, port);
      socket.on('data', (part) => {
        heard += part;
      });
      socket.on('error', ({ code }) => {
        error = code;
      });
      socket.on('close', () => {
        if (heard === 'x') good++;
        else bad[error] = (bad[error] ?? 0) + 1;
        resolve();
      });
      socket.end('x');
    });
  const worker = async () => {
    while (left-- > 0) await one();
  };
  await Promise.all(Array.from({ length: Number(parallel) }, worker));
  say(JSON.stringify({ good, bad }));
}

/** Holds `total` connections open at once and sends a line through each; says how many came back right. */
async function crowd(host, port, total) {
  const sockets = Array.from({ length: Number(total) }, () => dial(host, port).setEncoding('utf8'));
  const errors = [];
  for (const socket of sockets) socket.on('error', ({ code }) => errors.push(code));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  const answers = sockets.map((socket) => once(socket, 'data'));
  for (const [index, socket] of sockets.entries()) socket.write(`line ${index}`);
  const heard = await Promise.all(answers);
  const good = heard.filter(([line], index) => line === `line ${index}`).length;
  for (const socket of sockets) socket.end();
  await Promise.all(sockets.map((socket) => once(socket, 'close')));
  say(JSON.stringify({ good, errors }));
}

/** Sends a blob through each of `total` connections at once; says through how many it came right. */
async function pushAll(host, port, total, mebibytes) {
  const one = async () => {
    const socket = dial(host, port);
    const [own, theirs] = await Promise.all([send(socket, Number(mebibytes)), text(socket)]);
    return own === theirs;
  };
  const results = await Promise.allSettled(Array.from({ length: Number(total) }, one));
  const good = results.filter(({ value }) => value === true).length;
  say(JSON.stringify({ good, errors: results.flatMap(({ reason }) => reason?.code ?? []) }));
}

const ROLES = {
  // --- servers
  /** Answers the digest of what it received, after its end; begins to read `pauseMs` late. */
  digest: (port, pauseMs = 0) =>
    serve(port, async (socket) => {
      await delay(Number(pauseMs));
      socket.end(await receive(socket));
    }),
  blob: (port, mebibytes) => serve(port, (socket) => void socket.resume() ?? send(socket, Number(mebibytes))),
  echo: (port) => serve(port, (socket) => void socket.pipe(socket)),
  name: (port, name) => serve(port, (socket) => socket.resume().end(name)),
  /** Says what happens to its connections. */
  witness: (port) =>
    serve(port, (socket) => {
      say('open');
      socket.on('data', (part) => say(`data ${part.length}`));
      socket.on('end', () => say('end'));
      socket.on('error', ({ code }) => say(`error ${code}`));
      socket.on('close', () => say('close'));
    }),
  // --- clients
  /** Sends a blob, and says whether the other's digest of it is its own. */
  push: async (host, port, mebibytes) => {
    const socket = dial(host, port);
    const [own, theirs] = await Promise.all([send(socket, Number(mebibytes)), text(socket)]);
    say(own === theirs ? `same ${own}` : `own ${own}, theirs ${theirs}`);
  },
  /** Receives all there is, beginning `pauseMs` late, and says its digest. */
  fetch: async (host, port, pauseMs = 0) => {
    const socket = dial(host, port);
    await once(socket, 'connect');
    await delay(Number(pauseMs));
    const heard = await receive(socket);
    socket.end();
    say(heard);
  },
  /** Digest of a blob. */
  expect: async (mebibytes) => {
    const hash = createHash('sha256');
    for (const part of blob(Number(mebibytes))) hash.update(part);
    say(`${mebibytes * MEBIBYTE} ${hash.digest('hex')}`);
  },
  /** Connects and sends a line; says what came back, or the error's code, and after how long. */
  probe: async (host, port, patienceMs = 5000) => {
    const since = performance.now();
    const socket = dial(host, port).on('connect', () => socket.end('hello'));
    const result = await Promise.race([
      text(socket).then(
        (heard) => `heard ${heard}`,
        ({ code }) => code,
      ),
      delay(Number(patienceMs), 'silence'),
    ]);
    say(JSON.stringify({ result, ms: Math.round(performance.now() - since) }));
    process.exit();
  },
  /** Keeps sending blobs through so many connections, and says `up` once they are open. */
  stuff: async (host, port, total, mebibytes) => {
    const sockets = Array.from({ length: Number(total) }, () => dial(host, port));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    for (const socket of sockets)
      send(
        socket.on('error', () => {}),
        Number(mebibytes),
      ).catch(() => {});
    say('up');
  },
  churn,
  pushAll,
  crowd,
};

const [role, ...words] = process.argv.slice(2);
await ROLES[role](...words);
