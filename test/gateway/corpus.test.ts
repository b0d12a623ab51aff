/**
 * The frames of test/corpus and what can be made of them, through the whole switch: whatever comes, nothing throws, it
 * is answered, kept, passed on or dropped for one reason, and what the gateway makes is sound.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { close } from '../../src/sys/libc.ts';
import { etherTypeOf, expectMadeByGateway } from '../lib/check-frame.ts';
import { mutated, readCorpus, repaired, type Seed, toHex } from '../lib/corpus.ts';
import { A, ACK, B, GATEWAY, IPV4, ipv4Tcp, PACKET, SYN, TCP } from '../lib/frames.ts';
import { ServiceSwitch } from '../lib/service-switch.ts';
import { dice } from '../lib/sim-wire.ts';
import { connectedPair, listenOnLoopback } from '../lib/socket-pair.ts';
import { NETWORK, type Outcome, type Sent } from '../lib/test-switch.ts';

const CORPUS = readCorpus();
/** In all more than 20,000 frames */
const MUTATIONS = Math.ceil(20_000 / CORPUS.length);
const COMPARED_MUTATIONS = 12;
/** Frames after which flows are ended, so that new ones find room */
const ROUND = 256;
const GUEST_PORT = 8080;
const TCP_HEADER = PACKET + 20;
const GATEWAY_MAC = '027461707377';

// A port of the host's where nobody listens
const { fd, port: CLOSED_PORT } = listenOnLoopback();
close(fd);

/** A switch with a guest that has one live connection, and a neighbour that must hear nothing. */
class Scene {
  readonly net = new ServiceSwitch({ mode: 'isolated' });
  readonly guest = this.net.vm(A);
  readonly neighbour = this.net.vm(B);
  #far = -1;

  constructor(stale: number) {
    this.net.stale = stale;
    this.net.services.set(NETWORK, [
      { protocol: 'udp', gatewayPort: 9000, hostPort: CLOSED_PORT },
      { protocol: 'tcp', gatewayPort: 9000, hostPort: CLOSED_PORT },
    ]);
  }

  /** Ends what there is and opens the connection anew. */
  begin(): void {
    const { net, guest } = this;
    net.gateway.forget(guest);
    net.poll();
    if (this.#far >= 0) close(this.#far);
    const { near, far } = connectedPair('unix');
    this.#far = far;
    net.gateway.tcp.accept({ number: 1, port: guest, guestPort: GUEST_PORT, waitMs: 0 }, near);
    const [syn] = net.poll().filter(({ frame }) => etherTypeOf(frame) === IPV4 && frame[PACKET + 9] === TCP);
    if (syn === undefined) throw new Error('no SYN for the live connection');
    const view = new DataView(syn.frame.buffer);
    const ends = { fromPort: GUEST_PORT, toPort: view.getUint16(TCP_HEADER) };
    const numbers = { sequence: 0, acknowledgment: view.getInt32(TCP_HEADER + 4) + 1 };
    const tcpOptions = [4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0];
    net
      .from(guest)
      .send(ipv4Tcp({ from: A, to: GATEWAY, ...ends, ...numbers, flags: SYN | ACK, tcpOptions }));
    net.poll();
  }

  /** A segment from the guest's port as one of the live connection, if there is one. */
  aimed(frame: Uint8Array): Uint8Array {
    const isTcp = frame.length >= TCP_HEADER + 20 && etherTypeOf(frame) === IPV4 && frame[PACKET + 9] === TCP;
    const flow = this.net.gateway.tcp.flows.firstOf(this.guest);
    const view = new DataView(frame.buffer);
    if (!isTcp || flow === undefined || view.getUint16(TCP_HEADER) !== GUEST_PORT) return frame;
    const copy = new DataView(frame.slice().buffer);
    copy.setUint16(TCP_HEADER + 2, flow.remotePort);
    copy.setInt32(TCP_HEADER + 4, view.getInt32(TCP_HEADER + 4) - 1 + flow.rcvNxt);
    copy.setInt32(TCP_HEADER + 8, view.getInt32(TCP_HEADER + 8) - 2 + flow.sndUna);
    return repaired(new Uint8Array(copy.buffer));
  }

  /** Sends a frame, and sees what became of it. */
  send(frame: Uint8Array): Outcome {
    const { net, guest } = this;
    const { floods, kept } = net;
    const outcome = net.from(guest).sendUnsound(frame);
    const lost = Object.values(outcome.drops).flatMap((reasons) => Object.values(reasons));
    const fates = lost.length + outcome.left.length + net.kept - kept + net.floods - floods;
    if (fates === 0) throw new Error('it vanished');
    if (lost.length > 1 || (lost[0] ?? 1) !== 1) throw new Error(`counted: ${JSON.stringify(outcome.drops)}`);
    this.check(outcome.left);
    return outcome;
  }

  /** Time goes on, the host's sockets have their say. */
  pass(): void {
    this.net.clock.pass(0.001);
    this.check(this.net.poll());
  }

  check(sent: readonly Sent[]): void {
    for (const { port, frame } of sent) {
      if (port === this.neighbour) throw new Error('the neighbour hears of it');
      if (isByGateway(frame) && !isEchoReply(frame)) expectMadeByGateway(frame);
    }
  }

  end(): void {
    if (this.#far >= 0) close(this.#far);
    this.net.gateway.close();
  }
}

function isByGateway(frame: Uint8Array): boolean {
  return Buffer.from(frame.subarray(16, 22)).toString('hex') === GATEWAY_MAC;
}

/** A wrong checksum of a question stays wrong in its reply, for the sender to see. */
function isEchoReply(frame: Uint8Array): boolean {
  if (etherTypeOf(frame) !== IPV4) return frame[PACKET + 6] === 58 && frame[PACKET + 40] === 129;
  return frame[PACKET + 9] === 1 && frame[PACKET + (frame[PACKET]! & 15) * 4] === 0;
}

/** Runs `step` with each variation of each frame; a failure tells which. */
function* variations(count: number, aim: (frame: Uint8Array) => Uint8Array): Generator<Uint8Array> {
  for (const [index, { frame }] of CORPUS.entries()) {
    const roll = dice(index);
    for (let i = 0; i < count; i++) {
      const other = CORPUS[Math.floor(roll() * CORPUS.length)] as Seed;
      const variation = mutated(aim(frame), other.frame, roll);
      yield roll() < 0.6 ? repaired(variation) : variation;
    }
  }
}

function withHex<T>(frame: Uint8Array, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Error(`${error}\n${toHex(frame)}`, { cause: error });
  }
}

const scenes: Scene[] = [];

function scene(stale = 0xee): Scene {
  const made = new Scene(stale);
  scenes.push(made);
  made.begin();
  return made;
}

afterAll(() => {
  for (const made of scenes) made.end();
});

describe('a frame of the corpus', () => {
  test.each(CORPUS)('$name -> answered, kept, or dropped for one reason', ({ frame }) => {
    const one = scene();
    withHex(frame, () => one.send(one.aimed(frame)));
    one.pass();
  });
});

test('the corpus damaged, cut and joined -> nothing throws, every answer is sound, none is lost from sight', () => {
  const one = scene();
  let [sent, answered, taken] = [0, 0, 0];
  for (const frame of variations(MUTATIONS, (seed) => one.aimed(seed))) {
    if (sent++ % ROUND === 0) one.begin();
    withHex(frame, () => {
      const { kept } = one.net;
      answered += one.send(frame).left.length;
      taken += one.net.kept - kept;
      one.pass();
    });
  }
  expect(sent).toBeGreaterThanOrEqual(20_000);
  // Damage that nothing survives would try only the first checks.
  expect(answered).toBeGreaterThan(sent / 10);
  expect(taken).toBeGreaterThan(sent / 20);
  expect(one.net.stats(one.neighbour).txFrames).toBe(0);
}, 60_000);

test('whatever lies behind a frame in its slot -> the same becomes of it', () => {
  const [zeros, ones] = [scene(0), scene(0xff)];
  for (const frame of variations(COMPARED_MUTATIONS, (seed) => seed)) {
    withHex(frame, () => {
      const [one, other] = [zeros, ones].map((made) => made.send(frame));
      expect(comparable(one!)).toEqual(comparable(other!));
    });
  }
}, 60_000);

/** Numbers that nobody may guess are the one thing that differs. */
function comparable({ left, drops }: Outcome) {
  const frames = left.map(({ port, frame }) => {
    const isTcp = frame[PACKET + (etherTypeOf(frame) === IPV4 ? 9 : 6)] === TCP;
    return { port, frame: isTcp ? `${frame.length} bytes of TCP` : toHex(frame) };
  });
  return { frames, drops };
}
