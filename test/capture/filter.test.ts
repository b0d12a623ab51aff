/** What a capture filter says beyond tcpdump's words, and what it says to a mistake. */
import { describe, expect, test } from 'vitest';
import { compileFilter } from '../../src/capture/filter/compile.ts';
import { FilteredFrame, NOT_DROPPED } from '../../src/capture/filter/frame.ts';
import { MAX_FILTER_LENGTH } from '../../src/capture/filter/parse.ts';
import { TapswitchError } from '../../src/errors.ts';
import { DROP } from '../../src/telemetry/drops.ts';
import { makeFrames } from './frame-corpus.ts';

const VMS = new Map([
  ['web', 3],
  ['9-x_y.z', 4],
]);

function frame(bytes: Uint8Array, port = 0, reason = NOT_DROPPED): FilteredFrame {
  const made = new FilteredFrame(new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
  made.length = bytes.length;
  made.port = port;
  made.reason = reason;
  return made;
}

const TCP = Buffer.from(
  `020000000001020000000002${'0800'}4500002800010000400600000a0000010a0000020050c000${'00'.repeat(8)}5002ffff00000000`,
  'hex',
);

const selects = (filter: string, what: FilteredFrame) => compileFilter(filter, VMS)(what);

function errorOf(filter: string): TapswitchError {
  try {
    compileFilter(filter, VMS);
  } catch (error) {
    if (error instanceof TapswitchError) return error;
    throw error;
  }
  throw new Error(`'${filter}' was read`);
}

test.each(['', '   '])('%j -> every frame', (filter) => {
  expect(selects(filter, frame(TCP))).toBe(true);
  expect(selects(filter, frame(new Uint8Array()))).toBe(true);
});

test.each([
  ['vm web', 3, true],
  ['vm web', 4, false],
  ['vm 9-x_y.z', 4, true],
  ['vm other', 3, false],
  ['not vm web', 4, true],
  ['vm web and tcp port 80', 3, true],
  ['(vm web or vm 9-x_y.z) and udp', 3, false],
])('%s at port %i -> %s', (filter, port, expected) => {
  expect(selects(filter, frame(TCP, port))).toBe(expected);
});

test.each([
  ['drop', DROP.vlan, true],
  ['drop', NOT_DROPPED, false],
  ['drop spoofed-ip', DROP['spoofed-ip'], true],
  ['drop spoofed-ip', DROP.vlan, false],
  ['not drop', NOT_DROPPED, true],
  ['drop and tcp', DROP.runt, true],
  ['udp or drop vlan', DROP.vlan, true],
])('%s of a frame dropped for %i -> %s', (filter, reason, expected) => {
  expect(selects(filter, frame(TCP, 1, reason))).toBe(expected);
});

test('an address alone -> a host, a block alone -> a network', () => {
  expect(selects('10.0.0.1', frame(TCP))).toBe(true);
  expect(selects('10.0.0.0/8', frame(TCP))).toBe(true);
  expect(selects('11.0.0.0/8', frame(TCP))).toBe(false);
});

test.each([
  ['hots 10.0.0.1', 1, "there is no 'hots' in a filter"],
  ['tcp port 80 und udp', 13, "expected 'and', 'or' or the end, not 'und'"],
  ['host example.org', 6, "'example.org' is no IP address"],
  ['host 10.0.0.256', 6, "'10.0.0.256' is no IP address"],
  ['ip6 host 10.0.0.1', 10, "'10.0.0.1' is no address of ip6"],
  ['tcp host 10.0.0.1', 1, "'tcp' does not go with 'host'"],
  ['net 10.0.0.1/8', 5, "'10.0.0.1' has bits set beyond its 8 bits of network"],
  ['net 10.0.0.0/33', 14, '33 is above 32'],
  ['port 65536', 6, '65536 is above 65535'],
  ['port', 5, "expected what 'port' is about, not the end"],
  ['icmp port 80', 1, "'icmp' does not go with ports"],
  ['portrange 20-', 14, 'a number is missing'],
  ['ether host 10.0.0.1', 12, "'10.0.0.1' is no MAC address"],
  ['ether proto 46', 13, '46 is a length'],
  ['(tcp or udp', 12, "expected ')', not the end"],
  ['tcp)', 4, "expected 'and', 'or' or the end, not ')'"],
  ['tcp and', 8, 'expected a condition, not the end'],
  ['not', 4, 'expected a condition, not the end'],
  ['tcp[13:3] = 1', 8, 'the size must be 1, 2 or 4'],
  ['tcp[13', 7, "expected ']', not the end"],
  ['tcp[13] & 2', 12, 'expected a comparison'],
  ['len / 0 = 1', 5, 'division by zero'],
  ['len > x', 7, "expected a number, not 'x'"],
  ['vlan 4096', 6, '4096 is above 4095'],
  ['less than', 6, "'than' is no number"],
  ['vm', 3, "expected a VM's name, not the end"],
  ['drop because', 6, "no frame is dropped for 'because'"],
  ['tcp port 80 €', 13, "'€' means nothing here"],
  ['ip broadcast', 1, "only 'ether' goes with 'broadcast'"],
  [`${'('.repeat(200)}tcp${')'.repeat(200)}`, 101, 'nested too deeply'],
])('%s -> FILTER_INVALID at column %i', (filter, column, problem) => {
  const { code, message } = errorOf(filter);
  expect(code).toBe('FILTER_INVALID');
  expect(message).toContain(`column ${column}: ${problem}`);
});

test('a filter of endless length -> FILTER_INVALID', () => {
  expect(errorOf('x'.repeat(MAX_FILTER_LENGTH + 1)).message).toContain('characters at most');
});

describe('evaluation', () => {
  test('any bytes, any length -> neither throws nor reads beyond the frame', () => {
    const filter =
      'vlan and tcp[((tcp[12] & 0xf0) >> 2):4] = 1 or host fd00::1 or port 80 or ip[ip[2:4]] / udp[4] = 1';
    const condition = compileFilter(filter, VMS);
    for (const bytes of makeFrames(300, 23)) {
      for (const length of [0, 1, 13, 14, 20, bytes.length]) {
        const what = frame(bytes);
        what.length = Math.min(length, bytes.length);
        expect(condition(what)).toBeTypeOf('boolean');
      }
    }
  });

  test('a frame in the middle of an arena -> the same as alone', () => {
    const arena = new Uint8Array(200);
    arena.set(TCP, 77);
    const what = frame(arena);
    what.offset = 77;
    what.length = TCP.length;
    expect(selects('tcp src port 80 and src host 10.0.0.1 and tcp[tcpflags] = tcp-syn', what)).toBe(true);
  });

  test('a million frames -> the heap does not grow by one object each', () => {
    const condition = compileFilter('tcp port 80 and net 10.0.0.0/8 and tcp[4:4] > 0x80000000 or udp', VMS);
    const what = frame(TCP);
    for (let i = 0; i < 100_000; i++) condition(what);
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 1_000_000; i++) condition(what);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(4_000_000);
  });
});
