/**
 * Where a flow that a guest begins leads, as one small integer: the port of the host's loopback that a service of the
 * gateway's stands for, {@link TO_OUTSIDE}, {@link TO_NAME_SERVER}, or a refusal with its reason. Nothing is begun here,
 * and nothing noted.
 */
import type { Tables } from '../switch/tables.ts';
import { DROP } from '../telemetry/drops.ts';
import { PROTOCOL_TCP } from '../wire/ipv4.ts';
import { DNS_PORT } from './dns/datagrams.ts';
import { EGRESS_ALLOW, type EgressPolicy } from './egress-policy.ts';
import type { FlowKey } from './flow-key.ts';
import type { HostServices } from './host-services.ts';
import { isGatewayAddress, isInOwnSubnet } from './own-addresses.ts';

/** To where it is addressed. */
export const TO_OUTSIDE = 0;
/** To the gateway's own name server, over TCP. */
export const TO_NAME_SERVER = -1;

const FIRST_REFUSAL = -2;

/** What is asked about destinations. */
export interface DestinationRules {
  readonly tables: Tables;
  readonly services: Pick<HostServices, 'find'>;
  readonly policies: {
    decide(port: number, ...flow: Parameters<EgressPolicy['decide']>): number;
  };
}

/** True for what {@link destinationOf} refuses. */
export function isRefusal(destination: number): boolean {
  return destination <= FIRST_REFUSAL;
}

/** Reason of a refusal, a number of `DROP`. */
export function refusalReason(destination: number): number {
  return FIRST_REFUSAL - destination;
}

/**
 * Decides about a new flow of a guest's.
 * @param protocol number of the IP header; ICMP for ICMPv6, too
 */
export function destinationOf(rules: DestinationRules, protocol: number, key: FlowKey): number {
  const { tables } = rules;
  const { port, remote0, remote1, remote2, remote3, remotePort } = key;
  const network = tables.network(port);
  if (isGatewayAddress(tables, network, remote0, remote1, remote2, remote3)) {
    if (protocol === PROTOCOL_TCP && remotePort === DNS_PORT) return TO_NAME_SERVER;
    const service = rules.services.find(network, protocol, remotePort);
    return service === 0 ? FIRST_REFUSAL - DROP['no-service'] : service;
  }
  if (isInOwnSubnet(tables, network, remote0, remote1, remote2, remote3)) {
    return FIRST_REFUSAL - DROP.isolated;
  }
  const reason = rules.policies.decide(port, protocol, remote0, remote1, remote2, remote3, remotePort);
  return reason === EGRESS_ALLOW ? TO_OUTSIDE : FIRST_REFUSAL - reason;
}
