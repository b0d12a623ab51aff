/** The grammar of ports in a configuration: `tcp/7000`, and forwards `127.0.0.1:16080:6080/tcp`. */
import { parseIpv4 } from '../wire/ipv4.ts';

export type Protocol = 'tcp' | 'udp';

/** A port of the host that guests may open. */
export interface AllowedPort {
  protocol: Protocol;
  /** 1 to 65535 */
  port: number;
}

/** A port of the host that leads to a port of a VM. */
export interface PortForward {
  protocol: Protocol;
  /** Host address listened on, IPv4 as uint32 (127.0.0.1 where the text names none) */
  hostAddress: number;
  /** 1 to 65535 */
  hostPort: number;
  /** 1 to 65535 */
  guestPort: number;
}

export const ALLOWED_PORT_RULE = 'Write "tcp/PORT" or "udp/PORT", a port from 1 to 65535.';
export const PORT_FORWARD_RULE =
  'Write "[host-ip:]host-port:guest-port[/tcp|udp]", for instance "127.0.0.1:16080:6080".';

/** A port from 1 to 65535 in decimal digits, no zero in front, or undefined. */
function parsePort(text: string): number | undefined {
  if (!/^[1-9]\d{0,4}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65535 ? port : undefined;
}

function isProtocol(text: string): text is Protocol {
  return text === 'tcp' || text === 'udp';
}

/** Reads `tcp/PORT` or `udp/PORT`; undefined for anything else. */
export function parseAllowedPort(text: string): AllowedPort | undefined {
  const [protocol, portText, ...rest] = text.split('/');
  const port = portText === undefined ? undefined : parsePort(portText);
  if (port === undefined || !isProtocol(protocol) || rest.length > 0) return undefined;
  return { protocol, port };
}

/** Reads `[host-ip:]host-port:guest-port[/tcp|udp]`, TCP where nothing is said; undefined for anything else. */
export function parsePortForward(text: string): PortForward | undefined {
  const [addresses, protocol = 'tcp', ...rest] = text.split('/');
  if (!isProtocol(protocol) || rest.length > 0) return undefined;
  const parts = addresses.split(':');
  if (parts.length === 2) parts.unshift('127.0.0.1');
  if (parts.length !== 3) return undefined;
  const hostAddress = parseIpv4(parts[0]);
  const hostPort = parsePort(parts[1]);
  const guestPort = parsePort(parts[2]);
  if (hostAddress === undefined || hostPort === undefined || guestPort === undefined) return undefined;
  return { protocol, hostAddress, hostPort, guestPort };
}
