/** A connection the guest begins, up to the point where it is like any other: "state: event -> result". */
import { afterEach, describe, expect, test } from 'vitest';
import { STATE_NAMES } from '../../../src/gateway/tcp/flow.ts';
import { accept } from '../../../src/sys/inet-socket.ts';
import { close, errno, recv, send } from '../../../src/sys/libc.ts';
import { withChecksum } from '../../lib/check-frame.ts';
import { A, ACK, FIN, GATEWAY, ipv4Tcp, PACKET, RST, SYN, type TcpFields } from '../../lib/frames.ts';
import { listenOnLoopback } from '../../lib/socket-pair.ts';
import { NETWORK, type Sent, TestSwitch } from '../../lib/test-switch.ts';

const SERVICE = 80;
const ISS = 5000;
const DONTWAIT = 0x40;

const open: number[] = [];
const switches: TestSwitch[] = [];

afterEach(() => {
  for (const net of switches.splice(0)) net.gateway.close();
  for (const fd of open.splice(0)) close(fd);
});

/** A guest, and a service of the host's behind the gateway's port 80. */
function scene({ listens = true } = {}) {
  const net = new TestSwitch();
  switches.push(net);
  const a = net.vm(A);
  const { fd, port } = listenOnLoopback();
  if (listens) open.push(fd);
  else close(fd);
  net.services.set(NETWORK, [{ protocol: 'tcp', gatewayPort: SERVICE, hostPort: port }]);
  const guest = (fields: TcpFields) => {
    const frame = ipv4Tcp({
      from: A,
      to: GATEWAY,
      toPort: SERVICE,
      sequence: ISS,
      acknowledgment: 0,
      ...fields,
    });
    return [...net.from(a).send(frame).left, ...net.poll()].map(read);
  };
  const pass = (ms: number) => {
    const seen: ReturnType<typeof read>[] = [];
    for (let i = 0; i < ms; i++) {
      net.clock.pass(0.001);
      seen.push(...net.poll().map(read));
    }
    return seen;
  };
  const state = () => {
    const flow = net.gateway.tcp.flows.firstOf(a);
    return flow === undefined ? 'gone' : STATE_NAMES[flow.state];
  };
  const accepted = () => {
    const host = accept(fd);
    if (host >= 0) open.push(host);
    return host;
  };
  return { net, a, guest, pass, state, accepted };
}

function read({ frame }: Sent) {
  const whole = withChecksum(frame);
  const view = new DataView(whole.buffer);
  const off = PACKET + 20;
  return {
    flags: whole[off + 13] as number,
    seq: view.getInt32(off + 4),
    ack: view.getInt32(off + 8),
    options: whole.slice(off + 20, off + ((whole[off + 12] as number) >>> 4) * 4),
    data: Buffer.from(whole.subarray(off + ((whole[off + 12] as number) >>> 4) * 4)).toString(),
  };
}

function synAck(seen: readonly ReturnType<typeof read>[]): number {
  expect(seen).toMatchObject([{ flags: SYN | ACK, ack: ISS + 1 }]);
  return seen[0]!.seq;
}

describe('opening', () => {
  test('SYN, the host accepts -> SYN-ACK, syn-received; ACK -> established', () => {
    const { guest, state } = scene();
    const iss = synAck(guest({ flags: SYN }));
    expect(state()).toBe('syn-received');
    expect(guest({ sequence: ISS + 1, acknowledgment: iss + 1 })).toEqual([]);
    expect(state()).toBe('established');
  });

  test('SYN, nothing listens at the host -> RST that acknowledges it, nothing kept', () => {
    const { guest, state } = scene({ listens: false });
    expect(guest({ flags: SYN })).toMatchObject([{ flags: RST | ACK, ack: ISS + 1 }]);
    expect(state()).toBe('gone');
  });

  test.each([
    ['no options', [], [2, 4, 0xff, 0xd7]],
    ['MSS', [2, 4, 5, 0xb4], [2, 4, 0xff, 0xd7]],
    ['scaling', [1, 3, 3, 2], [2, 4, 0xff, 0xd7, 1, 3, 3, 7]],
    ['SACK', [1, 1, 4, 2], [2, 4, 0xff, 0xd7, 1, 1, 4, 2]],
  ])('SYN with %s -> SYN-ACK that offers nothing it did not', (_name, tcpOptions, offered) => {
    const { guest } = scene();
    const [answer] = guest({ flags: SYN, tcpOptions });
    expect([...answer!.options]).toEqual(offered);
  });

  test('syn-received: the SYN again -> the SYN-ACK again', () => {
    const { guest } = scene();
    const iss = synAck(guest({ flags: SYN }));
    expect(synAck(guest({ flags: SYN }))).toBe(iss);
  });

  test('syn-received: silence -> the SYN-ACK again and again, then the host is reset', () => {
    const { guest, pass, accepted, state } = scene();
    guest({ flags: SYN });
    const host = accepted();
    const seen = pass(70_000);
    expect(seen.filter(({ flags }) => flags === (SYN | ACK)).length).toBeGreaterThanOrEqual(3);
    expect(state()).toBe('gone');
    expect(recv(host, new Uint8Array(1), 1, DONTWAIT)).toBe(-1);
    expect(errno()).toBe(104);
  }, 30_000);

  test('syn-received: an ACK of another number -> RST of that number', () => {
    const { guest, state } = scene();
    const iss = synAck(guest({ flags: SYN }));
    const seen = guest({ sequence: ISS + 1, acknowledgment: iss + 99 });
    expect(seen).toMatchObject([{ flags: RST, seq: (iss + 99) | 0 }]);
    expect(state()).toBe('syn-received');
  });

  test('syn-received: RST -> the host is reset', () => {
    const { guest, accepted, state } = scene();
    guest({ flags: SYN });
    const host = accepted();
    guest({ flags: RST, sequence: ISS + 1 });
    expect(state()).toBe('gone');
    expect(recv(host, new Uint8Array(1), 1, DONTWAIT)).toBe(-1);
  });

  test('syn-received: ACK with data -> the host reads it', () => {
    const { guest, accepted, net } = scene();
    const iss = synAck(guest({ flags: SYN }));
    guest({ sequence: ISS + 1, acknowledgment: iss + 1, data: Buffer.from('hello') });
    net.poll();
    const bytes = new Uint8Array(16);
    expect(recv(accepted(), bytes, 16, DONTWAIT)).toBe(5);
    expect(Buffer.from(bytes.subarray(0, 5)).toString()).toBe('hello');
  });
});

describe('the same numbers once more', () => {
  function ended() {
    const it = scene();
    const iss = synAck(it.guest({ flags: SYN }));
    it.guest({ sequence: ISS + 1, acknowledgment: iss + 1 });
    close(it.accepted());
    open.pop();
    const fin = it.pass(1);
    expect(fin).toMatchObject([{ flags: FIN | ACK, seq: (iss + 1) | 0 }]);
    it.guest({ flags: FIN | ACK, sequence: ISS + 1, acknowledgment: iss + 2 });
    expect(it.state()).toBe('time-wait');
    return it;
  }

  test('time-wait: SYN with a higher number -> a new connection', () => {
    const { guest, state } = ended();
    expect(guest({ flags: SYN, sequence: ISS + 1000 })).toMatchObject([
      { flags: SYN | ACK, ack: ISS + 1001 },
    ]);
    expect(state()).toBe('syn-received');
  });

  test('time-wait: SYN with an old number -> ACK, no new connection', () => {
    const { guest, state } = ended();
    expect(guest({ flags: SYN, sequence: ISS - 1000 })).toMatchObject([{ flags: ACK, ack: ISS + 2 }]);
    expect(state()).toBe('time-wait');
  });
});

test('two VMs with the same addresses and ports -> a connection each', () => {
  const { net, guest, accepted } = scene();
  net.addNetwork(5, 'isolated');
  net.services.set(5, [{ protocol: 'tcp', gatewayPort: SERVICE, hostPort: 1 }]);
  const iss = synAck(guest({ flags: SYN }));
  const other = net.vm(A, { network: 5 });
  const frame = ipv4Tcp({ from: A, to: GATEWAY, toPort: SERVICE, sequence: ISS, flags: SYN });
  const seen = [...net.from(other).send(frame).left, ...net.poll()];
  // Nothing listens on port 1 of the host
  expect(seen.map(read)).toMatchObject([{ flags: RST | ACK }]);
  guest({ sequence: ISS + 1, acknowledgment: iss + 1 });
  const host = accepted();
  expect(send(host, Buffer.from('x'), 1, DONTWAIT)).toBe(1);
  expect(net.poll().map((sent) => [sent.port, read(sent).data])).toEqual([[2, 'x']]);
});
