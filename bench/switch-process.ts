/**
 * The switch under test as a program: takes its configuration as JSON and, where a capture is to run, that capture's
 * options; says "ready", ends on SIGTERM. On SIGUSR2 it says what was captured so far, a line of JSON. On SIGHUP
 * a worker dies.
 */
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createSwitch } from 'tapswitch';

const [config, captureOptions] = process.argv.slice(2) as [string, string | undefined];
const tapswitch = await createSwitch(JSON.parse(config));
if (captureOptions !== undefined) {
  const capture = await tapswitch.capture(JSON.parse(captureOptions));
  void pipeline(capture, createWriteStream('/dev/null'));
  process.on('SIGUSR2', () => {
    const { written, lost } = capture;
    process.stdout.write(`${JSON.stringify({ written, lost })}\n`);
  });
}
process.once('SIGTERM', () => void tapswitch.close());
process.on('SIGHUP', () => tapswitch.crashWorker(0));
process.stdout.write('ready\n');
