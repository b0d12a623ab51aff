/** What a frame meets on its way, each alone: by group and name, functions that do it once. */
import { do_not_optimize } from 'mitata';
import { compileFilter } from '../src/capture/filter/compile.ts';
import { FilteredFrame } from '../src/capture/filter/frame.ts';
import { type Timed, Timer, TimerWheel } from '../src/gateway/timer-wheel.ts';
import { allocateSharedMap, SharedMap } from '../src/switch/shared-map.ts';
import { checksum } from '../src/wire/checksum.ts';
import * as ethernet from '../src/wire/ethernet.ts';
import * as ipv4 from '../src/wire/ipv4.ts';

/** Gives what it found, so that a test sees that it does what its name says. */
export type MicroBench = () => unknown;
type Benches = Readonly<Record<string, MicroBench>>;

const IP = ethernet.ETHERNET_HEADER_BYTES;
const PORTS = IP + ipv4.IPV4_HEADER_BYTES;
const SOURCE = 0x0a420002;
const DESTINATION = 0x0a420003;
const HTTPS = 443;
const FRAME_BYTES = IP + 1500;

/** A frame that carries TCP to a port, in the midst of bytes of every value */
const view = new DataView(new ArrayBuffer(65_536));
for (let i = 0; i < view.byteLength; i++) view.setUint8(i, i * 7);
view.setUint16(IP - 2, ethernet.ETHERTYPE_IPV4);
const emit = () => ipv4.emitHeader(view, IP, 1500, ipv4.USUAL_TTL, ipv4.PROTOCOL_TCP, SOURCE, DESTINATION);
emit();
view.setUint16(PORTS + 2, HTTPS);

function kept<T>(value: T): T {
  do_not_optimize(value);
  return value;
}

function checksums(): Benches {
  const sizes = [20, 64, 1500, 65_000];
  return Object.fromEntries(sizes.map((bytes) => [`${bytes} bytes`, () => kept(checksum(view, 0, bytes))]));
}

const codecs: Benches = {
  'Ethernet header read': () =>
    kept(ethernet.destinationHigh(view, 0) ^ ethernet.destinationLow(view, 0) ^ ethernet.etherType(view, 0)),
  'IPv4 header checked and read': () =>
    kept(
      ipv4.check(view, IP, 1500) &&
        ipv4.source(view, IP) ^ ipv4.destination(view, IP) ^ ipv4.protocol(view, IP),
    ),
  'IPv4 header written, with its checksum': emit,
};

const OWNER = 1;
const NEVER = 0x7ffffffe;
/** Odd, so that its multiples meet every address */
const STRIDE = 7919;

function lookUps(entries: number): Benches {
  const map = new SharedMap(allocateSharedMap(16_384));
  for (let i = 0; i < entries; i++) map.insert(0, 0x0600, i, i, NEVER, OWNER);
  let next = 0;
  return {
    [`found among ${entries}`]: () => {
      next = (next + STRIDE) % entries;
      return kept(map.find(0, 0x0600, next, 0));
    },
    [`missed among ${entries}`]: () => kept(map.find(1, 0x0600, ++next, 0)),
  };
}

function timers(count: number): Benches {
  const owner: Timed = { expire: () => {} };
  const wheel = new TimerWheel(0);
  const all = Array.from({ length: count }, () => new Timer(owner));
  for (const [i, timer] of all.entries()) wheel.set(timer, 0, 1 + i * 3);
  let next = 0;
  return {
    [`one of ${count} put off`]: () => {
      next = (next + STRIDE) % count;
      wheel.set(all[next]!, 0, 1 + (next & 0xffff));
    },
  };
}

/** From what selects everything to what people write when they look for something. */
const FILTERS = {
  '': 'selects',
  'tcp port 443': 'selects',
  'udp port 53': 'refuses',
  'host 10.66.0.3 and tcp and (port 80 or 443) and not net 192.168.0.0/16': 'selects',
  'tcp[tcpflags] & (tcp-syn|tcp-rst) != 0 and ip[8] < 5': 'refuses',
} as const;

function filters(): Benches {
  const frame = new FilteredFrame(view);
  frame.length = FRAME_BYTES;
  const bench = ([text, verdict]: [string, string]) => {
    const condition = compileFilter(text, new Map());
    return [`'${text}' ${verdict}`, () => kept(condition(frame))] as const;
  };
  return Object.fromEntries(Object.entries(FILTERS).map(bench));
}

/** Makes them with what they look things up in. */
export const microBenches = (): Readonly<Record<string, Benches>> => ({
  checksum: checksums(),
  codecs,
  FDB: { ...lookUps(100), ...lookUps(10_000) },
  'timer wheel': { ...timers(100), ...timers(100_000) },
  'capture filter': filters(),
});
