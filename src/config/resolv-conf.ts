/**
 * The name servers of the host's resolver configuration, resolv.conf(5). A stub on a loopback address is one as good as
 * any: it is asked from the host.
 */
import { LOOPBACK } from '../sys/inet-socket.ts';
import type { DnsUpstream } from './dns.ts';
import { ipv4Words, isSameIp, parseIp } from './ip.ts';
import { MAX_UPSTREAMS } from './limits.ts';

export interface ResolverConfig {
  /** In the order of the file, each once, at most MAX_UPSTREAMS */
  upstreams: DnsUpstream[];
  /** What stands for a name server and is not used: no address, an address with a zone, or one too many */
  refused: string[];
}

const PORT = 53;
/** The keyword at the line's start, then a value up to white space or a comment, as the C library reads it */
const NAMESERVER = /^nameserver[ \t]+([^ \t;#]+)/;

/** Reads the file's text. Without any name server the machine's own is meant, as resolv.conf(5) says. */
export function parseResolvConf(text: string): ResolverConfig {
  const upstreams: DnsUpstream[] = [];
  const refused: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const [, value] = NAMESERVER.exec(line) ?? [];
    if (value === undefined) continue;
    const address = parseIp(value);
    if (address !== undefined && upstreams.some((other) => isSameIp(other.address, address))) continue;
    if (address === undefined || upstreams.length === MAX_UPSTREAMS) refused.push(value);
    else upstreams.push({ address, port: PORT });
  }
  if (upstreams.length === 0 && refused.length === 0) {
    upstreams.push({ address: ipv4Words(LOOPBACK), port: PORT });
  }
  return { upstreams, refused };
}
