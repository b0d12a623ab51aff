/**
 * Firecracker's own VM configuration, the JSON of `--config-file`: the switch's part put into it, and read from it what
 * it takes to register the VM. Keys not mentioned here are kept and not looked at.
 */
import { isInterfaceName } from '../config/names.ts';
import { TapswitchError } from '../errors.ts';
import type { FirecrackerSnippet } from '../resources/resources.ts';
import { formatMac, parseMac } from '../wire/mac.ts';
import { BootArgsError, parseBootArgs, withAddress } from './boot-args.ts';

type Mapping = Record<string, unknown>;

const INTERFACES = 'network-interfaces';
const BOOT_SOURCE = 'boot-source';

/** What a Firecracker VM's configuration says of its place on the network. */
export interface FirecrackerVm {
  readonly tap: string;
  readonly mac?: string;
  readonly ip?: string;
  readonly gateway?: string;
}

function invalid(message: string, nextStep: string): TapswitchError {
  return new TapswitchError('FIRECRACKER_INVALID', `Firecracker configuration: ${message}`, nextStep);
}

function mapping(value: unknown, where: string): Mapping {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Mapping;
  throw invalid(`${where} is not an object`, 'Give what Firecracker takes with --config-file.');
}

function text(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  throw invalid(`${where} is not text`, 'Write it in quotation marks.');
}

function interfacesOf(vm: Mapping): Mapping[] {
  const list = vm[INTERFACES] ?? [];
  if (!Array.isArray(list)) throw invalid(`${INTERFACES} is not a list`, 'Write it in square brackets.');
  return list.map((item, i) => mapping(item, `${INTERFACES}[${i}]`));
}

function bootSourceOf(vm: Mapping): Mapping {
  return mapping(vm[BOOT_SOURCE] ?? {}, BOOT_SOURCE);
}

function bootArgsOf(bootSource: Mapping): string {
  return text(bootSource.boot_args ?? '', `${BOOT_SOURCE}.boot_args`); // null stands for none there
}

/**
 * The configuration of a whole VM with the switch's part in it. An interface of the same id or TAP keeps what else it has
 * (rate limiters), another one is left alone; an `ip=` among the kernel's parameters gives way.
 * @throws TapswitchError FIRECRACKER_INVALID
 */
export function withSnippet(configuration: unknown, snippet: FirecrackerSnippet): Mapping {
  const vm = mapping(configuration, 'the whole');
  const interfaces = interfacesOf(vm);
  for (const ours of snippet[INTERFACES]) {
    const isOurs = ({ host_dev_name, iface_id }: Mapping) =>
      host_dev_name === ours.host_dev_name || iface_id === ours.iface_id;
    const index = interfaces.findIndex(isOurs);
    if (index < 0) interfaces.push({ ...ours });
    else interfaces[index] = { ...interfaces[index], ...ours };
  }
  const bootSource = bootSourceOf(vm);
  const given = bootArgsOf(bootSource);
  const boot_args = withAddress(given, snippet.boot_args);
  if (boot_args === given) return { ...vm, [INTERFACES]: interfaces }; // none stays none: Firecracker has a default
  return { ...vm, [BOOT_SOURCE]: { ...bootSource, boot_args }, [INTERFACES]: interfaces };
}

function chosen(interfaces: readonly Mapping[], id: string | undefined): number {
  const ids = interfaces.map(({ iface_id }, i) => text(iface_id, `${INTERFACES}[${i}].iface_id`));
  if (ids.length === 0) {
    throw invalid(`${INTERFACES} is empty`, 'Give the VM an interface with the name of its TAP.');
  }
  if (id === undefined && ids.length === 1) return 0;
  const known = `Name one of ${ids.map((known) => JSON.stringify(known)).join(', ')}.`;
  if (id === undefined) throw invalid(`there are ${ids.length} interfaces`, known);
  const index = ids.indexOf(id);
  if (index < 0) throw invalid(`there is no interface ${JSON.stringify(id)}`, known);
  return index;
}

function addressOf(vm: Mapping, index: number): Pick<FirecrackerVm, 'ip' | 'gateway'> {
  try {
    const { ip, gateway, device } = parseBootArgs(bootArgsOf(bootSourceOf(vm)));
    // Interfaces are eth0, eth1... in the order of the list; without a name the kernel takes the first
    if (/^eth\d+$/.test(device ?? 'eth0') && (device ?? 'eth0') !== `eth${index}`) return {};
    return { ...(ip !== undefined && { ip }), ...(gateway !== undefined && { gateway }) };
  } catch (error) {
    if (!(error instanceof BootArgsError)) throw error;
    const nextStep = 'Write ip=ADDRESS::GATEWAY:NETMASK::eth0:off, or leave it out for DHCP.';
    throw invalid(`ip= of ${BOOT_SOURCE}.boot_args: ${error.message}`, nextStep);
  }
}

function macOf(value: unknown, where: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  const mac = parseMac(text(value, where));
  if (mac !== undefined) return formatMac(mac);
  throw invalid(
    `${where} is not a MAC address`,
    'Write six pairs of hexadecimal digits with colons between.',
  );
}

/**
 * Reads where a VM is on the network.
 * @param interfaceId `iface_id` of the interface that is meant; needed only where there are several
 * @throws TapswitchError FIRECRACKER_INVALID
 */
export function readFirecrackerVm(configuration: unknown, interfaceId?: string): FirecrackerVm {
  const vm = mapping(configuration, 'the whole');
  const interfaces = interfacesOf(vm);
  const index = chosen(interfaces, interfaceId);
  const where = `${INTERFACES}[${index}]`;
  const tap = text(interfaces[index].host_dev_name, `${where}.host_dev_name`);
  if (!isInterfaceName(tap)) {
    throw invalid(`${where}.host_dev_name is not a valid interface name`, 'Give the name of the TAP.');
  }
  const mac = macOf(interfaces[index].guest_mac, `${where}.guest_mac`);
  return { tap, ...(mac !== undefined && { mac }), ...addressOf(vm, index) };
}

/** Reads the JSON of a Firecracker VM. Throws FIRECRACKER_INVALID, as {@link readFirecrackerVm} does. */
export function parseFirecrackerVm(json: string, interfaceId?: string): FirecrackerVm {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    const reason = (error as Error).message.replace(/\s+/g, ' ');
    throw invalid(`not JSON: ${reason}`, 'Give what Firecracker takes with --config-file.');
  }
  return readFirecrackerVm(value, interfaceId);
}
