/** The way of the host's own stack to a guest: its route, and whether a connection of its own gets there and back. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { within } from '../engine/namespace.ts';
import { lookUpRoute } from '../sys/route-lookup.ts';
import { withRouteSocket } from '../sys/rtnetlink.ts';
import type { HostWayFacts, Outcome } from './facts.ts';

const PATIENCE_MS = 600;

/** The host port of a network. */
export interface HostPortPlace {
  readonly name: string;
  readonly netns?: string | undefined;
}

/** Interface that the host's packets to `ip` leave by; undefined where no route lets them. */
export function seeRoute({ netns }: HostPortPlace, ip: string): HostWayFacts['leavesBy'] {
  return within(netns, () => {
    const found = lookUpRoute(ip);
    if (typeof found === 'string') return undefined;
    const link = withRouteSocket((routes) => routes.linkByIndex(found.index));
    return link && { name: link.name, kind: link.kind };
  });
}

/** Opens a connection as any program of the host would; a refusal has come from the guest, too. */
export async function reachFromHost(
  ip: string,
  port: number,
): Promise<{ reached: Outcome; detail?: string }> {
  const socket = connect({ host: ip, port, signal: AbortSignal.timeout(PATIENCE_MS) });
  try {
    await once(socket, 'connect');
    return { reached: 'answered' };
  } catch (error) {
    const { code = 'UNKNOWN', name } = error as NodeJS.ErrnoException;
    if (code === 'ECONNREFUSED' || code === 'ECONNRESET') return { reached: 'answered' };
    return { reached: 'silent', detail: name === 'AbortError' ? 'no answer' : code };
  } finally {
    socket.destroy();
  }
}
