// Name servers for tests: node net-dns-server.mjs ADDRESS=ROLE ..., each at port 53 of its address by UDP and TCP. Says
// "up" when all are. An answer is a TXT record with the role, the transport, the asker's port, the query's id, and what
// it says by EDNS ("edns 1232" is the size it takes, "no edns"); it has EDNS where the query had. Roles:
//   good    answers        silent  does not       failed  answers SERVFAIL      hangup  ends TCP connections at once
//   spoofed is overtaken by a forged answer from another address, and by one with a wrong id from its own
// Names in "big." are answered with 60,000 bytes: cut over UDP, whole over TCP. Names in "wide." with 3,000, by either.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import dnsPacket from 'dns-packet';

const PORT = 53;
const SERVFAIL = 2;
const TRUNCATED = 0x200;
const ANSWER = 0x8180;

function answerTo(query, { role, transport, port }, changes = {}) {
  const { id, questions, additionals: asked } = dnsPacket.decode(query);
  const [{ name }] = questions;
  const edns = asked.find(({ type }) => type === 'OPT');
  const size = edns === undefined ? 'no edns' : `edns ${edns.udpPayloadSize}`;
  const additionals = edns === undefined ? [] : [{ type: 'OPT', name: '.', udpPayloadSize: 1232 }];
  const big = name.startsWith('big.');
  const short = [role, transport, `${port}`, `${id}`, size];
  const parts = name.startsWith('wide.') ? 12 : big && transport === 'tcp' ? 240 : 0;
  const data = parts > 0 ? Array(parts).fill('x'.repeat(250)) : short;
  const flags =
    role === 'failed' ? ANSWER | SERVFAIL : big && transport === 'udp' ? ANSWER | TRUNCATED : ANSWER;
  const answers = role === 'failed' || (flags & TRUNCATED) !== 0 ? [] : [{ type: 'TXT', name, ttl: 1, data }];
  return dnsPacket.encode({ type: 'response', id, flags, questions, answers, additionals, ...changes });
}

async function serveUdp(address, role, forger) {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (query, { address: from, port }) => {
    if (role === 'silent') return;
    const answer = answerTo(query, { role, transport: 'udp', port });
    if (role === 'spoofed') {
      const { id } = dnsPacket.decode(query);
      const wrong = answerTo(query, { role: 'wrong id', transport: 'udp', port }, { id: id ^ 1 });
      forger.send(answerTo(query, { role: 'forged', transport: 'udp', port }), port, from, () =>
        socket.send(wrong, port, from, () => socket.send(answer, port, from)),
      );
    } else socket.send(answer, port, from);
  });
  socket.bind(PORT, address);
  await once(socket, 'listening');
}

async function serveTcp(address, role) {
  const server = createServer((socket) => {
    let received = Buffer.alloc(0);
    socket.on('error', () => {});
    if (role === 'hangup') socket.end();
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      if (role === 'silent' || received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const query = received.subarray(2, 2 + received.readUInt16BE(0));
      const answer = answerTo(query, { role, transport: 'tcp', port: socket.remotePort });
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      socket.end(Buffer.concat([length, answer]));
    });
  });
  server.listen(PORT, address);
  await once(server, 'listening');
}

const forger = createSocket('udp4');
forger.bind(0, '127.0.0.99');
await once(forger, 'listening');
for (const argument of process.argv.slice(2)) {
  const [address, role] = argument.split('=');
  await serveUdp(address, role, forger);
  await serveTcp(address, role);
}
process.stdout.write('up\n');
