/** VMs of the configuration in the words of those who ask by the API. */
import { formatIp } from '../config/ip.ts';
import type { VmConfig } from '../config/resolve.ts';
import type { VmInput } from '../config/schema.ts';
import { formatIpv4 } from '../wire/ipv4.ts';
import { formatMac } from '../wire/mac.ts';

/** What was said of a VM beside its forwards and rules. */
export function inputOf({ tap, network, netns, profile, mac, ip, ip6, vmm }: VmConfig): VmInput {
  return {
    tap,
    network,
    ...(netns !== undefined && { netns }),
    ...(profile !== undefined && { profile }),
    ...(mac !== undefined && { mac: formatMac(mac) }),
    ...(ip !== undefined && { ip: formatIpv4(ip) }),
    ...(ip6 !== undefined && { ip6: formatIp(ip6) }),
    ...(vmm !== undefined && { vmm }),
  };
}
