/** QEMU's arguments that put a VM on the switch. */
import { bootArgs } from './boot-args.ts';
import type { GuestNetwork } from './guest-network.ts';

export interface QemuArguments {
  /** The network card, to be added to the command line as they are */
  readonly arguments: string[];
  /** What to add to the value of -append, where the kernel is given by -kernel; empty for a guest that asks by DHCP */
  readonly append: string;
}

/** A comma inside a value is written twice: qemu-options, "-netdev". */
const escaped = (value: string): string => value.replaceAll(',', ',,');

export function qemuArguments(network: GuestNetwork): QemuArguments {
  const { tap, mac } = network;
  // The TAP is there and up already: no script of QEMU's may touch it, nor put it on a bridge
  const netdev = `tap,id=net0,ifname=${escaped(tap)},script=no,downscript=no,vhost=off`;
  const device = `virtio-net-pci,netdev=net0${mac === undefined ? '' : `,mac=${mac}`}`;
  return { arguments: ['-netdev', netdev, '-device', device], append: bootArgs(network) };
}
