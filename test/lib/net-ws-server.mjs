// Services of a guest that end connections as they are told: `node net-ws-server.mjs PORT`. Prints `up`.
// PORT is WebSockets, PORT + 1 is TCP. Heard `reset`, they reset the connection; `end`, they end it; `code N` (WebSockets),
// they close with that code; `flood`, they send without end; anything else they say again.
import { createServer } from 'node:net';
import { WebSocketServer } from 'ws';

const port = Number(process.argv[2]);
const PART = Buffer.alloc(65_536);

function flood(send, isOpen) {
  if (isOpen()) send(PART, () => setImmediate(flood, send, isOpen));
}

const web = new WebSocketServer({ port }, () => process.stdout.write('up\n'));
web.on('connection', (socket, request) => {
  socket.on('message', (data, isBinary) => {
    const text = String(data);
    const code = /^code (\d+)$/.exec(text)?.[1];
    if (text === 'reset') request.socket.resetAndDestroy();
    else if (text === 'end') request.socket.end();
    else if (text === 'flood')
      flood(
        (part, done) => socket.send(part, done),
        () => socket.readyState === socket.OPEN,
      );
    else if (code !== undefined) socket.close(Number(code), 'as asked');
    else socket.send(data, { binary: isBinary });
  });
  socket.on('error', () => {});
});

createServer((socket) => {
  socket.on('error', () => {});
  socket.on('data', (data) => {
    const text = String(data);
    if (text === 'reset') socket.resetAndDestroy();
    else if (text === 'end') socket.end();
    else if (text === 'flood')
      flood(
        (part, done) => socket.write(part, done),
        () => !socket.destroyed,
      );
    else socket.write(data);
  });
}).listen(port + 1);
