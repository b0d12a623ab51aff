/** A network's IPv6 side: its /64 and the gateway's address there. */
import { createHash } from 'node:crypto';
import { configError, failAt, type Locate, type Path, quote } from './fault.ts';
import { firstOf, formatIp, type IpWords, isSameIp, parseIp, parsePrefix } from './ip.ts';

export interface Ipv6Config {
  /** The first address of the network's /64 */
  subnet: IpWords;
  /** Address of the gateway, inside `subnet` */
  gateway: IpWords;
}

/** Length of every IPv6 subnet: guests choose the other half of their addresses (RFC 4862 section 5.5.3). */
export const PREFIX6_BITS = 64;
const NONE = 'none';
const EXAMPLE = 'for instance fd12:3456:789a::/64';

export function formatSubnet6(subnet: IpWords): string {
  return `${formatIp(subnet)}/${PREFIX6_BITS}`;
}

/**
 * The unique local prefix (RFC 4193 section 3.1) of a network that names none: its 40 bits of global id follow from the
 * network's name, so that they are the same after a restart and on every host.
 */
export function subnet6Of(name: string): IpWords {
  const digest = createHash('sha256').update(`tapswitch:${name}`).digest();
  return [0xfd000000 | digest.readUIntBE(0, 3) | 0, digest.readUInt16BE(3) << 16, 0, 0];
}

/** Unique local (RFC 4193) or global unicast (RFC 4291 section 2.4, 2000::/3 as assigned by IANA). */
function isUsable([w0]: IpWords): boolean {
  return w0 >>> 25 === 0xfc >>> 1 || w0 >>> 29 === 1;
}

function resolveSubnet6(text: string, locate: Locate, path: Path): IpWords {
  const fail = failAt(locate, path);
  const prefix = parsePrefix(text);
  const bits = prefix?.length;
  if (prefix === undefined || !text.includes(':') || !text.includes('/')) {
    throw fail(
      `${quote(text)} is not an IPv6 subnet`,
      `Write PREFIX/${PREFIX6_BITS}, ${EXAMPLE}, or "${NONE}".`,
    );
  }
  if (bits !== PREFIX6_BITS) {
    throw fail(`prefix /${bits} is not supported`, `An IPv6 subnet has /${PREFIX6_BITS}, ${EXAMPLE}.`);
  }
  const subnet = firstOf(prefix.address, PREFIX6_BITS);
  if (!isSameIp(subnet, prefix.address)) {
    const correct = formatSubnet6(subnet);
    throw fail(`${text} is an address inside the subnet ${correct}`, `Write ${correct}.`);
  }
  if (!isUsable(subnet))
    throw fail(`${text} cannot be used by hosts`, `Use a unique local prefix, ${EXAMPLE}.`);
  return subnet;
}

/** Reads an address of the network's /64 other than its first, which is every router's (RFC 4291 section 2.6.1). */
export function hostAddress6(text: string, subnet: IpWords, locate: Locate, path: Path): IpWords {
  const address = parseIp(text);
  if (address === undefined || !text.includes(':')) {
    throw failAt(locate, path)(
      `${quote(text)} is not an IPv6 address`,
      'Write an IPv6 address without zone.',
    );
  }
  const inside = `Choose an address of ${formatSubnet6(subnet)} other than its first.`;
  if (!isSameIp(firstOf(address, PREFIX6_BITS), subnet)) {
    const message = `${formatIp(address)} is outside the subnet ${formatSubnet6(subnet)}`;
    throw configError('ADDRESS_OUTSIDE_SUBNET', locate, path, message, inside);
  }
  if (isSameIp(address, subnet)) {
    throw failAt(locate, path)(`${formatIp(address)} is the address of every router of its subnet`, inside);
  }
  return address;
}

/**
 * The IPv6 side of the network `name`, `undefined` where it is switched off.
 * @throws TapswitchError CONFIG_INVALID or ADDRESS_OUTSIDE_SUBNET
 */
export function resolveIpv6(
  name: string,
  input: { readonly subnet6?: string; readonly gateway6?: string },
  locate: Locate,
  base: Path,
): Ipv6Config | undefined {
  const { subnet6, gateway6 } = input;
  const path = [...base, 'gateway6'];
  if (subnet6 === NONE) {
    if (gateway6 === undefined) return undefined;
    const message = `there is no IPv6 in this network: its subnet6 is "${NONE}"`;
    throw failAt(locate, path)(message, 'Leave gateway6 out, or give a subnet6.');
  }
  const subnet =
    subnet6 === undefined ? subnet6Of(name) : resolveSubnet6(subnet6, locate, [...base, 'subnet6']);
  const [w0, w1] = subnet;
  const gateway: IpWords =
    gateway6 === undefined ? [w0, w1, 0, 1] : hostAddress6(gateway6, subnet, locate, path);
  return { subnet, gateway };
}
