/** Names of flows for tests. */
import { FlowKey } from '../../src/gateway/flow-key.ts';

/** All that tells two flows apart. */
export const FLOW_KEY_FIELDS = [
  'port',
  'guest0',
  'guest1',
  'guest2',
  'guest3',
  'guestPort',
  'remote0',
  'remote1',
  'remote2',
  'remote3',
  'remotePort',
] as const;

/** An IPv4 flow of port 1, but for what `values` says. */
export function keyOf(values: Partial<FlowKey>): FlowKey {
  return Object.assign(new FlowKey(), { port: 1, guest2: 0xffff, remote2: 0xffff, ...values });
}
