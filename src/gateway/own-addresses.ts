/** Which addresses are the gateway's, and which its network's. They are four int32 words, see sys/inet-socket. */
import { isGatewayLinkLocal } from '../switch/gateway-mac.ts';
import type { Tables } from '../switch/tables.ts';
import { isMapped } from '../sys/inet-socket.ts';

/** True for the gateway's address in a network, its link-local one included. */
export function isGatewayAddress(
  tables: Tables,
  network: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
): boolean {
  if (isMapped(w0, w1, w2)) return w3 === tables.gatewayAddress(network);
  if (!tables.hasGateway6(network)) return false;
  return isGatewayLinkLocal(w0, w1, w2, w3) || tables.isGateway6(network, w0, w1, w2, w3);
}

/**
 * True for an address in a network's own subnets. Guests reach such addresses by their holders' MACs, or not at all:
 * the gateway never carries anything there by way of the host, whatever the outbound rules allow, since the host's
 * routes would bring it back into the network and past its isolation.
 */
export function isInOwnSubnet(
  tables: Tables,
  network: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
): boolean {
  if (isMapped(w0, w1, w2)) return tables.inSubnet(network, w3);
  // IPv6 subnets have 64 bits of prefix (config/network6).
  return (
    tables.hasGateway6(network) && tables.gateway6(network, 0) === w0 && tables.gateway6(network, 1) === w1
  );
}
