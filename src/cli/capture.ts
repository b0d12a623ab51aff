/** `tapswitch capture`: frames into pcapng files. */
import { Command, InvalidArgumentError } from 'commander';
import { EXIT } from '../errors.ts';
import { Blocks, type CaptureTarget, singleTarget } from './capture-file.ts';
import { type RingSize, ringTarget } from './capture-ring.ts';
import { chosen, countOption, durationOption } from './capture-words.ts';
import { clientOf, examples, wholeNumber } from './connection.ts';
import { say } from './output.ts';
import { endSignal } from './signals.ts';

const MAX_SNAPLEN = 65_535;
const MAX_FILES = 1000;
const UNITS: Readonly<Record<string, number>> = { kB: 1e3, MB: 1e6, GB: 1e9 };
const MIN_FILE_BYTES = 100_000;

interface Options {
  readonly all?: boolean;
  readonly write?: string;
  readonly snaplen?: number;
  readonly duration?: number;
  readonly count?: number;
  readonly ring?: RingSize;
}

export function ringSize(text: string): RingSize {
  const [, files = '', amount = '', unit = ''] = /^(\d{1,4})x(\d{1,6})(kB|MB|GB)$/.exec(text) ?? [];
  const size = { files: Number(files), bytes: Number(amount) * (UNITS[unit] ?? 0) };
  if (size.files >= 1 && size.files <= MAX_FILES && size.bytes >= MIN_FILE_BYTES) return size;
  throw new InvalidArgumentError(
    `It is FILESxSIZE, such as 5x100MB: up to ${MAX_FILES} files of 100kB or more.`,
  );
}

function targetOf(command: Command, { write, ring }: Options): CaptureTarget {
  if (ring !== undefined) {
    if (write === undefined || write === '-')
      command.error('error: --ring needs -w FILE', { exitCode: EXIT.usage });
    return ringTarget(write, ring);
  }
  if (write === undefined && process.stdout.isTTY) {
    command.error('error: say where to: -w FILE', { exitCode: EXIT.usage });
  }
  return singleTarget(write ?? '-');
}

export function captureCommand(): Command {
  return new Command('capture')
    .description("write VMs' frames to a pcapng file, until a signal, the time or the count ends it")
    .argument('[words...]', 'VMs, and a filter behind them')
    .option('--all', 'at every port; all words are the filter')
    .option('-w, --write <file>', 'the file, - for standard output (default where that is no terminal)')
    .option('--snaplen <bytes>', 'bytes kept of each frame (default all)', wholeNumber(0, MAX_SNAPLEN))
    .addOption(durationOption())
    .addOption(countOption())
    .option('--ring <files>', 'so many files of that size in turn, such as 5x100MB', ringSize)
    .addHelpText(
      'after',
      examples(
        "tapswitch capture vm-1 -w vm-1.pcapng 'tcp port 80'",
        'tapswitch capture --all --snaplen 96 -w all.pcapng --ring 5x100MB',
        'tapswitch capture vm-1 -w - | tshark -r -',
        'tapswitch capture --all --duration 10 -w drops.pcapng drop',
      ),
    )
    .action(async (words: string[], options: Options, command: Command) => {
      const client = clientOf(command);
      const { vms, filter } = await chosen(command, client, words, options.all === true);
      const target = targetOf(command, options);
      const over = new AbortController();
      endSignal().then(() => over.abort());
      const { snaplen, duration, count } = options;
      const blocks = new Blocks();
      const pieces = client.capture({ vms, filter, snaplen, duration, count, signal: over.signal });
      let begun = false;
      for await (const piece of pieces) {
        if (!begun) say(`Capturing ${vms?.join(', ') ?? 'every port'}`);
        begun = true;
        for (const block of blocks.take(piece)) await target.write(block);
      }
      target.close();
      say(
        `${blocks.frames} frames captured${blocks.lost > 0n ? `, ${blocks.lost} lost for want of room` : ''}`,
      );
      process.exit(0); // the handlers of signals would keep it
    });
}
