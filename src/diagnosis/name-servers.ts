/** Whether the name servers that a guest's questions are passed on to answer. */
import { Resolver } from 'node:dns/promises';
import type { DnsUpstream } from '../config/dns.ts';
import { formatEndpoint } from '../config/ip.ts';
import type { DnsServerFacts } from './facts.ts';

const PATIENCE_MS = 700;
/** Of more servers than this the first are asked */
const MOST_ASKED = 3;
/** Nobody answered; anything else, a refusal too, is an answer */
const SILENCES: readonly string[] = ['ETIMEOUT', 'ECONNREFUSED', 'ECANCELLED'];

async function answers(server: string): Promise<boolean> {
  const resolver = new Resolver({ timeout: PATIENCE_MS, tries: 1 });
  resolver.setServers([server]);
  // However long a server library's own patience is
  const timer = setTimeout(() => resolver.cancel(), PATIENCE_MS);
  try {
    await resolver.resolveNs('.');
    return true;
  } catch (error) {
    return !SILENCES.includes((error as NodeJS.ErrnoException).code ?? '');
  } finally {
    clearTimeout(timer);
  }
}

/** Asks each for the servers of the root; 0.7 s at the longest. Never throws. */
export function askNameServers(upstreams: readonly DnsUpstream[]): Promise<DnsServerFacts[]> {
  const servers = upstreams.slice(0, MOST_ASKED).map(({ address, port }) => formatEndpoint(address, port));
  return Promise.all(servers.map(async (server) => ({ server, answers: await answers(server) })));
}
