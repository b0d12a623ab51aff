/**
 * TAP devices through /dev/net/tun (linux/if_tun.h, Documentation/networking/tuntap.rst).
 *
 * A TAP has two ends: the descriptor, held by a VMM or by our host port, and the network interface. These calls
 * concern the descriptor end and act in the calling thread's network namespace.
 */
import { EINVAL, SysError } from './errno.ts';
import { check, close, errno, ioctl, ioctlValue, open } from './libc.ts';

const TUN_PATH = '/dev/net/tun';
const O_RDWR_NONBLOCK_CLOEXEC = 0x80802;
const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOWNER = 0x400454cc;
const TUNSETGROUP = 0x400454ce;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;

const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** Only a device that is not there yet */
const IFF_TUN_EXCL = 0x8000;

const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;

const IFNAME_BYTES = 16;
const IFREQ_BYTES = 40;
const VNET_HEADER_BYTES = 10;

function openTap(name: string, flags = 0): number {
  if (Buffer.byteLength(name) >= IFNAME_BYTES)
    throw new SysError(`open TAP ${name}`, EINVAL, 'name too long');
  const fd = check(`open ${TUN_PATH}`, open(TUN_PATH, O_RDWR_NONBLOCK_CLOEXEC, 0));
  const request = Buffer.alloc(IFREQ_BYTES);
  request.write(name);
  request.writeUInt16LE(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags, IFNAME_BYTES);
  if (ioctl(fd, TUNSETIFF, request) < 0) {
    const error = new SysError(`open TAP ${name}`, errno());
    close(fd);
    throw error;
  }
  return fd;
}

function setPersistent(fd: number, name: string, persistent: boolean): void {
  check(`make TAP ${name} persistent`, ioctlValue(fd, TUNSETPERSIST, persistent ? 1 : 0));
}

/**
 * Opens a TAP as its one owner, creating it where it does not exist, with whole GSO frames and unfinished
 * checksums passed both ways (`IFF_VNET_HDR`; checksum, TSO and, where the kernel has it, USO).
 *
 * @returns a non-blocking descriptor; each read and write is one frame behind a 10-byte virtio-net header
 * @throws SysError EBUSY when another process holds it, ENOENT/ENODEV without /dev/net/tun, EPERM without CAP_NET_ADMIN
 */
export function openPersistentTap(name: string): number {
  const fd = openTap(name);
  try {
    const header = Buffer.alloc(4);
    header.writeInt32LE(VNET_HEADER_BYTES);
    check(`set header size of TAP ${name}`, ioctl(fd, TUNSETVNETHDRSZ, header));
    const segmentation = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    if (ioctlValue(fd, TUNSETOFFLOAD, segmentation | TUN_F_USO4 | TUN_F_USO6) < 0) {
      check(`set offloads of TAP ${name}`, ioctlValue(fd, TUNSETOFFLOAD, segmentation));
    }
    setPersistent(fd, name, true);
  } catch (error) {
    close(fd);
    throw error;
  }
  return fd;
}

/** Who may open a TAP beside whoever may do everything. */
export interface TapOwner {
  readonly owner?: number | undefined;
  readonly group?: number | undefined;
}

/**
 * Makes a TAP that stays until removed and that nobody holds, as a master-controller does before it boots a VM.
 * @returns false where an interface of that name is there already
 */
export function createPersistentTap(name: string, { owner, group }: TapOwner = {}): boolean {
  let fd: number;
  try {
    fd = openTap(name, IFF_TUN_EXCL);
  } catch (error) {
    if (error instanceof SysError && error.code === 'EBUSY') return false;
    throw error;
  }
  try {
    if (owner !== undefined) check(`set owner of TAP ${name}`, ioctlValue(fd, TUNSETOWNER, owner));
    if (group !== undefined) check(`set group of TAP ${name}`, ioctlValue(fd, TUNSETGROUP, group));
    setPersistent(fd, name, true);
    return true;
  } finally {
    close(fd);
  }
}

/** Removes a persistent TAP that nobody holds. Throws SysError EBUSY while somebody does. */
export function removePersistentTap(name: string): void {
  const fd = openTap(name);
  try {
    setPersistent(fd, name, false);
  } finally {
    close(fd);
  }
}
