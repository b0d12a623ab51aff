/** Ports, addresses and rules, as an explanation calls them. */
import { formatPrefix, parsePrefix } from '../config/ip.ts';
import type { Scene, SceneNetwork, SceneVm } from '../engine/scene.ts';
import { TapswitchError } from '../errors.ts';
import { DEFAULT_DENIALS, type RuleOrigin } from '../gateway/egress-policy.ts';
import { GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW } from '../switch/gateway-mac.ts';
import { NONE } from '../switch/shared-map.ts';
import { KIND_HOST } from '../switch/tables.ts';
import { formatMac, macHigh, macLow, macOf } from '../wire/mac.ts';
import { BROADCAST_MAC } from './frames.ts';

export const GATEWAY_MAC = macOf(GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW);
const GROUP_BIT = 0x0100;

/** Throws VM_UNKNOWN. */
export function vmOf(scene: Scene, id: string): SceneVm {
  for (const vm of scene.vms()) if (vm.id === id) return vm;
  throw new TapswitchError(
    'VM_UNKNOWN',
    `no VM ${id} is attached`,
    'Use an id that tapswitch vm ls shows with its TAP.',
  );
}

export function vmAt(scene: Scene, port: number): SceneVm | undefined {
  for (const vm of scene.vms()) if (vm.port === port) return vm;
  return undefined;
}

export function networkOf(scene: Scene, number: number): SceneNetwork {
  for (const network of scene.networks) if (network.number === number) return network;
  throw new Error(`a port of network ${number}, which there is not`);
}

/** `host`, or the id of the VM behind a port. */
export function portName(scene: Scene, port: number): string {
  if (scene.tables.kind(port) === KIND_HOST) return 'host';
  return vmAt(scene, port)?.id ?? `port ${port}`;
}

/** MAC of a port, 48 bits, whatever its state. */
export function macAt({ tables }: Scene, port: number): number {
  return macOf(tables.macHigh(port), tables.macLow(port));
}

/** Whose a destination MAC is in a network. */
export function macOwner(scene: Scene, network: number, mac: number): string {
  const { tables, clock } = scene;
  if (mac === GATEWAY_MAC) return 'the gateway';
  if (mac === BROADCAST_MAC) return 'everyone';
  if ((macHigh(mac) & GROUP_BIT) !== 0) return 'a multicast group';
  const host = tables.hostPort(network);
  if (host !== 0 && macAt(scene, host) === mac) return 'the host port';
  const entry = tables.fdb.find(macLow(mac), macHigh(mac), network, clock.seconds);
  return entry === NONE ? 'no known port' : portName(scene, tables.fdb.value(entry));
}

/** `06:… (vm2)` */
export function macText(scene: Scene, network: number, mac: number): string {
  return `${formatMac(mac)} (${macOwner(scene, network, mac)})`;
}

/** Where an outbound rule stands, and what it says. */
export function ruleText(scene: Scene, vm: SceneVm, rule: RuleOrigin | undefined): string {
  if (rule === undefined) return 'no outbound rule matches';
  const { from, index } = rule;
  switch (from) {
    case 'vm':
      return `vms.${vm.id}.egress, rule ${index + 1}: ${vm.egress[index]?.text}`;
    case 'network': {
      const network = networkOf(scene, scene.tables.network(vm.port));
      return `networks.${network.name}.egress, rule ${index + 1}: ${network.egress[index]?.text}`;
    }
    case 'host':
      return "built in: the host's own addresses are denied";
    case 'default': {
      const prefix = parsePrefix(DEFAULT_DENIALS[index] as string);
      return `built in: deny ${prefix === undefined ? DEFAULT_DENIALS[index] : formatPrefix(prefix)}`;
    }
  }
}
