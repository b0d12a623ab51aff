/** `tapswitch demo`: the switch at work on guests it makes itself. */
import { styleText } from 'node:util';
import { Command, Option } from 'commander';
import type { DemoLine } from '../demo/line.ts';
import { EXIT } from '../errors.ts';
import { endSignal } from './signals.ts';

interface Options {
  mode: 'isolated' | 'shared';
  guests: 'auto' | 'qemu' | 'netns';
  onHost: boolean;
  once: boolean;
  json: boolean;
  quick: boolean;
}

function printLine({ name, ok, seen }: DemoLine): void {
  const mark = ok ? 'ok  ' : 'FAIL';
  const coloured = process.stdout.isTTY ? styleText(ok ? 'green' : 'red', mark) : mark;
  process.stdout.write(`${coloured}  ${name}: ${seen}\n`);
}

async function demo(options: Options): Promise<void> {
  const { playDemo } = await import('../demo/demo.ts');
  const { endPrograms } = await import('../lab/process.ts');
  const { createLogger } = await import('../telemetry/logger.ts');
  const held = await playDemo(
    {
      ...options,
      log: createLogger('warn'),
      onProgress: (message) => process.stderr.write(`demo: ${message}\n`),
      onLine: (line) => {
        if (options.json) process.stdout.write(`${JSON.stringify(line)}\n`);
        else printLine(line);
      },
    },
    endSignal(),
  );
  // A check that was cut short may still be under way.
  await endPrograms();
  process.exit(held || !options.once ? 0 : EXIT.failure);
}

export function demoCommand(): Command {
  return new Command('demo')
    .description('boot two guests on TAPs and show the switch at work on them')
    .addOption(
      new Option('--mode <mode>', "of the guests' network")
        .choices(['isolated', 'shared'])
        .default('isolated'),
    )
    .addOption(
      new Option('--guests <kind>', 'what plays the guests')
        .choices(['auto', 'qemu', 'netns'])
        .default('auto'),
    )
    .option('--on-host', 'use the real host instead of a network namespace made for the demo', false)
    .option('--once', 'end after the lines, with status 0 only if every one held', false)
    .option('--json', 'print the lines as JSON', false)
    .option('--quick', 'measure throughput only briefly', false)
    .addHelpText('after', '\nExamples:\n  tapswitch demo\n  tapswitch demo --once --json --mode shared')
    .action(demo);
}
