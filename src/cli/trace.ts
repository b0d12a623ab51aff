/** `tapswitch trace`: frames as they pass, a line each. */
import { once } from 'node:events';
import { styleText } from 'node:util';
import { Command } from 'commander';
import { PacketReader, type ReadPacket } from '../capture/pcapng-reader.ts';
import { FrameSummary, SUMMARY_BYTES } from '../capture/summary/frame.ts';
import { chosen, countOption, durationOption } from './capture-words.ts';
import { clientOf, examples } from './connection.ts';
import { printable, say } from './output.ts';
import { endSignal } from './signals.ts';

const NANOSECONDS_PER_MS = 1_000_000n;
const MICROSECONDS_PER_SECOND = 1_000_000n;

interface Options {
  readonly all?: boolean;
  readonly duration?: number;
  readonly count?: number;
}

type Colour = 'cyan' | 'green' | 'red' | 'dim';
/** Gives text a colour, or leaves it as it is. */
export type Paint = (colour: Colour, text: string) => string;

/** Local time of day, to the microsecond. */
function timeOfDay(time: bigint): string {
  const date = new Date(Number(time / NANOSECONDS_PER_MS));
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map((n) => `${n}`.padStart(2, '0'));
  const micros = (time / 1000n) % MICROSECONDS_PER_SECOND;
  return `${clock.join(':')}.${`${micros}`.padStart(6, '0')}`;
}

/** One frame: when, at whose port, `->` from there into the switch or `<-` out of it, what, and why it was dropped. */
export function traceLine(
  packet: ReadPacket & { readonly interfaceName: string },
  summary: FrameSummary,
  paint: Paint,
): string {
  const { interfaceName, direction, comment } = packet;
  const arrow = direction === 'in' ? paint('cyan', '->') : paint('green', '<-');
  const frame = summary.of(packet.bytes, packet.originalLength);
  const dropped = comment === '' ? '' : ` ${paint('red', `[${printable(comment)}]`)}`;
  return `${paint('dim', timeOfDay(packet.time))} ${printable(interfaceName)} ${arrow} ${frame}${dropped}`;
}

/** Colours where standard output is a terminal that has them, unless NO_COLOR says otherwise. */
function painter(): Paint {
  const { stdout } = process;
  if (!stdout.isTTY || !stdout.hasColors()) return (_, text) => text;
  return (colour, text) => styleText(colour, text);
}

export function traceCommand(): Command {
  return new Command('trace')
    .description("show VMs' frames as they pass, one a line, until a signal, the time or the count ends it")
    .argument('[words...]', 'VMs, and a filter behind them')
    .option('--all', 'at every port; all words are the filter')
    .addOption(durationOption())
    .addOption(countOption())
    .addHelpText(
      'after',
      examples(
        'tapswitch trace vm-1',
        "tapswitch trace vm-1 'port 53 or arp'",
        'tapswitch trace --all --duration 10 drop',
      ),
    )
    .action(async (words: string[], { all, duration, count }: Options, command: Command) => {
      const client = clientOf(command);
      const { vms, filter } = await chosen(command, client, words, all === true);
      const over = new AbortController();
      endSignal().then(() => over.abort());
      const paint = painter();
      const summary = new FrameSummary();
      const reader = new PacketReader();
      const options = { vms, filter, duration, count, snaplen: SUMMARY_BYTES, signal: over.signal };
      let begun = false;
      for await (const piece of client.capture(options)) {
        if (!begun) say(`Tracing ${vms?.join(', ') ?? 'every port'}`);
        begun = true;
        const packets = reader.take(piece);
        for (const { interfaceName, lost } of packets) {
          if (lost > 0) say(`${lost} frames of ${printable(interfaceName)} lost for want of room`);
        }
        const lines = packets.map((packet) => `${traceLine(packet, summary, paint)}\n`).join('');
        // Whoever reads slowly loses frames in the daemon: nothing is heaped up here.
        if (!process.stdout.write(lines)) await once(process.stdout, 'drain');
      }
      process.exit(0); // the handlers of signals would keep it
    });
}
