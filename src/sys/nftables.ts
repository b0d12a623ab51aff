/**
 * nftables through nfnetlink, as much of it as guarding interfaces needs: tables of the netdev family with
 * ingress chains (linux/netfilter/nf_tables.h).
 *
 * Changes come in transactions: one datagram with a begin message, the changes and an end message, of which the
 * kernel does everything or nothing. Without the end message it checks everything and does nothing.
 */
import { EAGAIN, ENOBUFS, ENOENT, SysError } from './errno.ts';
import { NetlinkSocket } from './netlink.ts';
import {
  attribute,
  eachAttribute,
  message,
  type NetlinkMessage,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLMSG_ERROR,
  nested,
  parseAttributes,
  parseError,
  readText,
  text,
  u32be,
} from './netlink-message.ts';

const NETLINK_NETFILTER = 12;
const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NFNL_SUBSYS_NFTABLES = 10;
const NFPROTO_NETDEV = 5;
const NFGENMSG_BYTES = 4;

const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_DELTABLE = 2;
const NFT_MSG_NEWCHAIN = 3;
const NFT_MSG_GETCHAIN = 4;
const NFT_MSG_DELCHAIN = 5;
const NFT_MSG_GETGEN = 16;
/** Refuses, with EBUSY, to delete what still holds something. */
const NLM_F_NONREC = 0x100;

const NFTA_GEN_ID = 1;
const NFTA_TABLE_NAME = 1;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_POLICY = 5;
const NFTA_CHAIN_TYPE = 7;
const NFTA_HOOK_HOOKNUM = 1;
const NFTA_HOOK_PRIORITY = 2;
const NFTA_HOOK_DEV = 3;
const NFTA_HOOK_DEVS = 4;
const NFTA_DEVICE_NAME = 1;
const NF_NETDEV_INGRESS = 0;
const VERDICTS = { drop: 0, accept: 1 } as const;

/** What becomes of a frame that no rule of the chain decides on */
export type Policy = keyof typeof VERDICTS;

/** A chain at the ingress of one interface, before the host's stack and after the packet sockets. */
export interface IngressChain {
  readonly table: string;
  readonly name: string;
  readonly device: string;
  /** Order among the interface's chains, smaller first */
  readonly priority: number;
  readonly policy: Policy;
}

/** A chain as the kernel lists it. */
export interface ListedChain {
  readonly name: string;
  /** Interfaces it is bound to, by name; since Linux 6.16 also those that do not exist at the moment */
  readonly devices: readonly string[];
  /** `undefined` for a chain that is bound to no hook */
  readonly policy: Policy | undefined;
}

/** One step of a transaction. */
export interface NftChange {
  /** What it does, for the message of an error */
  readonly operation: string;
  readonly message: Uint8Array;
}

function nfgenmsg(family: number, resource: number): Uint8Array {
  return Uint8Array.of(family, 0, resource >> 8, resource & 0xff);
}

function nftMessage(command: number, flags: number, attributes: readonly Uint8Array[]): Uint8Array {
  const type = (NFNL_SUBSYS_NFTABLES << 8) | command;
  return message(type, flags, nfgenmsg(NFPROTO_NETDEV, 0), attributes);
}

/** Makes a table; one that is there stays as it is. */
export function addTable(name: string): NftChange {
  return {
    operation: `add table ${name}`,
    message: nftMessage(NFT_MSG_NEWTABLE, NLM_F_CREATE, [attribute(NFTA_TABLE_NAME, text(name))]),
  };
}

/** Deletes a table without chains; the transaction fails with EBUSY where it has some. */
export function deleteEmptyTable(name: string): NftChange {
  return {
    operation: `delete table ${name}`,
    message: nftMessage(NFT_MSG_DELTABLE, NLM_F_NONREC, [attribute(NFTA_TABLE_NAME, text(name))]),
  };
}

/** Makes a chain without rules; one that is there takes on the policy. */
export function addIngressChain({ table, name, device, priority, policy }: IngressChain): NftChange {
  const hook = nested(NFTA_CHAIN_HOOK, [
    attribute(NFTA_HOOK_HOOKNUM, u32be(NF_NETDEV_INGRESS)),
    attribute(NFTA_HOOK_PRIORITY, u32be(priority)),
    attribute(NFTA_HOOK_DEV, text(device)), // with its NUL: since Linux 6.16 a name without one is a prefix
  ]);
  return {
    operation: `add chain ${name} at the ingress of ${device}`,
    message: nftMessage(NFT_MSG_NEWCHAIN, NLM_F_CREATE, [
      attribute(NFTA_CHAIN_TABLE, text(table)),
      attribute(NFTA_CHAIN_NAME, text(name)),
      hook,
      attribute(NFTA_CHAIN_POLICY, u32be(VERDICTS[policy])),
      attribute(NFTA_CHAIN_TYPE, text('filter')),
    ]),
  };
}

export function deleteChain(table: string, name: string): NftChange {
  return {
    operation: `delete chain ${name}`,
    message: nftMessage(NFT_MSG_DELCHAIN, 0, [
      attribute(NFTA_CHAIN_TABLE, text(table)),
      attribute(NFTA_CHAIN_NAME, text(name)),
    ]),
  };
}

/** Reads an NFT_MSG_NEWCHAIN message; `undefined` where it is cut short or of another table. */
export function parseChain({ payload }: NetlinkMessage, table: string): ListedChain | undefined {
  const attributes = parseAttributes(payload.subarray(NFGENMSG_BYTES));
  if (readText(attributes.get(NFTA_CHAIN_TABLE)) !== table) return undefined;
  const hook = parseAttributes(attributes.get(NFTA_CHAIN_HOOK));
  const devices: string[] = [];
  eachAttribute(hook.get(NFTA_HOOK_DEVS) ?? new Uint8Array(0), (type, value) => {
    if (type === NFTA_DEVICE_NAME) devices.push(readText(value));
  });
  const onlyDevice = hook.get(NFTA_HOOK_DEV);
  if (devices.length === 0 && onlyDevice !== undefined) devices.push(readText(onlyDevice));
  const verdict = attributes.get(NFTA_CHAIN_POLICY)?.[3];
  const policy = verdict === VERDICTS.drop ? 'drop' : verdict === VERDICTS.accept ? 'accept' : undefined;
  return { name: readText(attributes.get(NFTA_CHAIN_NAME)), devices, policy };
}

/**
 * Reads and changes the netdev tables of the network namespace that the thread was in when it was made.
 * Needs CAP_NET_ADMIN in that namespace. Every method throws SysError where the kernel refuses.
 */
export class NftablesSocket {
  readonly #socket = new NetlinkSocket(NETLINK_NETFILTER);

  /** Chains of a table; none where there is no such table. */
  chains(table: string): ListedChain[] {
    return this.#socket
      .dump(`list chains of table ${table}`, nftMessage(NFT_MSG_GETCHAIN, 0, []))
      .map((listed) => parseChain(listed, table))
      .filter((chain) => chain !== undefined);
  }

  /** One chain; `undefined` where there is none. */
  chain(table: string, name: string): ListedChain | undefined {
    const request = nftMessage(NFT_MSG_GETCHAIN, 0, [
      attribute(NFTA_CHAIN_TABLE, text(table)),
      attribute(NFTA_CHAIN_NAME, text(name)),
    ]);
    const found = this.#socket.find(`look up chain ${name}`, request, ENOENT);
    return found && parseChain(found, table);
  }

  /** Number of the last change of the namespace's ruleset, of whatever table (NFTA_GEN_ID). */
  generation(): number {
    const request = message((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN, 0, nfgenmsg(0, 0), []);
    const { payload } = this.#socket.get('read generation of the ruleset', request);
    const id = parseAttributes(payload.subarray(NFGENMSG_BYTES)).get(NFTA_GEN_ID);
    return id === undefined ? 0 : new DataView(id.buffer, id.byteOffset, 4).getUint32(0);
  }

  /** Makes all the changes, or none and throws the error of the first that the kernel refused. */
  transaction(changes: readonly NftChange[]): void {
    if (changes.length > 0) this.#send(changes, [batchMessage(NFNL_MSG_BATCH_END)]);
  }

  /** Throws what {@link transaction} would, and changes nothing. */
  check(changes: readonly NftChange[]): void {
    this.#send(changes, []);
  }

  #send(changes: readonly NftChange[], end: readonly Uint8Array[]): void {
    const messages = [batchMessage(NFNL_MSG_BATCH_BEGIN), ...changes.map(({ message }) => message), ...end];
    // A transaction is silent about what went well: one acknowledgement tells its success from no answer at all.
    const last = changes.length;
    const header = new DataView(messages[last].buffer);
    header.setUint16(6, header.getUint16(6, true) | NLM_F_ACK, true);
    const transaction = 'nftables transaction';
    const first = this.#socket.send(transaction, messages);
    let answered = false;
    for (;;) {
      const received = this.#socket.receive(transaction);
      if (received === 'empty') break;
      if (received === 'overrun') throw new SysError(transaction, ENOBUFS, 'answers were lost');
      for (const answer of received) {
        const position = answer.sequence - first;
        if (answer.type !== NLMSG_ERROR || position < 0) continue;
        const { errno, detail } = parseError(answer);
        if (errno !== 0) throw new SysError(changes[position - 1]?.operation ?? transaction, errno, detail);
        answered = true;
      }
    }
    if (!answered) throw new SysError(transaction, EAGAIN, 'no answer');
  }

  close(): void {
    this.#socket.close();
  }
}

function batchMessage(type: number): Uint8Array {
  return message(type, 0, nfgenmsg(0, NFNL_SUBSYS_NFTABLES));
}
