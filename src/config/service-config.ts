/** The sections about the daemon around the switch: text in, `ServiceConfig` out, checked against the networks. */
import { configError, type Fail, failAt, type Locate, nowhere, type Path, quote } from './fault.ts';
import { socketPath } from './forwards.ts';
import { formatEndpoint, formatIp, isLoopback, parseIp } from './ip.ts';
import { DEFAULT_NETWORK, isInterfaceName } from './names.ts';
import { parsePort } from './ports.ts';
import { findProfile } from './profiles.ts';
import type { SwitchConfig } from './resolve.ts';
import type { ApiInput, AutoAttachInput, ConfigInput, GuestAccessInput } from './schema.ts';
import type {
  ApiConfig,
  AutoAttachRule,
  GuestAccessConfig,
  ListenAddress,
  ServiceConfig,
} from './service.ts';
import { didYouMean } from './suggest.ts';

/** Variables of the environment that a configuration heeds. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Variable that says where the unix socket of the API is, before the file does */
export const SOCKET_VARIABLE = 'TAPSWITCH_SOCKET';

const DEFAULT_SOCKET = '/run/tapswitch/api.sock';
const DEFAULT_DOMAIN = 'localhost'; // and all below it is loopback in browsers: RFC 6761 section 6.3
const LISTENER = /^(?:\[([^\]]*:[^\]]*)\]|([^:[\]]*)):([^:]*)$/;
const LISTENER_RULE =
  'Write "ADDRESS:PORT", IPv6 in brackets, for instance 127.0.0.1:7080; port 0 takes a free one.';
const LONGEST_NAME = 253; // RFC 1035 section 2.3.4: 255 bytes in a message, so 253 characters
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const NAME_RULE = 'Labels have 1 to 63 letters, digits and "-", with dots between, 253 characters in all.';
const GROUP = /^[^\s:,\p{Cc}]+$/u;

interface Listener {
  readonly address: ListenAddress;
  readonly loopback: boolean;
}

function listenerOf(text: string, fail: Fail): Listener {
  const [, inBrackets, plain, portText = ''] = LISTENER.exec(text) ?? [];
  const words = parseIp(inBrackets ?? plain ?? '');
  const port = portText === '0' ? 0 : parsePort(portText);
  if (words === undefined || port === undefined) {
    throw fail(`${quote(text)} is not the address of a listener`, LISTENER_RULE);
  }
  return { address: { host: formatIp(words), port }, loopback: isLoopback(words) };
}

const isSame = (a: ListenAddress, b: ListenAddress): boolean =>
  a.port !== 0 && a.port === b.port && a.host === b.host;

function hostName(text: string, fail: Fail): string {
  const name = text.toLowerCase().replace(/\.$/, '');
  if (name.length <= LONGEST_NAME && name.split('.').every((label) => LABEL.test(label))) return name;
  throw fail(`${quote(text)} is not the name of a host`, NAME_RULE);
}

function resolveListen(input: ApiInput, locate: Locate): ListenAddress[] {
  const { listen = [], exposed = false, tokenFile } = input;
  const seen: ListenAddress[] = [];
  for (const [i, text] of listen.entries()) {
    const fail = failAt(locate, ['api', 'listen', i]);
    const { address, loopback } = listenerOf(text, fail);
    if (!loopback && !exposed) {
      throw fail(`${text} can be reached by other hosts`, 'Listen on 127.0.0.1, or set exposed: true.');
    }
    if (seen.some((other) => isSame(other, address))) {
      throw fail(`${text} is given twice`, 'Keep one of the two.');
    }
    seen.push(address);
  }
  if (seen.length > 0 && tokenFile === undefined) {
    const message = 'a TCP listener needs a token';
    throw failAt(locate, ['api', 'listen'])(message, 'Name the file that has it: tokenFile: /path.');
  }
  return seen;
}

function resolveSocket(input: ApiInput, locate: Locate, environment: Environment): string {
  const given = environment[SOCKET_VARIABLE];
  if (given) return socketPath(given, failAt(nowhere, [SOCKET_VARIABLE]));
  return socketPath(input.socket ?? DEFAULT_SOCKET, failAt(locate, ['api', 'socket']));
}

function resolveApi(input: ApiInput, locate: Locate, environment: Environment): ApiConfig {
  const { group, tokenFile, hosts = [] } = input;
  if (typeof group === 'string' && !GROUP.test(group)) {
    const message = `${quote(group)} is not the name of a group`;
    throw failAt(locate, ['api', 'group'])(message, 'Give a name of /etc/group, or a number.');
  }
  if (tokenFile !== undefined && (!tokenFile.startsWith('/') || tokenFile.includes('\0'))) {
    const message = `${quote(tokenFile)} is not the path of a file`;
    throw failAt(locate, ['api', 'tokenFile'])(message, 'Give an absolute path.');
  }
  return {
    socket: resolveSocket(input, locate, environment),
    ...(group !== undefined && { group }),
    listen: resolveListen(input, locate),
    ...(tokenFile !== undefined && { tokenFile }),
    hosts: hosts.map((text, i) => hostName(text, failAt(locate, ['api', 'hosts', i]))),
  };
}

function resolveGuestAccess(input: GuestAccessInput, api: ApiConfig, locate: Locate): GuestAccessConfig {
  const fail = failAt(locate, ['guestAccess', 'listen']);
  const { address, loopback } = listenerOf(input.listen, fail);
  if (!loopback) {
    const nextStep = 'Listen on 127.0.0.1 or [::1]; a proxy of your own can show it to others.';
    throw fail(`${input.listen} can be reached by other hosts`, nextStep);
  }
  if (api.listen.some((other) => isSame(other, address))) {
    const nextStep = 'What VMs serve is an origin apart from the API: give it a port of its own.';
    throw fail(`the API listens at ${input.listen}`, nextStep);
  }
  const domain = hostName(input.domain ?? DEFAULT_DOMAIN, failAt(locate, ['guestAccess', 'domain']));
  return { listen: address, domain };
}

function checkPattern(match: string, fail: Fail): void {
  const literal = match.replaceAll(/[*?]/g, '');
  if (literal === '' && match !== '') {
    const nextStep = 'Begin it with what the names of your TAPs have in common, for instance fc-*.';
    throw fail(`${quote(match)} matches every interface, the host's own too`, nextStep);
  }
  // a name of the kernel with wildcards in it: * may stand for nothing, ? stands for a character
  if (isInterfaceName(match.replaceAll('*', '').replaceAll('?', 'x'))) return;
  const nextStep =
    'Names have 1 to 15 bytes, without white space, "/", ":" or "%"; * and ? stand for others.';
  throw fail(`${quote(match)} is not a pattern of interface names`, nextStep);
}

function resolveRule(
  input: AutoAttachInput,
  { networks, profiles }: SwitchConfig,
  locate: Locate,
  base: Path,
): AutoAttachRule {
  const { match, network = DEFAULT_NETWORK, profile } = input;
  checkPattern(match, failAt(locate, [...base, 'match']));
  if (!networks.has(network)) {
    const message = `there is no network ${quote(network)}${didYouMean(network, networks.keys())}`;
    const nextStep = `Known networks: ${[...networks.keys()].join(', ') || 'none'}.`;
    throw configError('NETWORK_UNKNOWN', locate, [...base, 'network'], message, nextStep);
  }
  if (profile !== undefined) findProfile(profile, profiles, locate, [...base, 'profile']);
  return { match, network, ...(profile !== undefined && { profile }) };
}

/**
 * Checks the sections `api`, `guestAccess` and `autoAttach`, whose shape is already checked.
 * @throws TapswitchError CONFIG_INVALID, NETWORK_UNKNOWN or PROFILE_UNKNOWN
 */
export function resolveService(
  input: ConfigInput,
  config: SwitchConfig,
  locate: Locate,
  environment: Environment,
): ServiceConfig {
  const api = resolveApi(input.api ?? {}, locate, environment);
  const { guestAccess, autoAttach = [] } = input;
  return {
    api,
    ...(guestAccess !== undefined && { guestAccess: resolveGuestAccess(guestAccess, api, locate) }),
    autoAttach: autoAttach.map((rule, i) => resolveRule(rule, config, locate, ['autoAttach', i])),
  };
}

/** Text of a listener's address, as it is written in a configuration. */
export function formatListenAddress({ host, port }: ListenAddress): string {
  const words = parseIp(host);
  return words === undefined ? `${host}:${port}` : formatEndpoint(words, port);
}
