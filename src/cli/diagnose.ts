/** `tapswitch diagnose`: why a VM does not answer. */
import { Command, InvalidArgumentError } from 'commander';
import type { Diagnosis } from '../client/client.ts';
import type { BridgeSubject } from '../diagnosis/bridge/diagnose.ts';
import { exitStatusOf } from '../diagnosis/verdicts.ts';
import { EXIT, TapswitchError } from '../errors.ts';
import { parseIpv4 } from '../wire/ipv4.ts';
import { clientOf, examples, guestPort } from './connection.ts';
import { EVENTS } from './live.ts';
import { type Shape, tableText, write } from './output.ts';

/** Of the VM's last events, how many are shown; `--json` has all */
const SHOWN_EVENTS = 8;

interface Hop {
  readonly hop: string;
  readonly status: string;
  readonly evidence: string;
}

/** What the daemon says of a VM, or this process of a guest on a bridge. */
interface Diagnosed {
  readonly hops: readonly Hop[];
  readonly recent: Diagnosis['recent'];
  readonly verdict: { readonly code: string; readonly sentence: string; readonly nextStep: string };
}

const HOPS: Shape<Hop> = {
  columns: {
    HOP: ({ hop }) => hop,
    STATUS: ({ status }) => status,
    EVIDENCE: ({ evidence }) => evidence,
  },
  id: ({ hop }) => hop,
};

function textOf({ hops, recent, verdict }: Diagnosed): string {
  const { code, sentence, nextStep } = verdict;
  const events = recent.length === 0 ? '' : `\n${tableText(recent.slice(-SHOWN_EVENTS), EVENTS)}`;
  return `${tableText(hops, HOPS)}${events}\n${code}: ${sentence} ${nextStep}\n`;
}

interface Options {
  readonly port?: number;
  readonly json?: boolean;
  readonly tap?: string;
  readonly ip?: string;
  readonly peer?: string;
}

function ipv4(text: string): string {
  if (parseIpv4(text) === undefined) throw new InvalidArgumentError('It is an IPv4 address.');
  return text;
}

/** What the options ask about on a bridge; undefined where they ask the daemon about a VM. */
function bridgeSubject(id: string | undefined, { tap, ip, peer, port }: Options): BridgeSubject | undefined {
  const refuse = (message: string): never => {
    throw new TapswitchError('BAD_REQUEST', message, 'Give the id of a VM, or --tap and --ip.');
  };
  if (id !== undefined && tap !== undefined) return refuse('a VM and --tap are given');
  if (tap === undefined && (ip !== undefined || peer !== undefined))
    return refuse('--ip and --peer belong to --tap');
  if (tap === undefined) return id === undefined ? refuse('neither a VM nor --tap is given') : undefined;
  if (ip === undefined) return refuse('--tap is given without --ip');
  if (ip === peer) return refuse('--peer is the guest itself');
  return { tap, ip, peer, port };
}

async function ofBridge(subject: BridgeSubject): Promise<Diagnosed> {
  const { diagnoseOnBridge } = await import('../diagnosis/bridge/diagnose.ts');
  return { ...subject, ...(await diagnoseOnBridge(subject)), recent: [] };
}

export function diagnoseCommand(): Command {
  return new Command('diagnose')
    .description('say why a VM, or a TCP port of it, does not answer')
    .argument('[id]', 'id of the VM')
    .option('--port <n>', 'port of the guest to ask about', guestPort)
    .option('--tap <name>', 'without a daemon: TAP of a guest on a Linux bridge')
    .option('--ip <address>', 'its address, with --tap', ipv4)
    .option('--peer <address>', 'another guest that talks to it, instead of the host; with --tap', ipv4)
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      examples(
        'tapswitch diagnose vm-1',
        'tapswitch diagnose vm-1 --port 6080 --json',
        'tapswitch diagnose --tap fc-vm-02018 --ip 192.168.0.14',
      ),
    )
    .action(async (id: string | undefined, options: Options, command: Command) => {
      const subject = bridgeSubject(id, options);
      const ofVm = async (): Promise<Diagnosed> => clientOf(command).diagnose(id as string, options.port);
      const diagnosis = await (subject === undefined ? ofVm() : ofBridge(subject));
      write(options.json === true ? `${JSON.stringify(diagnosis, null, 2)}\n` : textOf(diagnosis));
      const { code } = diagnosis.verdict;
      // A bridge's verdicts are a list of their own, in which a code of the other list may stand for another class.
      if (subject === undefined) process.exitCode = exitStatusOf(code);
      else if (code !== 'HEALTHY') process.exitCode = EXIT.unavailable;
    });
}
