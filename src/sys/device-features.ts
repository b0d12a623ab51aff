/**
 * Which segmentation a packet socket's device does itself (SIOCETHTOOL, linux/ethtool.h): a TAP's depends on what
 * its VMM has negotiated with the guest, and changes while it runs.
 */

import { SysError } from './errno.ts';
import { errno, getsockname, ioctl, ioctlValue } from './libc.ts';
import { mapMemory } from './memory.ts';

const SIOCGIFNAME = 0x8910;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GSTRINGS = 0x1b;
const ETHTOOL_GFEATURES = 0x3a;
const ETH_SS_FEATURES = 4;
const FEATURE_NAME_BYTES = 32;
const FEATURE_NAMES_OFFSET = 12;
const FEATURE_BLOCKS_OFFSET = 8;
const FEATURE_BLOCK_BYTES = 16;
const ACTIVE_OFFSET = 8;
const FEATURE_BLOCKS = 2;

const IFNAME_BYTES = 16;
const IFREQ_BYTES = 40;
const SOCKADDR_LL_BYTES = 20;
const SOCKADDR_LL_INDEX = 4;

/** Names of the features by virtio-net GSO type: TCP over IPv4, TCP over IPv6, UDP (linux/virtio_net.h). */
const FEATURE_OF_GSO: Readonly<Record<number, string>> = {
  1: 'tx-tcp-segmentation',
  4: 'tx-tcp6-segmentation',
  5: 'tx-udp-segmentation',
};

// An ifreq, and behind it what it points at; every call fills both in anew.
const scratch = mapMemory(8192);
let names: string[] | undefined;

function ethtool(fd: number, name: Uint8Array, command: number, argument: number): boolean {
  scratch.u8.fill(0, 0, IFREQ_BYTES);
  scratch.u8.set(name.subarray(0, IFNAME_BYTES));
  scratch.view.setBigUint64(IFNAME_BYTES, BigInt(scratch.address + IFREQ_BYTES), true);
  scratch.view.setUint32(IFREQ_BYTES, command, true);
  scratch.view.setUint32(IFREQ_BYTES + 4, argument, true);
  return ioctlValue(fd, SIOCETHTOOL, scratch.address) >= 0;
}

function readNames(fd: number, name: Uint8Array): string[] {
  if (!ethtool(fd, name, ETHTOOL_GSTRINGS, ETH_SS_FEATURES))
    throw new SysError('read feature names', errno());
  const count = scratch.view.getUint32(IFREQ_BYTES + 8, true);
  return Array.from({ length: count }, (_, i) => {
    const at = IFREQ_BYTES + FEATURE_NAMES_OFFSET + i * FEATURE_NAME_BYTES;
    const bytes = scratch.u8.subarray(at, at + FEATURE_NAME_BYTES);
    return Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString();
  });
}

function interfaceName(fd: number): Uint8Array | undefined {
  const address = Buffer.alloc(SOCKADDR_LL_BYTES);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(address.length);
  if (getsockname(fd, address, length) < 0) return undefined;
  const request = Buffer.alloc(IFREQ_BYTES);
  request.writeInt32LE(address.readInt32LE(SOCKADDR_LL_INDEX), IFNAME_BYTES);
  return ioctl(fd, SIOCGIFNAME, request) < 0 ? undefined : request.subarray(0, IFNAME_BYTES);
}

/**
 * Whether the device that the packet socket `fd` is bound to lacks segmentation of a virtio-net GSO type, so that the
 * kernel must do it on the way there; false where that cannot be learned.
 */
export function lacksSegmentation(fd: number, gsoType: number): boolean {
  const feature = FEATURE_OF_GSO[gsoType];
  if (feature === undefined) return false;
  const name = interfaceName(fd);
  if (name === undefined) return false;
  names ??= readNames(fd, name);
  const index = names.indexOf(feature);
  if (index < 0) return true;
  if (!ethtool(fd, name, ETHTOOL_GFEATURES, FEATURE_BLOCKS)) return false;
  const block = IFREQ_BYTES + FEATURE_BLOCKS_OFFSET + (index >> 5) * FEATURE_BLOCK_BYTES;
  return ((scratch.view.getUint32(block + ACTIVE_OFFSET, true) >>> (index & 31)) & 1) === 0;
}
