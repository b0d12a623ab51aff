/** Everything of the gateway without connection: UDP of the guests, echo, and forwarded UDP ports. */
import type { GatewayContext } from './context.ts';
import { EchoProxy } from './echo-proxy.ts';
import { datagramRecords, type FlowRecord } from './flow-list.ts';
import type { GatewayIcmp } from './icmp.ts';
import type { GatewayIcmpv6 } from './icmpv6.ts';
import { Departures } from './udp/departures.ts';
import { HostErrors } from './udp/errors.ts';
import { UdpForwards } from './udp/forwards.ts';
import { DatagramOutput } from './udp/output.ts';
import { ReadyList } from './udp/ready-list.ts';
import { DatagramReceiver } from './udp/receiver.ts';
import { Refusals } from './udp/refusals.ts';
import { UdpGateway } from './udp/udp.ts';

export class Datagrams {
  readonly udp: UdpGateway;
  readonly echo: EchoProxy;
  readonly forwards: UdpForwards;
  readonly #receiver: DatagramReceiver;
  readonly #errors: HostErrors;
  readonly #departures: Departures;
  readonly #readyList = new ReadyList();

  constructor(context: GatewayContext, icmp: GatewayIcmp, icmpv6: GatewayIcmpv6) {
    const receiver = new DatagramReceiver(context.outbox);
    const output = new DatagramOutput(context, receiver);
    const errors = new HostErrors(context);
    const readyList = this.#readyList;
    const refusals = new Refusals(icmp, icmpv6);
    this.#receiver = receiver;
    this.#errors = errors;
    this.#departures = new Departures(errors, refusals, context.settle);
    this.udp = new UdpGateway({ context, receiver, output, errors, readyList, refusals }, this.#departures);
    this.echo = new EchoProxy({ context, receiver, output, errors, readyList, refusals });
    this.forwards = new UdpForwards({ context, receiver, output, readyList, flows: this.udp.flows });
  }

  /** There is more to read than fitted into the turns so far: {@link run} goes on with it. */
  get busy(): boolean {
    return this.#readyList.busy;
  }

  run(): void {
    this.#readyList.run();
  }

  /** Sends what still lies in the slots of the batch that has been handled. */
  endBatch(): void {
    this.#departures.flush();
  }

  /** The flows of a VM, the longest idle first. */
  list(port: number): FlowRecord[] {
    const udp = datagramRecords('udp', this.udp.flows.oldestOf(port));
    return [...udp, ...datagramRecords('icmp', this.echo.flows.oldestOf(port))];
  }

  /** Ends all flows of a VM. Its forwards stay, until they are closed. How many there were. */
  endPort(port: number): number {
    return this.udp.flows.endPort(port) + this.echo.flows.endPort(port);
  }

  /** Gives the memory back; no socket may become ready any more. */
  release(): void {
    this.#receiver.release();
    this.#errors.release();
    this.udp.release();
    this.#departures.release();
  }
}
