/** Ports of the gateway's address that lead to ports of the host's loopback. */
import { PROTOCOL_TCP } from '../wire/ipv4.ts';

const PORT_BITS = 16;

export interface HostServiceRecord {
  readonly protocol: 'tcp' | 'udp';
  readonly gatewayPort: number;
  readonly hostPort: number;
}

export class HostServices {
  readonly #ports = new Map<number, number>();

  /** Says what the guests of `network` find at their gateway, instead of what they found. */
  set(network: number, services: readonly HostServiceRecord[]): void {
    for (const key of [...this.#ports.keys()])
      if (key >>> (PORT_BITS + 1) === network) this.#ports.delete(key);
    for (const { protocol, gatewayPort, hostPort } of services) {
      this.#ports.set(keyOf(network, protocol === 'tcp', gatewayPort), hostPort);
    }
  }

  /** The host's port behind a port of the gateway's, 0 when there is none. */
  find(network: number, protocol: number, gatewayPort: number): number {
    return this.#ports.get(keyOf(network, protocol === PROTOCOL_TCP, gatewayPort)) ?? 0;
  }
}

function keyOf(network: number, isTcp: boolean, port: number): number {
  return (network << (PORT_BITS + 1)) | ((isTcp ? 1 : 0) << PORT_BITS) | port;
}
