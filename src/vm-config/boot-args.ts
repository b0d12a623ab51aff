/**
 * The kernel's command line as far as addresses are set up by it: the parameter `ip=` of
 * Documentation/admin-guide/nfs/nfsroot.rst, `client:server:gateway:netmask:host-name:device:autoconf:...`.
 */
import { formatIpv4, maskOf, parseIpv4 } from '../wire/ipv4.ts';
import type { GuestNetwork } from './guest-network.ts';

/** What `ip=` says of an interface; what it leaves open is absent. */
export interface BootAddress {
  readonly ip?: string;
  readonly gateway?: string;
  /** Length of the prefix, bits */
  readonly prefix?: number;
  /** Interface of the guest that is meant */
  readonly device?: string;
}

/** A value of `ip=` that is not what the kernel's documentation has; the message says which part. */
export class BootArgsError extends Error {}

const PARAMETER = 'ip=';
const END_OF_PARAMETERS = '--'; // what follows is for init
const WORDS = /(?:"[^"]*"?|[^\s"])+/g; // kernel/params.c: spaces inside quotation marks are part of a word
/** Values that are no address but the way to get one, or none: ic_proto_name() of net/ipv4/ipconfig.c. */
const METHODS = new Set(['', 'on', 'any', 'off', 'none', 'dhcp', 'bootp', 'rarp', 'both']);

/** The parameter that sets a guest's address up, or '' for a guest without one. */
export function bootArgs({ ip, prefix, gateway }: GuestNetwork): string {
  if (ip === undefined) return '';
  return `${PARAMETER}${ip}::${gateway}:${formatIpv4(maskOf(prefix))}::eth0:off`;
}

function words(commandLine: string): string[] {
  return commandLine.match(WORDS) ?? [];
}

/** Words for the kernel, and from `--` on those for init. */
function split(commandLine: string): { kernel: string[]; init: string[] } {
  const all = words(commandLine);
  const end = all.indexOf(END_OF_PARAMETERS);
  return end < 0 ? { kernel: all, init: [] } : { kernel: all.slice(0, end), init: all.slice(end) };
}

/** `commandLine` with `parameter` in the place of every `ip=` it has; none of them for ''. */
export function withAddress(commandLine: string, parameter: string): string {
  const { kernel, init } = split(commandLine);
  const others = kernel.filter((word) => !word.startsWith(PARAMETER));
  return [...others, ...(parameter === '' ? [] : [parameter]), ...init].join(' ');
}

function addressIn(field: string | undefined, name: string): string | undefined {
  if (field === undefined || field === '') return undefined;
  const address = parseIpv4(field);
  if (address === undefined) throw new BootArgsError(`${JSON.stringify(field)} is not an IPv4 ${name}`);
  return address === 0 ? undefined : formatIpv4(address);
}

function prefixIn(field: string | undefined): number | undefined {
  const mask = addressIn(field, 'netmask');
  if (mask === undefined) return undefined;
  const bits = parseIpv4(mask) as number;
  const prefix = Math.clz32(~bits);
  if (maskOf(prefix) >>> 0 === bits) return prefix;
  throw new BootArgsError(`${mask} is not an IPv4 netmask`);
}

/**
 * What the last `ip=` of a command line says, nothing where there is none or the guest asks for its address.
 * @throws BootArgsError for fields that are not what they must be
 */
export function parseBootArgs(commandLine: string): BootAddress {
  const parameter = split(commandLine).kernel.findLast((word) => word.startsWith(PARAMETER));
  const value = parameter?.slice(PARAMETER.length).replaceAll('"', '') ?? '';
  if (METHODS.has(value)) return {};
  const [client, , router, netmask, , device] = value.split(':');
  const ip = addressIn(client, 'address');
  const gateway = addressIn(router, 'gateway');
  const prefix = prefixIn(netmask);
  return {
    ...(ip !== undefined && { ip }),
    ...(gateway !== undefined && { gateway }),
    ...(prefix !== undefined && { prefix }),
    ...(device && { device }),
  };
}
