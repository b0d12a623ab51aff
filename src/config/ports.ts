/** Ports in a configuration: numbers, ranges, `tcp/7000`, and the host's services `8080:9000/tcp`. */
import { type Fail, quote } from './fault.ts';

export type Protocol = 'tcp' | 'udp';

/** A port of the host that guests may open. */
export interface AllowedPort {
  protocol: Protocol;
  /** 1 to 65535 */
  port: number;
}

/** A port of the gateway that leads to a port of the host's loopback address. */
export interface HostService {
  protocol: Protocol;
  /** 1 to 65535 */
  gatewayPort: number;
  /** 1 to 65535 */
  hostPort: number;
}

/** Ports from `first` to `last`, both included. */
export interface PortRange {
  first: number;
  last: number;
}

export const PORT_RULE = 'A port is a number from 1 to 65535, a range two of them with "-" between.';
export const ALLOWED_PORT_RULE = 'Write "tcp/PORT" or "udp/PORT", a port from 1 to 65535.';
const HOST_SERVICE_RULE =
  'Write "gateway-port:host-port[/tcp|udp]", for instance "8080:9000", or one port for both.';

/** What the gateway answers itself: DNS (RFC 1035 section 4.2) and DHCP (RFC 2131 section 4.1). */
const GATEWAY_SERVICES: Readonly<Record<string, string>> = {
  'udp/53': 'DNS',
  'tcp/53': 'DNS',
  'udp/67': 'DHCP',
};

/** A port from 1 to 65535 in decimal digits, no zero in front, or undefined. */
export function parsePort(text: string): number | undefined {
  if (!/^[1-9]\d{0,4}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65535 ? port : undefined;
}

/** A port or a range of ports that does not run backwards, or undefined. */
export function parsePortRange(text: string): PortRange | undefined {
  const [firstText, lastText = firstText, ...rest] = text.split('-');
  const first = parsePort(firstText);
  const last = parsePort(lastText);
  if (first === undefined || last === undefined || first > last || rest.length > 0) return undefined;
  return { first, last };
}

export function isProtocol(text: string): text is Protocol {
  return text === 'tcp' || text === 'udp';
}

/** Reads `tcp/PORT` or `udp/PORT`; undefined for anything else. */
export function parseAllowedPort(text: string): AllowedPort | undefined {
  const [protocol, portText, ...rest] = text.split('/');
  const port = portText === undefined ? undefined : parsePort(portText);
  if (port === undefined || !isProtocol(protocol) || rest.length > 0) return undefined;
  return { protocol, port };
}

/** Reads `gateway-port:host-port[/tcp|udp]` or one port for both; throws what `fail` makes for anything else. */
export function resolveHostService(text: string, fail: Fail): HostService {
  const [ports, protocol = 'tcp', ...rest] = text.split('/');
  const [gatewayText, hostText = gatewayText, ...more] = ports.split(':');
  const gatewayPort = parsePort(gatewayText);
  const hostPort = parsePort(hostText);
  const whole = rest.length + more.length === 0;
  if (gatewayPort === undefined || hostPort === undefined || !isProtocol(protocol) || !whole) {
    throw fail(`${quote(text)} is not a service of the host`, HOST_SERVICE_RULE);
  }
  const reserved = GATEWAY_SERVICES[`${protocol}/${gatewayPort}`];
  if (reserved !== undefined) {
    const message = `port ${gatewayPort}/${protocol} of the gateway is for its own ${reserved}`;
    throw fail(message, "Choose another port of the gateway; the host's port stays as it is.");
  }
  return { protocol, gatewayPort, hostPort };
}
