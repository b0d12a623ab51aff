/** Which VM and port a path leads to, and what is left of it for the guest. */
import { invalid } from './failure.ts';

export interface Target {
  /** http: a service of HTTP; ws: plain TCP in a WebSocket; vm: the VM's own page, where a link may end */
  readonly kind: 'http' | 'ws' | 'vm';
  readonly id: string;
  /** 0 for a VM's own page */
  readonly port: number;
  /** What stands before the guest's own path, without a slash at its end */
  readonly prefix: string;
  /** The guest's own path; empty where the request's ends with the port */
  readonly path: string;
  /** With its question mark; empty without one, and never with a link's token */
  readonly query: string;
  /** Token of a link, where the query has one */
  readonly token: string | undefined;
}

/** Parameter of a query that carries a link's token, and what the cookie's name begins with that does afterwards. */
export const LINK_NAME = 'tapswitch-link';

const PATH = /^\/v1\/vms\/([^/?#]+)(?:\/(?:(http|ws)\/([^/?#]+)(\/[^?#]*)?)?)(\?[^#]*)?$/;
const LARGEST_PORT = 65_535;
// As the WHATWG's URL standard has it: a dot may be written %2e
const DOT_SEGMENT = /(?:^|[/\\])(?:\.|%2e){1,2}(?:[/\\]|$)/i;

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('The VM id in the path is badly encoded', 'Encode it as UTF-8, in percent escapes.');
  }
}

/** @throws TapswitchError BAD_REQUEST */
export function portOf(text: string): number {
  const port = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > LARGEST_PORT) {
    throw invalid('The port in the path is no port', `Use a number from 1 to ${LARGEST_PORT}.`);
  }
  return port;
}

function splitQuery(query: string): { readonly query: string; readonly token: string | undefined } {
  const parts = query.slice(1).split('&');
  const ours = (part: string) => part.startsWith(`${LINK_NAME}=`);
  const rest = parts.filter((part) => !ours(part));
  const token = parts.find(ours)?.slice(LINK_NAME.length + 1);
  if (token === undefined) return { query, token };
  return { query: rest.length === 0 ? '' : `?${rest.join('&')}`, token };
}

/**
 * Reads the target of a request as it was sent, so that nobody has resolved its dots before; undefined where it is
 * none of ours.
 * @throws TapswitchError BAD_REQUEST for a port that is none, a badly encoded id, or dot segments
 */
export function targetOf(url: string): Target | undefined {
  const match = PATH.exec(url);
  if (match === null) return undefined;
  const [, rawId, kind, rawPort, path = '', rawQuery = ''] = match;
  const id = decoded(rawId as string);
  const base = `/v1/vms/${encodeURIComponent(id)}`;
  const query = splitQuery(rawQuery);
  if (kind === undefined) return { kind: 'vm', id, port: 0, prefix: base, path: '/', ...query };
  // Nothing outside the prefix would be reached: but a browser would have resolved them, so somebody is trying.
  if (DOT_SEGMENT.test(path)) throw invalid('The path has dot segments', 'Resolve them first.');
  const port = portOf(rawPort as string);
  // The path of a WebSocket to TCP ends with the port.
  if (kind === 'ws' && path !== '' && path !== '/') return undefined;
  return { kind: kind as 'http' | 'ws', id, port, prefix: `${base}/${kind}/${port}`, path, ...query };
}
