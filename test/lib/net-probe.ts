/** What a user would try to see whether a network works: ping, curl, the neighbour table. */
import type { Shell } from './net-place.ts';

export interface PingResult {
  readonly sent: number;
  readonly received: number;
  readonly output: string;
}

/** @param seconds how long to wait for the last reply */
export async function ping(
  from: Shell,
  address: string,
  { count = 3, interval = 0.2, seconds = 1 } = {},
): Promise<PingResult> {
  const { stdout, stderr } = await from.run(`ping -n -c ${count} -i ${interval} -W ${seconds} ${address}`);
  const output = stdout + stderr;
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(output) ?? [];
  return { sent: Number(sent ?? 0), received: Number(received ?? 0), output };
}

/** Pings until the first reply, for a path that needs a moment; whether one came. */
export async function answers(from: Shell, address: string, seconds = 3): Promise<boolean> {
  const { status } = await from.run(`ping -n -c 1 -i 0.2 -w ${seconds} ${address}`);
  return status === 0;
}

/** curl's exit statuses for a connection that was refused or unreachable, and for one nobody answered (curl(1)). */
export const CURL_NO_CONNECTION = 7;
export const CURL_TIMEOUT = 28;

export interface CurlResult {
  /** curl's exit status: 0 for any HTTP response */
  readonly exit: number;
  readonly body: string;
  /** What curl says went wrong */
  readonly error: string;
}

/** GETs `url`; HTTP errors are failures too (`--fail`). */
export async function curl(from: Shell, url: string, seconds = 2): Promise<CurlResult> {
  const { status, stdout, stderr } = await from.run(`curl --noproxy '*' -gfsS -m ${seconds} ${url}`);
  return { exit: status, body: stdout, error: stderr };
}

/** Line of the neighbour table about `address`, e.g. `192.168.0.14 dev br0  INCOMPLETE`; empty without one. */
export async function neighbour(from: Shell, address: string): Promise<string> {
  return (await from.run(`ip neigh show ${address}`)).stdout.trim();
}
