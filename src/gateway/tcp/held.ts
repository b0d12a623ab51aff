/** What a connection of the host's waits for that is held until a guest answers. */
import { ADDRESS_UNKNOWN, type Tables } from '../../switch/tables.ts';
import type { DropReason } from '../../telemetry/drops.ts';

/** Why it could not be opened yet, as it is counted when time is up; by the numbers below */
export const OPEN_FAILURES: readonly DropReason[] = [
  'forward-no-carrier',
  'forward-no-address',
  'forward-unanswered',
  'forward-refused',
  'flow-limit',
];
export const NO_CARRIER = 0;
export const NO_ADDRESS = 1;
export const UNANSWERED = 2;
export const REFUSED = 3;
export const NO_ROOM = 4;

/** The guest can be asked. */
export const NOTHING_MISSING = -1;
/** Its address is known, its MAC has to be asked for first. */
export const NO_MAC = -2;

/** The IPv4 address at which the guest on `port` is asked, int32: its own, or what DHCP offers it; 0 for none. */
export function forwardAddress(tables: Tables, port: number): number {
  return tables.ipState(port) === ADDRESS_UNKNOWN ? tables.leaseAddress(port) : tables.ip(port);
}

/** What is missing to ask the guest on `port` at `address`: {@link NO_CARRIER}, {@link NO_ADDRESS}, {@link NO_MAC}, or nothing. */
export function missingToAsk(tables: Tables, port: number, address: number): number {
  if (!tables.carrier(port)) return NO_CARRIER;
  if (address === 0) return NO_ADDRESS;
  return tables.macState(port) === ADDRESS_UNKNOWN ? NO_MAC : NOTHING_MISSING;
}
