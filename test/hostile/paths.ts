/** Which ways between host and guests work, tried all at once. */
import { A, B } from '../lib/frames.ts';
import type { Shell } from '../lib/net-place.ts';
import { curl, ping } from '../lib/net-probe.ts';

export const HOST_TO_GUEST = ['ping host -> guest', 'http host -> guest'];
export const GUEST_TO_HOST = ['ping guest -> gateway'];
export const GUEST_TO_GUEST = ['ping guest -> guest', 'http guest -> guest'];
export const EVERY_WAY = [...HOST_TO_GUEST, ...GUEST_TO_HOST, ...GUEST_TO_GUEST];

interface Shells {
  readonly host: Shell;
  /** The guest at A's address */
  readonly a: Shell;
}

async function pings(from: Shell, address: string): Promise<boolean> {
  const { sent, received } = await ping(from, address, { count: 2 });
  return received > 0 && received === sent;
}

async function serves(from: Shell, address: string): Promise<boolean> {
  return (await curl(from, `http://${address}:6080/`)).exit === 0;
}

/** Names of the ways that work, of those in {@link EVERY_WAY}. */
export async function workingWays({ host, a }: Shells, gateway: string): Promise<string[]> {
  const tries = [pings(host, A.ip), serves(host, A.ip), pings(a, gateway), pings(a, B.ip), serves(a, B.ip)];
  const worked = await Promise.all(tries);
  return EVERY_WAY.filter((_, index) => worked[index]);
}
