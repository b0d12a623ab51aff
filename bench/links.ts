/** What else the guests' links may be than a veth of 1500 bytes with all offloads. */
import { indexOf, withRoutes } from '../src/lab/netns-guest.ts';
import type { BenchGuest } from './guests.ts';
import { runProgram } from './processes.ts';

const OFFLOADS = ['tso', 'gso', 'gro', 'tx', 'rx'];

/** Changes the links of guests whose other ends are in the namespace `host`, before anything joins them. */
export type Links = (host: string, guests: readonly BenchGuest[]) => void | Promise<void>;

/** An MTU, bytes, at both ends of each link. */
export const withMtu =
  (mtu: number): Links =>
  (host, guests) => {
    const set = (namespace: string, name: string) =>
      withRoutes(namespace, (routes) => routes.changeLink(indexOf(routes, name), { mtu }));
    for (const { namespace, interfaceName } of guests) {
      set(host, interfaceName);
      set(namespace, 'eth0');
    }
  };

/** Guests that send no frame longer than their MTU, with every checksum complete. */
export const withoutOffloads: Links = async (_host, guests) => {
  const settings = OFFLOADS.flatMap((each) => [each, 'off']);
  for (const { namespace } of guests) await runProgram(namespace, ['ethtool', '-K', 'eth0', ...settings]);
};
