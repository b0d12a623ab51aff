/** The rigs of the qemu set: a guest in a namespace, and a virtual machine on a TAP that QEMU opens. */
import { createLabBridge } from '../src/lab/bridge.ts';
import { GuestUnavailable } from '../src/lab/guest.ts';
import { qemuAvailable, startQemuGuest } from '../src/lab/qemu-guest.ts';
import { inNamespace } from '../src/sys/netns.ts';
import { createPersistentTap } from '../src/sys/tun.ts';
import {
  type BenchGuest,
  CLIENT_NUMBER,
  GATEWAY,
  identity,
  PREFIX,
  SERVER_NUMBER,
  vethGuest,
} from './guests.ts';
import type { Build, QemuRigName, Undo } from './rig.ts';
import { runSwitch, vmsOf } from './switch.ts';

type Join = (host: string, guests: readonly BenchGuest[], undo: Undo) => Promise<number | undefined>;

const rig =
  (name: QemuRigName, join: Join): Build =>
  async (host, undo) => {
    const available = await qemuAvailable();
    if (!available.ok) throw new GuestUnavailable(available.reason);
    const client = await vethGuest(host, CLIENT_NUMBER, undo);
    const id = identity(SERVER_NUMBER);
    const tap = id.interfaceName;
    inNamespace(host, () => createPersistentTap(tap));
    const pid = await join(host, [client, { ...id, namespace: host }], undo);
    const place = { name: tap, tap, namespace: host, prefix: PREFIX, gateway: GATEWAY };
    const machine = await startQemuGuest({ ...place, mac: id.mac, ip: id.ip });
    undo.push(() => machine.stop());
    await machine.ready();
    return { name, client: client.namespace, server: host, address: id.ip, pid, machine };
  };

export const QEMU_RIGS: Readonly<Record<QemuRigName, Build>> = {
  'tapswitch-qemu': rig('tapswitch-qemu', async (host, guests, undo) => {
    const child = await runSwitch(host, { vms: vmsOf(guests), network: { mode: 'shared' } }, undo);
    return child.pid;
  }),
  'bridge-qemu': rig('bridge-qemu', async (host, guests) => {
    createLabBridge(
      host,
      'br0',
      guests.map(({ interfaceName }) => interfaceName),
    );
    return undefined;
  }),
};
