/**
 * Guard by nftables: a table of the netdev family with one chain an interface, without rules and with the policy
 * to drop. It belongs to the network namespace, not to us, so it outlives us.
 *
 * What becomes of the chain when its interface goes depends on the kernel. Up to Linux 6.15 it goes too (or stays
 * behind, bound to nothing). From 6.16 on it is bound to the name: it stays, and takes hold of the next interface
 * of that name the moment that appears.
 */
import { SysError } from '../sys/errno.ts';
import {
  addIngressChain,
  addTable,
  deleteChain,
  deleteEmptyTable,
  type ListedChain,
  NftablesSocket,
  type NftChange,
} from '../sys/nftables.ts';

const TABLE = 'tapswitch';
/** Before every chain an administrator is likely to have there: NF_IP_PRI_RAW. */
const PRIORITY = -300;
/** Times a transaction is made again because a chain came or went between looking and doing. */
const ATTEMPTS = 5;

function withSocket<T>(work: (socket: NftablesSocket) => T): T {
  const socket = new NftablesSocket();
  try {
    return work(socket);
  } finally {
    socket.close();
  }
}

/** Whether `error` is one of the codes; for the others, throws it on. */
function isOneOf(error: unknown, codes: readonly string[]): boolean {
  if (error instanceof SysError && codes.includes(error.code)) return true;
  throw error;
}

const guardChain = (name: string) =>
  addIngressChain({ table: TABLE, name, device: name, priority: PRIORITY, policy: 'drop' });

const isInForce = ({ name, devices, policy }: ListedChain) =>
  policy === 'drop' && devices.length === 1 && devices[0] === name;

/** Throws SysError where such a guard cannot be had in the thread's namespace; leaves nothing behind. */
export function probeNftables(): void {
  // Checked on the loopback, which every namespace has, with a policy that could not hurt it.
  const chain = addIngressChain({
    table: TABLE,
    name: 'probe',
    device: 'lo',
    priority: PRIORITY,
    policy: 'accept',
  });
  withSocket((socket) => socket.check([addTable(TABLE), chain]));
}

/** Guards interfaces of the thread's namespace in one transaction: all of them, or none and a SysError. */
export function applyNftables(names: readonly string[]): void {
  withSocket((socket) => {
    for (let attempt = 1; ; attempt++) {
      const changes: NftChange[] = [];
      for (const name of names) {
        const chain = socket.chain(TABLE, name);
        if (chain !== undefined && isInForce(chain)) continue;
        if (chain !== undefined) changes.push(deleteChain(TABLE, name));
        changes.push(guardChain(name));
      }
      if (changes.length > 0) changes.unshift(addTable(TABLE));
      try {
        return socket.transaction(changes);
      } catch (error) {
        const wentMeanwhile = error instanceof SysError && error.operation.startsWith('delete chain');
        if (!wentMeanwhile || attempt === ATTEMPTS) throw error;
      }
    }
  });
}

/**
 * Ends the guard of those interfaces of the thread's namespace that have one; the last takes the table along.
 * Takes 5-25 ms however many they are: after a deletion the kernel closes our socket only when it has cleaned up.
 */
export function releaseNftables(names: readonly string[]): void {
  withSocket((socket) => {
    for (let attempt = 1; ; attempt++) {
      const present = names.filter((name) => socket.chain(TABLE, name) !== undefined);
      try {
        socket.transaction(present.map((name) => deleteChain(TABLE, name)));
        break;
      } catch (error) {
        if (isOneOf(error, ['ENOENT']) && attempt === ATTEMPTS) throw error;
      }
    }
    try {
      socket.transaction([deleteEmptyTable(TABLE)]);
    } catch (error) {
      isOneOf(error, ['EBUSY', 'ENOENT']); // other interfaces are still guarded, or none ever was
    }
  });
}

/** Number of the ruleset's last change, whoever made it. */
export function nftablesGeneration(): number {
  return withSocket((socket) => socket.generation());
}

/** @param among only these; a few are found faster than all are listed */
export function guardedByNftables(among?: readonly string[]): string[] {
  if (among !== undefined) {
    const isGuarded = (socket: NftablesSocket, name: string) => {
      const chain = socket.chain(TABLE, name);
      return chain !== undefined && isInForce(chain);
    };
    return withSocket((socket) => among.filter((name) => isGuarded(socket, name)));
  }
  const chains = withSocket((socket) => socket.chains(TABLE));
  return chains.flatMap(({ devices, policy }) => (policy === 'drop' ? devices : []));
}
