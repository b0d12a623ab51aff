/** A port as it is shown: what the tables know of it, and what it has counted. */
import { ADDRESS_UNKNOWN } from '../switch/tables.ts';
import { formatIpv4 } from '../wire/ipv4.ts';
import { formatMac, macOf } from '../wire/mac.ts';
import type { Engine } from './engine.ts';
import type { HostPort } from './host-port.ts';
import type { PortGlance, PortState } from './switch-types.ts';
import type { VmPort } from './vm-port.ts';

/** The address that is leased to a port's guest, if any is. */
export function leaseOf({ tables }: Engine, number: number): string | undefined {
  const lease = tables.leaseAddress(number);
  return lease === 0 ? undefined : formatIpv4(lease);
}

/** @param name of its interface */
function portState(
  engine: Engine,
  number: number,
  name: string,
  network: string,
  plugged: boolean,
): PortState {
  const { tables } = engine;
  const mac = macOf(tables.macHigh(number), tables.macLow(number));
  const leased = leaseOf(engine, number);
  return {
    interface: name,
    network,
    plugged,
    carrier: tables.carrier(number),
    ...(tables.macState(number) === ADDRESS_UNKNOWN ? {} : { mac: formatMac(mac) }),
    ...(tables.ipState(number) === ADDRESS_UNKNOWN ? {} : { ip: formatIpv4(tables.ip(number)) }),
    ...(leased === undefined ? {} : { leased }),
    ...engine.stats(number),
  };
}

/** The state of a VM's port, its forwards apart. */
export function vmState(engine: Engine, { number, vm, plugged }: VmPort): PortState {
  const state = portState(engine, number, vm.tap, vm.network, plugged);
  return { ...state, worker: engine.homeOf(number), flows: engine.flowUse(number) };
}

export function portGlance(engine: Engine, number: number): PortGlance {
  const { tables } = engine;
  const { rxFrames, drops } = engine.stats(number);
  const isKnown = () =>
    tables.macState(number) !== ADDRESS_UNKNOWN && tables.ipState(number) !== ADDRESS_UNKNOWN;
  const address = () => ({
    ip: formatIpv4(tables.ip(number)),
    mac: formatMac(macOf(tables.macHigh(number), tables.macLow(number))),
    leased: tables.ip(number) === tables.leaseAddress(number),
  });
  return {
    carrier: tables.carrier(number),
    rxFrames,
    drops,
    address: () => (isKnown() ? address() : undefined),
  };
}

/** The state of host ports, by the name of their network. */
export function hostPortStates(engine: Engine, ports: Iterable<HostPort>): Record<string, PortState> {
  const states: Record<string, PortState> = {};
  for (const port of ports) {
    const { network, config, number, plugged } = port;
    port.collect();
    const state = portState(engine, number, config.name, network.name, plugged);
    states[network.name] = { ...state, ip: formatIpv4(config.address) };
  }
  return states;
}
