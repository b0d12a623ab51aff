/**
 * Throughput through the switch beside a Linux bridge made for the comparison: two pairs of namespaces, one behind
 * each, measured in turns. Between namespaces because an emulated guest would be all that is measured.
 */
import { blastTcp } from '../lab/blast.ts';
import { createLabBridge } from '../lab/bridge.ts';
import type { NetnsGuest } from '../lab/netns-guest.ts';
import type { DemoLine } from './line.ts';
import { SPEED_NETWORK, type World } from './world.ts';

const BRIDGE = 'demo-br0';

interface Pair {
  readonly from: NetnsGuest;
  readonly to: NetnsGuest;
  readonly address: string;
}

async function makePair(world: World, prefix: string, base: number): Promise<Pair> {
  const guest = (suffix: string, host: number) =>
    world.startNetnsGuest({
      name: `${prefix}-${suffix}`,
      interfaceName: `${prefix}-${suffix}`,
      ip: `10.99.0.${host}`,
      prefix: SPEED_NETWORK.prefix,
    });
  const address = `10.99.0.${base + 1}`;
  return { from: await guest('a', base), to: await guest('b', base + 1), address };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

/** @param samples of each  @param ms length of one */
export async function throughputLine(world: World, samples: number, ms: number): Promise<DemoLine> {
  const throughSwitch = await makePair(world, 'fast', 1);
  await world.attachSpeed('fast-a', '10.99.0.1');
  await world.attachSpeed('fast-b', '10.99.0.2');
  const throughBridge = await makePair(world, 'brdg', 3);
  await world.make(async () => {
    world.atEnd(() => world.removeLink(BRIDGE));
    createLabBridge(world.host, BRIDGE, ['brdg-a', 'brdg-b']);
  });
  const figures: [number[], number[]] = [[], []];
  for (let i = 0; i < samples; i++) {
    for (const [index, { from, to, address }] of [throughSwitch, throughBridge].entries()) {
      figures[index]?.push(await blastTcp(from.namespace, to.namespace, address, ms));
    }
  }
  const [ours, bridges] = figures.map(median) as [number, number];
  return {
    name: 'throughput, TCP between two namespaces',
    ok: ours > 0 && bridges > 0,
    seen: `${ours.toFixed(1)} Gbit/s through the switch, ${bridges.toFixed(1)} through a Linux bridge (${(ours / bridges).toFixed(2)})`,
    value: Number(ours.toFixed(2)),
    unit: 'Gbit/s',
  };
}
