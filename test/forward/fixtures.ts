/** Forwards from text, and who listens, in the namespace the thread is in. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { nowhere } from '../../src/config/fault.ts';
import { type PortForward, resolveForward } from '../../src/config/forwards.ts';
import { TapswitchError } from '../../src/errors.ts';

/** Forwards of one entry of a list. */
export function forwardsOf(listen: string): PortForward[] {
  return resolveForward(listen, nowhere, ['forwards', 0]);
}

export function forward(listen: string): PortForward {
  return forwardsOf(listen)[0] as PortForward;
}

/** Whether somebody listens at `127.0.0.1:80` or `unix:/path`. */
export async function listens(where: string): Promise<boolean> {
  const [, host, port] = /^(.*):(\d+)$/.exec(where) ?? [];
  const socket = where.startsWith('unix:')
    ? connect(where.slice(5))
    : connect(Number(port), host?.replace(/[[\]]/g, ''));
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    if (!['ECONNREFUSED', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return false;
  } finally {
    // Closed for good: descriptors are counted.
    const closed = socket.closed ? undefined : once(socket, 'close');
    socket.destroy();
    await closed;
  }
}

/** The error that `attempt` must end with, one line and with a next step: its code and message. */
export async function refusalOf(attempt: () => unknown): Promise<string> {
  try {
    await attempt();
  } catch (error) {
    // The built package has a class of its own.
    const { name, code, message, nextStep } = error as TapswitchError;
    if (name !== TapswitchError.name) throw error;
    if (message.includes('\n') || !/^[A-Z].*\.$/.test(nextStep)) throw new Error(`${message} ${nextStep}`);
    return `${code}: ${message}`;
  }
  throw new Error('was not refused');
}
