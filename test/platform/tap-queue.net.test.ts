/** What a TAP whose VMM does not read counts as dropped, by each way a frame can come to it. */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { ENOBUFS } from '../../src/sys/errno.ts';
import { close, errno, ioctlValue, send } from '../../src/sys/libc.ts';
import { LinkStatistics } from '../../src/sys/link-statistics.ts';
import { MSG_DONTWAIT } from '../../src/sys/message-vector.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { bypassQueue } from '../../src/sys/packet-socket.ts';
import { GSO_TCPV4 } from '../../src/wire/vnet.ts';
import { packetSocketIn, Stage } from '../lib/engine-stage.ts';
import { A, B, ethernet, ipv4Tcp, withVnet } from '../lib/frames.ts';

const QUEUE = 10;
const TUNSETOFFLOAD = 0x400454d0;
const FRAME = ethernet({ from: A, to: B }, 0x88b5, new Uint8Array(100));
/** Five segments of 1000 bytes */
const TO_SEGMENT = withVnet(ipv4Tcp({ from: A, to: B, data: new Uint8Array(5000) }), {
  flags: 1,
  gsoType: GSO_TCPV4,
  headerLength: 54,
  gsoSize: 1000,
  checksumStart: 34,
  checksumOffset: 16,
});

let stage: Stage;
let statistics: LinkStatistics;
let socket: number;
let tap: number;

beforeEach(() => {
  stage = new Stage();
  tap = stage.holdTap('t1').fd;
  withRoutes(stage.host.path, (routes) => {
    const changes = { addrGenMode: 'none', arp: false, txQueueLength: QUEUE } as const;
    routes.changeLink(indexOf(routes, 't1'), changes);
    routes.changeLink(indexOf(routes, 't1'), { up: true });
  });
  statistics = inNamespace(stage.host.path, () => new LinkStatistics());
  stage.atEnd(() => statistics.close());
  socket = packetSocketIn(stage.host.path, 't1');
  stage.atEnd(() => close(socket));
});

afterEach(() => stage.end());

function dropped(): number {
  const index = withRoutes(stage.host.path, (routes) => indexOf(routes, 't1'));
  const figure = statistics.transmitDropped(index) as number;
  const command = ['nsenter', `--net=${stage.host.path}`, 'ip', '-s', '-j', 'link', 'show', 't1'];
  const [link] = JSON.parse(execFileSync(command[0] as string, command.slice(1), { encoding: 'utf8' }));
  expect(figure, 'as iproute2 reads it').toBe(link.stats64.tx.dropped);
  return figure;
}

/** Sends a frame so many times; how many were refused, all of them with ENOBUFS. */
function refused(frame: Uint8Array, times: number): number {
  let count = 0;
  for (let i = 0; i < times; i++) {
    if (send(socket, frame, frame.length, MSG_DONTWAIT) >= 0) continue;
    expect(errno()).toBe(ENOBUFS);
    count++;
  }
  return count;
}

test('past the queue: -> what does not fit is refused, and counted by the device', () => {
  expect(refused(FRAME, QUEUE + 7)).toBe(7);
  expect(dropped()).toBe(7);
});

test('through the queue: -> what does not fit is taken all the same, and counted by the device alone', () => {
  bypassQueue(socket, false);
  expect(refused(FRAME, QUEUE + 7)).toBe(0);
  expect(dropped()).toBe(7);
});

test('to be segmented for a VMM that segments nothing: -> past the queue refused and counted, though there is room', () => {
  expect(ioctlValue(tap, TUNSETOFFLOAD, 0)).toBe(0);
  expect(refused(TO_SEGMENT, 3)).toBe(3);
  expect(dropped()).toBe(3);
});

test('the same through the queue: -> segments count one by one', () => {
  expect(ioctlValue(tap, TUNSETOFFLOAD, 0)).toBe(0);
  bypassQueue(socket, false);
  expect(refused(TO_SEGMENT, 3)).toBe(0);
  expect(dropped()).toBe(3 * 5 - QUEUE);
});

test('an interface that is not there -> no figure', () => {
  expect(statistics.transmitDropped(4711)).toBeUndefined();
});
