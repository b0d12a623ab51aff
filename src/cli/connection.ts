/** What commands that ask the daemon have in common. */
import { type Command, InvalidArgumentError } from 'commander';
import { type Client, createClient } from '../client/client.ts';

/** The client of a command's invocation, at `--socket` where that is given. */
export function clientOf(command: Command): Client {
  const { socket } = command.optsWithGlobals<{ socket?: string }>();
  return createClient(socket === undefined ? {} : { socket });
}

/** Help text with examples, one a line. */
export function examples(...lines: string[]): string {
  return `\nExample${lines.length > 1 ? 's' : ''}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}

/** A reader of whole numbers, for options and arguments. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,15}$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`It is a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

export const guestPort = wholeNumber(1, 65535);
