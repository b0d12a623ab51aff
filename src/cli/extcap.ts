/**
 * `tapswitch extcap`: each VM an interface in Wireshark, by the protocol of extcap(4).
 *
 * Wireshark calls it several times, each time for one answer: which interfaces there are, of what link type, whether a
 * filter can be read, and last to capture into a FIFO until SIGTERM or until the FIFO has no reader any more.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Command } from 'commander';
import { compileFilter } from '../capture/filter/compile.ts';
import type { Client } from '../client/client.ts';
import { EXIT, TapswitchError } from '../errors.ts';
import { clientOf, examples } from './connection.ts';
import { extcapFolder, installExtcap } from './extcap-install.ts';
import { say, write } from './output.ts';
import { endSignal } from './signals.ts';

/** Name of the interface that is every port; those of VMs have it before the id, to be no host interface's name */
const EVERY_PORT = 'tapswitch';
const PREFIX = `${EVERY_PORT}-`;

interface Options {
  readonly extcapInterfaces?: boolean;
  readonly extcapInterface?: string;
  readonly extcapDlts?: boolean;
  readonly extcapConfig?: boolean;
  readonly capture?: boolean;
  readonly fifo?: string;
  readonly extcapCaptureFilter?: string;
}

async function listInterfaces(client: Client, version: string): Promise<void> {
  const vms = await client.vms();
  const lines = [
    `extcap {version=${version}}`,
    `interface {value=${EVERY_PORT}}{display=tapswitch: every port}`,
    ...vms.map(
      ({ id, network }) =>
        `interface {value=${PREFIX}${id}}{display=tapswitch: VM ${id}, network ${network}}`,
    ),
  ];
  write(lines.map((line) => `${line}\n`).join(''));
}

/** VMs of an interface; undefined for every port. */
function vmsOf(command: Command, name: string): string[] | undefined {
  if (name === EVERY_PORT) return undefined;
  if (name.startsWith(PREFIX)) return [name.slice(PREFIX.length)];
  command.error(`error: ${name} is no interface of tapswitch`, { exitCode: EXIT.usage });
}

/** Says on stdout what is wrong with a filter: Wireshark takes silence for a filter that can be read. */
function checkFilter(filter: string): void {
  try {
    compileFilter(filter, new Map());
  } catch (error) {
    if (!(error instanceof TapswitchError)) throw error;
    write(`${error.message}\n`);
  }
}

async function captureInto(
  client: Client,
  vms: string[] | undefined,
  filter: string | undefined,
  fifo: string,
): Promise<void> {
  // Nothing is made where no FIFO is. Opening waits for its reader; a signal meanwhile ends the process as always.
  const file = await open(fifo, constants.O_WRONLY).catch((error) => {
    throw unwritable(fifo, error);
  });
  const over = new AbortController();
  endSignal().then(() => over.abort());
  try {
    for await (const piece of client.capture({ vms, filter, signal: over.signal }))
      await writeAll(file, piece);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return; // Wireshark has stopped the capture
    throw error;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}

function unwritable(path: string, error: NodeJS.ErrnoException): TapswitchError {
  const message = `${path} cannot be written: ${error.code}`;
  return new TapswitchError('SYSTEM_CALL_FAILED', message, 'Give the FIFO that Wireshark made.', error);
}

function installCommand(): Command {
  return new Command('install')
    .description("put a script into Wireshark's folder of extcap programs")
    .option('--dir <folder>', "the folder (default Wireshark's personal one)")
    .addHelpText(
      'after',
      examples('tapswitch extcap install', 'tapswitch --socket /tmp/host.sock extcap install'),
    )
    .action(async ({ dir }: { dir?: string }, command: Command) => {
      const { socket } = command.optsWithGlobals<{ socket?: string }>();
      const path = installExtcap(dir ?? extcapFolder(), socket);
      say(`Wrote ${path}`);
    });
}

export function extcapCommand(version: string): Command {
  return new Command('extcap')
    .description("be a program of Wireshark's extcap interface, which calls it")
    .option('--extcap-interfaces', 'print the interfaces: every port, and each VM')
    .option('--extcap-version <version>', "Wireshark's version")
    .option('--extcap-interface <name>', 'the interface that is asked about')
    .option('--extcap-dlts', 'print its link type')
    .option('--extcap-config', 'print its options, of which there are none')
    .option('--extcap-capture-filter <filter>', 'the filter; without --capture, print what is wrong with it')
    .option('--capture', 'capture until a signal, or until nobody reads')
    .option('--fifo <path>', 'FIFO to write to')
    .addCommand(installCommand())
    .action(async (options: Options, command: Command) => {
      if (options.extcapInterfaces === true) return listInterfaces(clientOf(command), version);
      if (options.extcapInterface === undefined) {
        command.error('error: say --extcap-interfaces or --extcap-interface', { exitCode: EXIT.usage });
      }
      const vms = vmsOf(command, options.extcapInterface);
      const { extcapCaptureFilter: filter, fifo } = options;
      if (options.extcapDlts === true) return write('dlt {number=1}{name=EN10MB}{display=Ethernet}\n');
      if (options.extcapConfig === true) return;
      if (options.capture !== true) return checkFilter(filter ?? '');
      if (fifo === undefined) command.error('error: --capture needs --fifo', { exitCode: EXIT.usage });
      await captureInto(clientOf(command), vms, filter, fifo);
      process.exit(0); // the handlers of signals would keep it
    });
}
