/**
 * Figures for Prometheus, in base units. They are read from the plane at each scrape, not counted here; labels are ids
 * of what is there now, reasons and worker numbers, so their number is bounded by the switch's own limits.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { ControlPlane } from '../control/contract.ts';
import type { Counters } from '../resources/resources.ts';

export interface Metrics {
  readonly contentType: string;
  /** Text of the exposition format, of now */
  read(): Promise<string>;
}

interface PortLabels {
  readonly network: string;
  readonly port: string;
}

class PlaneMetrics {
  readonly registry = new Registry();
  readonly #plane: ControlPlane;
  readonly #up: Gauge;
  readonly #vms: Gauge;
  readonly #replaced: Counter;
  readonly #drops: Counter;
  readonly #ports: readonly (readonly [Counter, (counters: Counters) => number])[];

  constructor(plane: ControlPlane, version: string) {
    this.#plane = plane;
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    const info = { name: 'tapswitch_build_info', help: 'Version of tapswitch', labelNames: ['version'] };
    new Gauge({ ...info, registers }).set({ version }, 1);
    this.#up = new Gauge({
      name: 'tapswitch_vm_up',
      help: 'Whether frames can pass to the VM',
      labelNames: ['vm', 'network'],
      registers,
    });
    this.#vms = new Gauge({
      name: 'tapswitch_vms',
      help: 'VMs of the network',
      labelNames: ['network'],
      registers,
    });
    this.#replaced = new Counter({
      name: 'tapswitch_worker_replaced_total',
      help: 'How many times a datapath thread was replaced',
      labelNames: ['worker'],
      registers,
    });
    this.#drops = new Counter({
      name: 'tapswitch_drops_total',
      help: 'Frames dropped',
      labelNames: ['port', 'reason'],
      registers,
    });
    const perPort = (name: string, help: string) =>
      new Counter({ name: `tapswitch_port_${name}_total`, help, labelNames: ['network', 'port'], registers });
    this.#ports = [
      [perPort('receive_bytes', 'Bytes taken in from the port'), ({ rxBytes }) => rxBytes],
      [perPort('receive_frames', 'Frames taken in from the port'), ({ rxFrames }) => rxFrames],
      [perPort('transmit_bytes', 'Bytes handed to the port'), ({ txBytes }) => txBytes],
      [perPort('transmit_frames', 'Frames handed to the port'), ({ txFrames }) => txFrames],
    ];
  }

  #count(labels: PortLabels, counters: Counters): void {
    for (const [counter, of] of this.#ports) counter.inc({ ...labels }, of(counters));
  }

  /** Puts what the plane says now in the place of what it said before. */
  collect(): void {
    const counters = this.#ports.map(([counter]) => counter);
    for (const metric of [this.#up, this.#vms, this.#replaced, this.#drops, ...counters]) metric.reset();
    for (const { name, vms, hostPort } of this.#plane.networks()) {
      this.#vms.set({ network: name }, vms);
      if (hostPort !== undefined) this.#count({ network: name, port: hostPort.name }, hostPort.counters);
    }
    for (const { id, network, state, counters } of this.#plane.vms()) {
      this.#up.set({ vm: id, network }, state === 'up' ? 1 : 0);
      this.#count({ network, port: id }, counters);
    }
    for (const { port, reason, frames } of this.#plane.drops()) this.#drops.inc({ port, reason }, frames);
    const { workers } = this.#plane.health();
    workers.forEach(({ replaced }, worker) => {
      this.#replaced.inc({ worker: String(worker) }, replaced);
    });
  }
}

export function planeMetrics(plane: ControlPlane, version: string): Metrics {
  const metrics = new PlaneMetrics(plane, version);
  const { registry } = metrics;
  return {
    contentType: registry.contentType,
    read() {
      metrics.collect();
      return registry.metrics();
    },
  };
}
