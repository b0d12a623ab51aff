/** The rigs of the isolation set: a VM whose connections go out, and a neighbour of the same network. */
import { type BenchGuest, SERVER_NUMBER, tapGuest, vethGuest } from './guests.ts';
import { loopbackUp, OUTSIDE, outside } from './host.ts';
import { compute, flood, type Misbehaviour, spoof, stall } from './misbehaviour.ts';
import { type Build, type IsolationRigName, PORTS } from './rig.ts';
import { OUTBOUND } from './rigs-nat.ts';
import { runSwitch, vmsOf } from './switch.ts';

const NEIGHBOUR_NUMBER = SERVER_NUMBER + 1;
const UNUSED_IP = '10.66.0.99';

interface Neighbour {
  readonly misbehaviour?: Misbehaviour;
  readonly make?: typeof vethGuest;
  /** What the switch is told of it that is otherwise */
  readonly told?: Partial<BenchGuest>;
}

const beside =
  (name: IsolationRigName, { misbehaviour, make = vethGuest, told }: Neighbour): Build =>
  async (host, undo) => {
    loopbackUp(host);
    const server = await outside(host, undo);
    const guest = await vethGuest(host, SERVER_NUMBER, undo);
    const neighbour = await make(host, NEIGHBOUR_NUMBER, undo);
    const forwards = [`${PORTS.connections}:${PORTS.connections}`];
    const vms = { ...vmsOf([guest]), ...vmsOf([{ ...neighbour, ...told }], { forwards }) };
    const child = await runSwitch(host, { vms, network: OUTBOUND }, undo);
    const ends = { client: guest.namespace, server, address: OUTSIDE };
    const misbehave = misbehaviour && (() => misbehaviour(host, neighbour));
    return { name, ...ends, pid: child.pid, ...(misbehave === undefined ? {} : { misbehave }) };
  };

export const ISOLATION_RIGS: Readonly<Record<IsolationRigName, Build>> = {
  'beside-idle': beside('beside-idle', {}),
  'beside-busy': beside('beside-busy', { misbehaviour: compute }),
  'beside-flood': beside('beside-flood', { misbehaviour: flood }),
  'beside-stall': beside('beside-stall', { misbehaviour: stall, make: tapGuest }),
  'beside-spoof': beside('beside-spoof', { misbehaviour: spoof, told: { ip: UNUSED_IP } }),
};
