/**
 * A client of the daemon's API, for a master-controller:
 *
 *     import { createClient } from 'tapswitch/client';
 *     const tapswitch = createClient();
 *     const vm = await tapswitch.putVm('vm-1', { profile: 'browser-vm', createTap: {} });
 *     startFirecracker(vm.firecracker);
 *     await tapswitch.wait('vm-1', 6080, { timeout: 60 });
 *
 * Nothing here is kept but idle connections, which do not hold up the end of the process.
 */

import type { Explanation } from '../resources/explanation.ts';
import type {
  Diagnosis,
  Drop,
  Event,
  FdbEntry,
  Flow,
  Forward,
  ForwardRequest,
  Generation,
  Health,
  Lease,
  Link,
  LinkRequest,
  Network,
  Reached,
  Reloaded,
  Vm,
  VmRequest,
} from '../resources/resources.ts';
import { type CaptureOptions, captureStream } from './capture-stream.ts';
import { type EventOptions, eventStream } from './event-stream.ts';
import { type Call, type ClientOptions, Transport } from './transport.ts';

export { ApiError } from './api-error.ts';
export type { CaptureOptions } from './capture-stream.ts';
export type { EventOptions } from './event-stream.ts';
export type { ClientOptions } from './transport.ts';
export type {
  Diagnosis,
  Drop,
  Event,
  Explanation,
  FdbEntry,
  Flow,
  Forward,
  ForwardRequest,
  Generation,
  Health,
  Lease,
  Link,
  LinkRequest,
  Network,
  Reached,
  Reloaded,
  Vm,
  VmRequest,
};

export interface WaitOptions {
  /** Seconds (default the daemon's) */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Every call throws ApiError: the daemon's code and next step, or DAEMON_UNREACHABLE. */
export interface Client {
  networks(): Promise<Network[]>;
  network(name: string): Promise<Network>;
  vms(): Promise<Vm[]>;
  vm(id: string): Promise<Vm>;
  /** Makes the VM what `request` says; the same again changes nothing. */
  putVm(id: string, request: VmRequest): Promise<Vm>;
  deleteVm(id: string): Promise<void>;
  forwards(id: string): Promise<Forward[]>;
  /** Adds a forward; returns those the VM then has. */
  addForward(id: string, forward: ForwardRequest): Promise<Forward[]>;
  /** Removes a forward; with `reset`, its connections as well. */
  removeForward(id: string, spec: string, options?: { readonly reset?: boolean }): Promise<void>;
  flows(id: string): Promise<Flow[]>;
  fdb(): Promise<FdbEntry[]>;
  drops(): Promise<Drop[]>;
  leases(): Promise<Lease[]>;
  /** The VM was restored from a snapshot: its flows are reset, forwards stay. */
  newGeneration(id: string): Promise<Generation>;
  /** Resolves once that TCP port of the guest answers. */
  wait(id: string, port: number, options?: WaitOptions): Promise<Reached>;
  /** Why the VM, or a TCP port of it, does not answer: hop by hop, and one verdict. */
  diagnose(id: string, port?: number): Promise<Diagnosis>;
  /** What the switch would do with a flow such as `vm-1 -> tcp 10.0.0.5:443`, rule by rule. */
  explain(flow: string): Promise<Explanation>;
  /** A signed link to one VM's services, for a browser. */
  createLink(id: string, request: LinkRequest): Promise<Link>;
  reload(): Promise<Reloaded>;
  health(): Promise<Health>;
  events(options?: EventOptions): AsyncIterable<Event>;
  /** A pcapng file in pieces, written while frames pass. */
  capture(options?: CaptureOptions): AsyncIterable<Uint8Array>;
  /** Ends idle connections at once. */
  close(): Promise<void>;
}

function vmPath(id: string, rest = ''): string {
  return `/v1/vms/${encodeURIComponent(id)}${rest}`;
}

/** A client; nothing is connected before the first call. */
export function createClient(options: ClientOptions = {}): Client {
  const transport = new Transport(options);
  // Answers are of the daemon's own schemas, which serialise them: what arrives has their types.
  const get = <T>(path: string, call?: Call) => transport.call('GET', path, call) as Promise<T>;
  const post = <T>(path: string, call?: Call) => transport.call('POST', path, call) as Promise<T>;
  const remove = async (path: string, call?: Call) => {
    await transport.call('DELETE', path, call);
  };
  return {
    networks: () => get('/v1/networks'),
    network: (name) => get(`/v1/networks/${encodeURIComponent(name)}`),
    vms: () => get('/v1/vms'),
    vm: (id) => get(vmPath(id)),
    putVm: (id, request) => transport.call('PUT', vmPath(id), { body: request }) as Promise<Vm>,
    deleteVm: (id) => remove(vmPath(id)),
    forwards: (id) => get(vmPath(id, '/forwards')),
    addForward: (id, forward) =>
      post(vmPath(id, '/forwards'), { body: typeof forward === 'string' ? { listen: forward } : forward }),
    removeForward: (id, spec, { reset } = {}) =>
      remove(vmPath(id, '/forwards'), { query: { spec, reset: reset || undefined } }),
    flows: (id) => get(vmPath(id, '/flows')),
    fdb: () => get('/v1/fdb'),
    drops: () => get('/v1/drops'),
    leases: () => get('/v1/leases'),
    newGeneration: (id) => post(vmPath(id, '/generation')),
    wait: (id, port, { timeout, signal } = {}) =>
      get(vmPath(id, '/wait'), { query: { port, timeout }, signal }),
    diagnose: (id, port) => get(vmPath(id, '/diagnosis'), { query: { port } }),
    explain: (flow) => post('/v1/explain', { body: { flow } }),
    createLink: (id, request) => post(vmPath(id, '/links'), { body: request }),
    reload: () => post('/v1/reload'),
    health: () => get('/healthz'),
    events: (wanted) => eventStream(transport, wanted),
    capture: (wanted) => captureStream(transport, wanted),
    close: () => transport.close(),
  };
}
