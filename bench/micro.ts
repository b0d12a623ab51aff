/** `npm run bench:micro`: what a frame meets on its way, each alone, in nanoseconds and bytes of heap. */
import { bench, do_not_optimize, group, run } from 'mitata';
import { type Timed, Timer, TimerWheel } from '../src/gateway/timer-wheel.ts';
import { allocateSharedMap, SharedMap } from '../src/switch/shared-map.ts';
import { checksum } from '../src/wire/checksum.ts';
import * as ethernet from '../src/wire/ethernet.ts';
import * as ipv4 from '../src/wire/ipv4.ts';

const IP = ethernet.ETHERNET_HEADER_BYTES;
const SOURCE = 0x0a420002;
const DESTINATION = 0x0a420003;

const view = new DataView(new ArrayBuffer(65_536));
for (let i = 0; i < view.byteLength; i++) view.setUint8(i, i * 7);
const emit = () => ipv4.emitHeader(view, IP, 1500, ipv4.USUAL_TTL, ipv4.PROTOCOL_TCP, SOURCE, DESTINATION);
emit();

group('checksum', () => {
  for (const bytes of [20, 64, 1500, 65_000]) {
    bench(`${bytes} bytes`, () => do_not_optimize(checksum(view, 0, bytes)));
  }
});

group('codecs', () => {
  bench('Ethernet header read', () =>
    do_not_optimize(
      ethernet.destinationHigh(view, 0) ^ ethernet.destinationLow(view, 0) ^ ethernet.etherType(view, 0),
    ),
  );
  bench('IPv4 header checked and read', () =>
    do_not_optimize(
      ipv4.check(view, IP, 1500) &&
        ipv4.source(view, IP) ^ ipv4.destination(view, IP) ^ ipv4.protocol(view, IP),
    ),
  );
  bench('IPv4 header written, with its checksum', emit);
});

const OWNER = 1;
const NEVER = 0x7ffffffe;
/** Odd, so that its multiples meet every address */
const STRIDE = 7919;

group('FDB', () => {
  for (const entries of [100, 10_000]) {
    const map = new SharedMap(allocateSharedMap(16_384));
    for (let i = 0; i < entries; i++) map.insert(0, 0x0600, i, i, NEVER, OWNER);
    let next = 0;
    bench(`found among ${entries}`, () => {
      next = (next + STRIDE) % entries;
      return do_not_optimize(map.find(0, 0x0600, next, 0));
    });
    bench(`missed among ${entries}`, () => do_not_optimize(map.find(1, 0x0600, ++next, 0)));
  }
});

group('timer wheel', () => {
  const owner: Timed = { expire: () => {} };
  for (const count of [100, 100_000]) {
    const wheel = new TimerWheel(0);
    const timers = Array.from({ length: count }, () => new Timer(owner));
    for (const [i, timer] of timers.entries()) wheel.set(timer, 0, 1 + i * 3);
    let next = 0;
    bench(`one of ${count} put off`, () => {
      next = (next + STRIDE) % count;
      wheel.set(timers[next]!, 0, 1 + (next & 0xffff));
    });
  }
});

await run({ format: process.argv.includes('--json') ? 'json' : 'mitata' });
