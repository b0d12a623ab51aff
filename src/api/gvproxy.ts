/**
 * The part of gvisor-tap-vsock's API that its clients use for ports: they know a VM by its address. Their `local` may
 * leave the host out, which means all addresses, as there; a forward that others can reach has to be allowed as any.
 */
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { ControlPlane } from '../control/contract.ts';
import { TapswitchError } from '../errors.ts';
import type { Vm } from '../resources/resources.ts';
import { operation } from './routes.ts';

const PROTOCOLS = ['tcp', 'udp', 'unix'] as const;
const closed = { additionalProperties: false } as const;
const Local = Type.String({ description: 'HOST:PORT or :PORT for all addresses; a path for unix' });
const Protocol = Type.Optional(Type.Enum([...PROTOCOLS], { description: 'tcp (default), udp or unix' }));

const Expose = Type.Object(
  {
    local: Local,
    remote: Type.String({ description: 'ADDRESS:PORT of the guest, also tcp://ADDRESS:PORT' }),
    protocol: Protocol,
  },
  closed,
);
const Unexpose = Type.Object({ local: Local, protocol: Protocol }, closed);
const Exposed = Type.Object({ local: Type.String(), remote: Type.String(), protocol: Type.String() });
const Nothing = Type.String({ description: 'Done' });

interface ExposeBody {
  readonly local: string;
  readonly remote: string;
  readonly protocol?: (typeof PROTOCOLS)[number];
}

function bad(message: string, nextStep: string): TapswitchError {
  return new TapswitchError('BAD_REQUEST', message, nextStep);
}

/** What a forward at `local` has as its host. Throws BAD_REQUEST. */
function hostSide(local: string, protocol: string): string {
  if (protocol === 'unix') {
    const path = local.replace(/^unix:(\/\/)?/, '');
    if (path.startsWith('/')) return `unix:${path}`;
    throw bad('local: no absolute path', 'Give a path like /run/app.sock.');
  }
  if (/^:\d{1,5}$/.test(local)) return `0.0.0.0${local}`;
  if (/^(\[[0-9a-fA-F:.]+\]|[\d.]+):\d{1,5}$/.test(local)) return local;
  throw bad('local: no address and port', 'Give HOST:PORT with an address, or :PORT.');
}

function guestSide(remote: string): { readonly ip: string; readonly port: string } {
  const match = /^(?:(?:tcp|udp):\/\/)?\[?([0-9a-fA-F:.]+?)\]?:(\d{1,5})$/.exec(remote);
  if (match === null) throw bad('remote: no address and port', 'Give ADDRESS:PORT of the guest.');
  return { ip: match[1], port: match[2] };
}

function hasAddress({ ip, ip6, leased }: Vm, address: string): boolean {
  return [ip, ip6, leased].includes(address);
}

function vmAt(plane: ControlPlane, address: string): Vm {
  const found = plane.vms().filter((vm) => hasAddress(vm, address));
  if (found.length === 1) return found[0];
  const what = found.length === 0 ? 'No VM has' : 'Several VMs have';
  throw new TapswitchError('VM_UNKNOWN', `${what} the address ${address}`, 'Use /v1/vms/{id}/forwards.');
}

function exposed(plane: ControlPlane) {
  return plane.vms().flatMap((vm) =>
    vm.forwards.map(({ host, guestPort, protocol }) => ({
      local: host,
      remote: `${vm.ip ?? vm.leased ?? vm.id}:${guestPort}`,
      protocol: host.startsWith('unix:') ? 'unix' : protocol,
    })),
  );
}

async function expose(plane: ControlPlane, { local, remote, protocol = 'tcp' }: ExposeBody): Promise<void> {
  const { ip, port } = guestSide(remote);
  const host = hostSide(local, protocol);
  await plane.addForward(vmAt(plane, ip).id, `${host}:${port}${protocol === 'udp' ? '/udp' : ''}`);
}

async function unexpose(plane: ControlPlane, { local, protocol = 'tcp' }: Omit<ExposeBody, 'remote'>) {
  const wanted = hostSide(local, protocol);
  const transport = protocol === 'udp' ? 'udp' : 'tcp';
  for (const vm of plane.vms()) {
    const forward = vm.forwards.find(({ host, protocol }) => host === wanted && protocol === transport);
    if (forward === undefined) continue;
    const spec = `${forward.host}:${forward.guestPort}${transport === 'udp' ? '/udp' : ''}`;
    await plane.removeForward(vm.id, spec, { reset: false });
    return;
  }
  throw new TapswitchError(
    'FORWARD_UNKNOWN',
    `Nothing is exposed at ${wanted}`,
    'See /services/forwarder/all.',
  );
}

function leases(plane: ControlPlane): Record<string, string> {
  const known = plane.leases().flatMap(({ ip, mac }) => (mac === undefined ? [] : [[ip, mac]]));
  return Object.fromEntries(known);
}

/** Their names of what all ports together have counted. */
function stats(plane: ControlPlane) {
  const counters = plane.vms().map((vm) => vm.counters);
  const total = (of: (one: (typeof counters)[number]) => number) =>
    counters.reduce((sum, one) => sum + of(one), 0);
  return { BytesSent: total(({ txBytes }) => txBytes), BytesReceived: total(({ rxBytes }) => rxBytes) };
}

/** Its documentation posts JSON with `curl -d`, which calls that a form. */
const FORM = 'application/x-www-form-urlencoded';

export async function gvproxyRoutes(app: FastifyInstance, { plane }: { plane: ControlPlane }): Promise<void> {
  app.addContentTypeParser(FORM, { parseAs: 'string' }, app.getDefaultJsonParser('error', 'error'));
  app.post<{ Body: ExposeBody }>(
    '/services/forwarder/expose',
    operation('gvproxyExpose', 'Add a forward, as gvproxy does', { 200: Nothing }, { body: Expose }),
    async ({ body }, reply) => {
      await expose(plane, body);
      return reply.code(200).send();
    },
  );
  app.post<{ Body: ExposeBody }>(
    '/services/forwarder/unexpose',
    operation('gvproxyUnexpose', 'Remove a forward, as gvproxy does', { 200: Nothing }, { body: Unexpose }),
    async ({ body }, reply) => {
      await unexpose(plane, body);
      return reply.code(200).send();
    },
  );
  app.get(
    '/services/forwarder/all',
    operation('gvproxyForwards', 'Forwards, as gvproxy lists them', { 200: Type.Array(Exposed) }),
    () => exposed(plane),
  );
  app.get(
    '/services/dhcp/leases',
    operation('gvproxyLeases', 'MAC addresses by address, as gvproxy lists them', {
      200: Type.Record(Type.String(), Type.String()),
    }),
    () => leases(plane),
  );
  app.get(
    '/stats',
    operation('gvproxyStats', 'Bytes to and from all VMs', {
      200: Type.Object({ BytesSent: Type.Number(), BytesReceived: Type.Number() }),
    }),
    () => stats(plane),
  );
}
