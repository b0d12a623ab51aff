/** What `tapswitch doctor` looks at: each check changes nothing and says what to do where it does not hold. */
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { release } from 'node:os';
import type { Client } from '../client/client.ts';
import { loadConfig } from '../config/load.ts';
import type { SwitchConfig } from '../config/resolve.ts';
import { TapswitchError } from '../errors.ts';
import { detectGuard } from '../port/guard.ts';
import { loadVerdictProgram, TCX } from '../sys/bpf.ts';
import { type Capability, hasCapability } from '../sys/capability.ts';
import { withRouteSocket } from '../sys/rtnetlink.ts';
import { formatIpv4 } from '../wire/ipv4.ts';

export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly seen: string;
  /** What to do; empty where nothing is */
  readonly fix: string;
}

const FULL_SPEED_KERNEL = [6, 6] as const;

const NEEDED: readonly Capability[] = ['CAP_NET_ADMIN', 'CAP_NET_RAW'];
const OPTIONAL: Readonly<Partial<Record<Capability, string>>> = {
  CAP_BPF: 'the fast path and the TCX guard',
  CAP_SYS_ADMIN: 'TAPs of other network namespaces',
  CAP_SYS_PTRACE: 'naming the process that holds a TAP',
};

function ok(check: string, seen: string): Finding {
  return { check, status: 'ok', seen, fix: '' };
}

function reasonOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String((error as Error).message);
}

function kernel(): Finding {
  const [major, minor] = release().split(/[.-]/).map(Number);
  const recent =
    major > FULL_SPEED_KERNEL[0] || (major === FULL_SPEED_KERNEL[0] && minor >= FULL_SPEED_KERNEL[1]);
  if (recent) return ok('kernel', release());
  return {
    check: 'kernel',
    status: 'warn',
    seen: release(),
    fix: 'Only speed is lost: no fast path before 6.6, one thread for all connections of a VM before 5.15.',
  };
}

function tun(): Finding {
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
    closeSync(openSync('/dev/net/tun', 'r+'));
    return ok('/dev/net/tun', 'can be opened');
  } catch (error) {
    const fix = 'Run `modprobe tun`, or pass the device into the container (--device /dev/net/tun).';
    return { check: '/dev/net/tun', status: 'fail', seen: `cannot be opened (${reasonOf(error)})`, fix };
  }
}

function capabilities(): Finding[] {
  const needed = NEEDED.map((name): Finding => {
    if (hasCapability(name)) return ok(name, 'there');
    return { check: name, status: 'fail', seen: 'missing', fix: `Run as root, or grant ${name}.` };
  });
  const optional = Object.entries(OPTIONAL).map(([name, use]): Finding => {
    if (hasCapability(name as Capability)) return ok(name, 'there');
    return { check: name, status: 'warn', seen: 'missing', fix: `Grant ${name} for ${use}.` };
  });
  return [...needed, ...optional];
}

function guard(): Finding {
  const kind = detectGuard();
  if (kind !== undefined) return ok('guard', kind);
  const fix = 'Grant CAP_NET_ADMIN and load nf_tables; or use Linux 6.6 or later with CAP_BPF and bpffs.';
  return { check: 'guard', status: 'fail', seen: 'neither nftables nor TCX can be used', fix };
}

function bpf(): Finding {
  try {
    closeSync(loadVerdictProgram(TCX.drop));
    return ok('bpf', 'programs can be loaded');
  } catch (error) {
    const fix = 'Grant CAP_BPF and CAP_NET_ADMIN for the fast path; without it all frames pass the daemon.';
    return { check: 'bpf', status: 'warn', seen: `no program can be loaded (${reasonOf(error)})`, fix };
  }
}

async function daemon(client: Client): Promise<Finding> {
  try {
    const { status, version, vms } = await client.health();
    const seen = `version ${version}, ${status}, ${vms} VMs`;
    if (status === 'ok') return ok('daemon', seen);
    return { check: 'daemon', status: 'warn', seen, fix: 'Its log says which worker was replaced, and why.' };
  } catch (error) {
    const fix = (error as { nextStep?: string }).nextStep ?? '';
    return { check: 'daemon', status: 'warn', seen: (error as Error).message, fix };
  }
}

/** Addresses the configuration gives away that an interface of the host already has. */
function conflicts({ networks }: SwitchConfig): Finding[] {
  const present = withRouteSocket((routes) =>
    routes.addresses().map(({ index, address }) => ({ address, on: routes.linkByIndex(index)?.name })),
  );
  return [...networks.values()].map(({ name, gateway, hostPort }): Finding => {
    const wanted = [formatIpv4(gateway), ...(hostPort ? [formatIpv4(hostPort.address)] : [])];
    const taken = present.find(({ address, on }) => wanted.includes(address) && on !== hostPort?.name);
    const check = `network ${name}`;
    if (taken === undefined) return ok(check, `nothing else has ${wanted.join(' or ')}`);
    return {
      check,
      status: 'fail',
      seen: `${taken.address} is an address of ${taken.on}`,
      fix: `Take it away with \`ip address del\`, as docs/replacing-br0.md has it, or choose another.`,
    };
  });
}

function ofConfig(path: string): Finding[] {
  try {
    const config = loadConfig(path);
    return [ok('configuration', path), ...conflicts(config)];
  } catch (error) {
    if (!(error instanceof TapswitchError)) throw error;
    return [{ check: 'configuration', status: 'fail', seen: error.message, fix: error.nextStep }];
  }
}

/** All findings; those of the configuration only where one is named. */
export async function examine(client: Client, config: string | undefined): Promise<Finding[]> {
  return [
    kernel(),
    tun(),
    ...capabilities(),
    guard(),
    bpf(),
    await daemon(client),
    ...(config === undefined ? [] : ofConfig(config)),
  ];
}
