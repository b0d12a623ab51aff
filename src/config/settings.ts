/**
 * The values in effect of a checked configuration, defaults filled in, as text and numbers a file could have: one
 * setting for each, with where its value came from.
 */
import { formatIpv4 } from '../wire/ipv4.ts';
import { formatMac } from '../wire/mac.ts';
import type { Path } from './fault.ts';
import type { PortForward } from './forwards.ts';
import { formatEndpoint, formatIp } from './ip.ts';
import type { ConfigFile, DaemonConfig } from './load.ts';
import type { HostPortConfig, NetworkConfig } from './network.ts';
import { formatSubnet6 } from './network6.ts';
import type { ProfileConfig } from './profiles.ts';
import type { VmConfig } from './resolve.ts';
import type { ServiceConfig } from './service.ts';
import { type Environment, formatListenAddress, SOCKET_VARIABLE } from './service-config.ts';
import { formatSubnet } from './subnet.ts';

type Scalar = string | number | boolean;

export interface Setting {
  readonly path: Path;
  readonly value: Scalar;
  /** `file:line`, `environment`, `profile NAME` or `default` */
  readonly origin: string;
}

/** A value of the tree that a configuration is. */
export type Tree = Scalar | Tree[] | { [key: string]: Tree };

interface Found {
  readonly path: Path;
  readonly value: Scalar | undefined;
  /** Where the file has it, if elsewhere than at `path` */
  readonly at?: Path;
  readonly profile?: string;
}

const list = (path: Path, values: readonly Scalar[], more: Omit<Found, 'path' | 'value'> = {}): Found[] =>
  values.map((value, i) => ({ path: [...path, i], value, ...more }));

function listenText({ protocol, host, guestPort }: PortForward): string {
  if (host.kind === 'unix') return `unix:${host.path}:${guestPort}`;
  return `${formatEndpoint(host.address, host.port)}:${guestPort}/${protocol}`;
}

/** Ranges are single forwards here, so the file has them where the list is; the last `added` are a profile's. */
function forwardsOf(base: Path, forwards: readonly PortForward[], added: number, profile?: string): Found[] {
  const path = [...base, 'forwards'];
  return forwards.flatMap((forward, i) => {
    const isAdded = i >= forwards.length - added;
    const from = isAdded && profile !== undefined ? { profile } : { at: path };
    return [
      { path: [...path, i, 'listen'], value: listenText(forward), ...from },
      { path: [...path, i, 'wait'], value: forward.waitMs / 1000, ...from },
    ];
  });
}

function hostPortOf(base: Path, hostPort: HostPortConfig): Found[] {
  return [
    { path: [...base, 'name'], value: hostPort.name },
    { path: [...base, 'address'], value: formatIpv4(hostPort.address) },
    { path: [...base, 'mtu'], value: hostPort.mtu },
    { path: [...base, 'netns'], value: hostPort.netns },
    ...list(
      [...base, 'allowFromGuests'],
      hostPort.allowFromGuests.map(({ protocol, port }) => `${protocol}/${port}`),
    ),
  ];
}

function networkOf(network: NetworkConfig): Found[] {
  const { name, subnet, gateway, mode, ipv6, mtu, clones, hostPort, hostServices, dns, egress, limits } =
    network;
  const base = ['networks', name];
  const records = [...base, 'dns', 'records'];
  return [
    { path: [...base, 'subnet'], value: formatSubnet(subnet) },
    { path: [...base, 'gateway'], value: formatIpv4(gateway) },
    { path: [...base, 'mode'], value: mode },
    { path: [...base, 'subnet6'], value: ipv6 === undefined ? 'none' : formatSubnet6(ipv6.subnet) },
    { path: [...base, 'gateway6'], value: ipv6 && formatIp(ipv6.gateway) },
    { path: [...base, 'mtu'], value: mtu },
    { path: [...base, 'clones'], value: clones },
    ...(hostPort === undefined ? [] : hostPortOf([...base, 'hostPort'], hostPort)),
    ...list(
      [...base, 'hostServices'],
      hostServices.map((service) => `${service.gatewayPort}:${service.hostPort}/${service.protocol}`),
    ),
    ...[...dns.records].flatMap(([host, addresses]) =>
      list([...records, host], addresses.map(formatIp), { at: records }),
    ),
    ...list(
      [...base, 'dns', 'upstreams'],
      (dns.upstreams ?? []).map(({ address, port }) => formatEndpoint(address, port)),
    ),
    ...list(
      [...base, 'egress'],
      egress.map(({ text }) => text),
    ),
    ...Object.entries(limits).map(([name, value]) => ({ path: [...base, 'limits', name], value })),
  ];
}

function vmOf(vm: VmConfig, profile: ProfileConfig | undefined): Found[] {
  const base = ['vms', vm.id];
  const own = vm.egress.length - (profile?.egress.length ?? 0);
  const rules = list(
    [...base, 'egress'],
    vm.egress.map(({ text }) => text),
  );
  return [
    { path: [...base, 'network'], value: vm.network },
    { path: [...base, 'tap'], value: vm.tap },
    { path: [...base, 'netns'], value: vm.netns },
    { path: [...base, 'mac'], value: vm.mac === undefined ? undefined : formatMac(vm.mac) },
    { path: [...base, 'ip'], value: vm.ip === undefined ? undefined : formatIpv4(vm.ip) },
    { path: [...base, 'ip6'], value: vm.ip6 && formatIp(vm.ip6) },
    { path: [...base, 'takeover'], value: vm.takeover },
    { path: [...base, 'profile'], value: vm.profile },
    ...forwardsOf(base, vm.forwards, profile?.forwards.length ?? 0, vm.profile),
    ...rules.map((rule, i) =>
      i < own || vm.profile === undefined ? rule : { ...rule, profile: vm.profile },
    ),
  ];
}

function profileOf({ name, forwards, egress }: ProfileConfig): Found[] {
  const base = ['profiles', name];
  return [
    ...forwardsOf(base, forwards, 0),
    ...list(
      [...base, 'egress'],
      egress.map(({ text }) => text),
    ),
  ];
}

function serviceOf({ api, guestAccess, autoAttach }: ServiceConfig): Found[] {
  return [
    { path: ['api', 'socket'], value: api.socket },
    { path: ['api', 'group'], value: api.group },
    ...list(['api', 'listen'], api.listen.map(formatListenAddress)),
    { path: ['api', 'tokenFile'], value: api.tokenFile },
    ...list(['api', 'hosts'], api.hosts),
    { path: ['guestAccess', 'listen'], value: guestAccess && formatListenAddress(guestAccess.listen) },
    { path: ['guestAccess', 'domain'], value: guestAccess?.domain },
    ...autoAttach.flatMap(({ match, network, profile }, i) => [
      { path: ['autoAttach', i, 'match'], value: match },
      { path: ['autoAttach', i, 'network'], value: network },
      { path: ['autoAttach', i, 'profile'], value: profile },
    ]),
  ];
}

function valuesOf({ switch: { networks, vms, profiles, ...rest }, service }: DaemonConfig): Found[] {
  return [
    ...[...networks.values()].flatMap(networkOf),
    ...[...vms.values()].flatMap((vm) => vmOf(vm, profiles.get(vm.profile ?? ''))),
    ...[...profiles.values()].flatMap(profileOf),
    ...serviceOf(service),
    { path: ['capture', 'maximum'], value: rest.capture.maximum },
    { path: ['capture', 'ringBytes'], value: rest.capture.ringBytes },
    { path: ['guard'], value: rest.guard },
    { path: ['fastPath'], value: rest.fastPath },
    { path: ['workers'], value: rest.workers },
  ];
}

/** Every value in effect. `file` is what `config` was made of, in that environment. */
export function settingsOf(config: DaemonConfig, file: ConfigFile, environment: Environment): Setting[] {
  const originOf = ({ path, at = path, profile }: Found): string => {
    if (profile !== undefined) return `profile ${profile}`;
    if (path[0] === 'api' && path[1] === 'socket' && environment[SOCKET_VARIABLE]) return 'environment';
    return file.lineOf(at) ?? 'default';
  };
  return valuesOf(config).flatMap((found) =>
    found.value === undefined ? [] : [{ path: found.path, value: found.value, origin: originOf(found) }],
  );
}

/** A mapping whose keys are users' names: `__proto__` is one too. */
function emptyMapping(): Record<string, Tree> {
  return Object.create(null) as Record<string, Tree>;
}

/** The tree those values stand in. */
export function treeOf(settings: readonly Pick<Setting, 'path' | 'value'>[]): Record<string, Tree> {
  const root = emptyMapping();
  for (const { path, value } of settings) {
    let at = root as Record<string | number, Tree>;
    path.slice(0, -1).forEach((key, i) => {
      if (!Object.hasOwn(at, key)) at[key] = typeof path[i + 1] === 'number' ? [] : emptyMapping();
      at = at[key] as Record<string | number, Tree>;
    });
    at[path[path.length - 1]] = value;
  }
  return root;
}

/** A configuration as a tree of values in effect. */
export function effectiveTree(config: DaemonConfig): Record<string, Tree> {
  return treeOf(
    valuesOf(config).filter((found): found is Found & { value: Scalar } => found.value !== undefined),
  );
}
