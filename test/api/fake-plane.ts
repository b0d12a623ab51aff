/** A control plane without a switch, for tests of the API: VMs in a map, events from the test. */
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CaptureRequest, ControlPlane, DialOptions, EventSource } from '../../src/control/contract.ts';
import { type ErrorCode, TapswitchError } from '../../src/errors.ts';
import type { Capture } from '../../src/index.ts';
import type { Event, Forward, ForwardRequest, Vm, VmRequest } from '../../src/resources/resources.ts';

const KEPT = 1000;
const counters = { rxFrames: 3, rxBytes: 300, txFrames: 4, txBytes: 400, drops: { 'spoofed-ip': 2 } };

export class FakeEvents implements EventSource {
  readonly run = 'run-1';
  last = 0;
  #kept: Event[] = [];
  readonly #listeners = new Set<(event: Event) => void>();

  since(sequence: number): readonly Event[] {
    return this.#kept.filter((event) => event.sequence > sequence);
  }

  subscribe(heard: (event: Event) => void): () => void {
    this.#listeners.add(heard);
    return () => this.#listeners.delete(heard);
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  emit(vm: string, detail = ''): void {
    this.last++;
    const time = '2026-01-01T00:00:00Z';
    const event: Event = { sequence: this.last, run: this.run, time, type: 'vm-up', vm, detail };
    this.#kept.push(event);
    if (this.#kept.length > KEPT) this.#kept = this.#kept.slice(-KEPT);
    for (const heard of this.#listeners) heard(event);
  }
}

export class FakePlane implements ControlPlane {
  readonly events = new FakeEvents();
  readonly #vms = new Map<string, Vm>();
  /** Thrown by the next call that may fail */
  failure: unknown;
  degraded = false;
  calls: unknown[] = [];

  networks() {
    const hostPort = { name: 'tapsw0', address: '192.168.0.2', plugged: true, counters };
    const mode = 'isolated' as const;
    const net = { name: 'default', subnet: '192.168.0.0/16', gateway: '192.168.0.1', mode };
    return [{ ...net, clones: false, mtu: 1500, hostPort, vms: this.#vms.size }];
  }

  vms() {
    return [...this.#vms.values()];
  }

  vm(id: string): Vm {
    if (this.failure !== undefined) throw this.failure;
    const vm = this.#vms.get(id);
    if (vm === undefined) throw new TapswitchError('VM_UNKNOWN', `There is no VM ${id}`, 'Add it.');
    return vm;
  }

  async putVm(id: string, request: VmRequest) {
    const created = !this.#vms.has(id);
    this.calls.push(['putVm', id, request]);
    const vm: Vm = {
      id,
      network: request.network ?? 'default',
      tap: request.tap ?? `fc-${id}`,
      origin: 'api',
      state: 'up',
      ...(request.ip !== undefined && { ip: request.ip }),
      prefix: 16,
      gateway: '192.168.0.1',
      mtu: 1500,
      loopback: '127.20.0.1',
      forwards: [],
      generation: 0,
      counters,
      firecracker: { 'network-interfaces': [], boot_args: '' },
    };
    this.#vms.set(id, vm);
    return { vm, created };
  }

  async deleteVm(id: string) {
    this.vm(id);
    this.#vms.delete(id);
  }

  async addForward(id: string, request: ForwardRequest): Promise<Forward[]> {
    this.calls.push(['addForward', id, request]);
    const text = typeof request === 'string' ? request : request.listen;
    const [, host, port, protocol] = /^(.+):(\d+)(?:\/(udp|tcp))?$/.exec(text) ?? [];
    const forward: Forward = {
      protocol: protocol === 'udp' ? 'udp' : 'tcp',
      host,
      guestPort: Number(port),
      exposed: false,
      identity: false,
    };
    this.vm(id).forwards.push(forward);
    return [forward];
  }

  async removeForward(id: string, spec: string, options: { reset: boolean }) {
    this.vm(id).forwards.pop();
    this.calls.push(['removeForward', id, spec, options]);
  }

  /** Captures asked for that run */
  readonly captures = new Set<CaptureRequest>();

  async capture(request: CaptureRequest): Promise<Capture> {
    this.calls.push(['capture', request]);
    for (const id of request.vms ?? []) this.vm(id);
    this.captures.add(request);
    const stopping = new AbortController();
    const { captures } = this;
    async function* pieces() {
      yield Buffer.from('first');
      await sleep(60_000, undefined, { signal: stopping.signal }).catch(() => {});
      captures.delete(request);
      yield Buffer.from('last');
    }
    const stop = () => stopping.abort();
    return { written: 0, lost: 0, stop, [Symbol.asyncIterator]: pieces };
  }

  async flows(id: string) {
    this.vm(id);
    const ends = { guest: '192.168.0.14:6080', remote: '192.168.0.1:4000' };
    return [{ protocol: 'tcp' as const, direction: 'in' as const, ...ends, state: 'established' }];
  }

  fdb() {
    return [{ network: 'default', mac: '06:00:c0:a8:00:0e', port: 'vm1', state: 'learned' as const }];
  }

  drops() {
    return [{ port: 'vm1', reason: 'spoofed-ip', frames: 2 }];
  }

  leases() {
    const mac = '06:00:c0:a8:00:0e';
    return [{ vm: 'vm1', network: 'default', ip: '192.168.0.14', mac, kind: 'configured' as const }];
  }

  async diagnose(id: string, port: number | undefined) {
    this.vm(id);
    this.calls.push(['diagnose', id, port]);
    const verdict = { code: 'TAP_DOWN', sentence: 'Its TAP is down.', nextStep: 'Set it up.' };
    const hop = { hop: 'tap', status: 'failed' as const, evidence: 'fc-vm1 is down' };
    return { vm: id, ...(port !== undefined && { port }), verdict, hops: [hop], recent: [] };
  }

  async explain(flow: string) {
    this.calls.push(['explain', flow]);
    if (this.failure !== undefined) throw this.failure;
    const step = { rule: 'egress' as const, outcome: 'drop' as const, detail: 'built in: deny 10.0.0.0/8' };
    const outcome = { action: 'refuse' as const, reason: 'egress-denied' as const, by: step.detail };
    return { flow, steps: [step], outcome };
  }

  async newGeneration(id: string) {
    this.vm(id);
    return { generation: 1, reset: 2 };
  }

  async dial() {
    return new PassThrough();
  }

  async wait(id: string, port: number, { waitMs, signal }: DialOptions) {
    this.vm(id);
    this.calls.push(['wait', id, port, waitMs]);
    if (port === 9) {
      await sleep(60_000, undefined, signal && { signal }).finally(() => this.calls.push(['waited', id]));
    }
    return { vm: id, port, waitedMs: 1 };
  }

  health() {
    const status = this.degraded ? ('degraded' as const) : ('ok' as const);
    const workers = [{ alive: true, replaced: 1 }];
    return { status, version: '1.2.3', run: 'run-1', uptimeSeconds: 1, guard: 'nftables', workers, vms: 1 };
  }

  async reload() {
    if (this.failure !== undefined) throw this.failure;
    return { changes: ['vm vm1 added'], needRestart: [] };
  }
}

export function failing(code: ErrorCode): TapswitchError {
  return new TapswitchError(code, 'It failed', 'Do something.');
}
