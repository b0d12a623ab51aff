/**
 * Datagrams as `recvmmsg`, `sendmmsg` and `recvmsg` see them: with the address of the other end, and with control
 * messages (struct mmsghdr, sockaddr_in, sockaddr_in6 and cmsghdr; the same layout on x64 and arm64).
 *
 * Headers, names, control areas and the datagrams' own slots are one mapping that never moves. A vector is for
 * receiving or for sending: {@link DatagramVector.prepare} makes headers ready to receive into their slots, while
 * `aim`, `address` and `segment` make one ready to send what lies elsewhere.
 */
import { AF_INET6, MAPPED, writeSocketAddress } from './inet-socket.ts';
import { type Memory, mapMemory, unmapMemory } from './memory.ts';
import { addressHigh, addressLow } from './message-vector.ts';

const MMSGHDR_BYTES = 64;
const NAME_LENGTH = 8;
const IOV_POINTER = 16;
const IOV_COUNT = 24;
const CONTROL_POINTER = 32;
const CONTROL_LENGTH = 40;
const FLAGS = 48;
const RESULT_LENGTH = 56;
const IOVEC_BYTES = 16;
const IOVEC_LENGTH = 8;

/** Room for a sockaddr_in6, 28 bytes, on an 8-byte boundary */
const NAME_BYTES = 32;
const NAME_PORT = 2;
const NAME_ADDRESS4 = 4;
const NAME_ADDRESS6 = 8;

// struct cmsghdr: its length, level and type, then the data
const CMSG_LEVEL = 8;
const CMSG_TYPE = 12;
/** Offset of a control message's data */
export const CMSG_DATA = 16;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const SEGMENT_BYTES = 2;
/** Room for the control message of {@link DatagramVector.segment}, bytes */
export const SEGMENT_SPACE = 24;

/** What was queued about a failure, not a datagram (bits/socket.h) */
export const MSG_ERRQUEUE = 0x2000;

export class DatagramVector {
  readonly view: DataView;
  readonly #memory: Memory;
  readonly #names: number;
  readonly #controls: number;
  readonly #controlBytes: number;
  readonly #slots: number;
  readonly #slotBytes: number;
  readonly #iovecs: number;

  /**
   * @param slotBytes room for each datagram that is received, 0 where none is
   * @param controlBytes room for control messages of each, a multiple of 8
   */
  constructor(count: number, slotBytes: number, controlBytes: number) {
    this.#iovecs = count * MMSGHDR_BYTES;
    this.#names = this.#iovecs + count * IOVEC_BYTES;
    this.#controls = this.#names + count * NAME_BYTES;
    this.#controlBytes = controlBytes;
    this.#slots = this.#controls + count * controlBytes;
    this.#slotBytes = slotBytes;
    // Not populated: a switch whose guests send no datagrams need not have the memory.
    this.#memory = mapMemory(this.#slots + count * slotBytes, false);
    this.view = this.#memory.view;
    for (let i = 0; i < count; i++) {
      const header = i * MMSGHDR_BYTES;
      this.#setPointer(header, this.#names + i * NAME_BYTES);
      this.#setPointer(header + IOV_POINTER, this.#iovecs + i * IOVEC_BYTES);
      this.view.setUint32(header + IOV_COUNT, 1, true);
      this.#setPointer(header + CONTROL_POINTER, this.#controls + i * controlBytes);
      this.aim(i, this.slotAddress(i), slotBytes);
    }
  }

  #setPointer(offset: number, target: number): void {
    const address = this.#memory.address + target;
    this.view.setInt32(offset, addressLow(address), true);
    this.view.setInt32(offset + 4, addressHigh(address), true);
  }

  headerAddress(index: number): number {
    return this.#memory.address + index * MMSGHDR_BYTES;
  }

  /** Offset in {@link view} of the slot of header `index`. */
  slot(index: number): number {
    return this.#slots + index * this.#slotBytes;
  }

  slotAddress(index: number): number {
    return this.#memory.address + this.slot(index);
  }

  // --- receiving ------------------------------------------------------------------------------------------
  /** Makes `count` headers from `first` on ready to receive; the kernel shortens what it finds in them. */
  prepare(first: number, count: number): void {
    for (let i = first; i < first + count; i++) {
      this.view.setUint32(i * MMSGHDR_BYTES + NAME_LENGTH, NAME_BYTES, true);
      this.view.setUint32(i * MMSGHDR_BYTES + CONTROL_LENGTH, this.#controlBytes, true);
      this.view.setUint32(i * MMSGHDR_BYTES + FLAGS, 0, true);
    }
  }

  /** Bytes received into header `index` by `recvmmsg`. */
  bytes(index: number): number {
    return this.view.getInt32(index * MMSGHDR_BYTES + RESULT_LENGTH, true);
  }

  /** Bytes of control messages received into header `index`. */
  controlLength(index: number): number {
    return this.view.getInt32(index * MMSGHDR_BYTES + CONTROL_LENGTH, true);
  }

  /** Offset in {@link view} of the first control message of header `index`. */
  control(index: number): number {
    return this.#controls + index * this.#controlBytes;
  }

  /** Word `i` (0 to 3) of the address a datagram came from, an IPv4 address mapped. */
  nameWord(index: number, i: number): number {
    return addressWord(this.view, this.#names + index * NAME_BYTES, i);
  }

  /** Port a datagram came from. */
  namePort(index: number): number {
    return this.view.getUint16(this.#names + index * NAME_BYTES + NAME_PORT);
  }

  // --- sending --------------------------------------------------------------------------------------------
  /** Lets header `index` be the `bytes` bytes at `address`. */
  aim(index: number, address: number, bytes: number): void {
    const iovec = this.#iovecs + index * IOVEC_BYTES;
    this.view.setInt32(iovec, addressLow(address), true);
    this.view.setInt32(iovec + 4, addressHigh(address), true);
    this.view.setInt32(iovec + IOVEC_LENGTH, bytes, true);
  }

  /** Addresses header `index`; one that never was goes to the socket's own peer. */
  address(index: number, w0: number, w1: number, w2: number, w3: number, port: number): void {
    const bytes = writeSocketAddress(this.view, this.#names + index * NAME_BYTES, w0, w1, w2, w3, port);
    this.view.setUint32(index * MMSGHDR_BYTES + NAME_LENGTH, bytes, true);
  }

  /** Lets header `index`, addressed or not, be sent as datagrams of `bytes` bytes each (udp(7)), 0 for as one. */
  segment(index: number, bytes: number): void {
    const control = this.control(index);
    this.view.setUint32(index * MMSGHDR_BYTES + CONTROL_LENGTH, bytes === 0 ? 0 : SEGMENT_SPACE, true);
    if (bytes === 0) return;
    this.view.setUint32(control, CMSG_DATA + SEGMENT_BYTES, true);
    this.view.setUint32(control + CMSG_LEVEL, SOL_UDP, true);
    this.view.setUint32(control + CMSG_TYPE, UDP_SEGMENT, true);
    this.view.setUint16(control + CMSG_DATA, bytes, true);
  }

  release(): void {
    unmapMemory(this.#memory);
  }
}

/** Word `i` of the address in the sockaddr at `off`, an IPv4 address mapped (RFC 4291 section 2.5.5.2). */
export function addressWord(view: DataView, off: number, i: number): number {
  if (view.getUint16(off, true) === AF_INET6) return view.getInt32(off + NAME_ADDRESS6 + 4 * i);
  if (i === 3) return view.getInt32(off + NAME_ADDRESS4);
  return i === 2 ? MAPPED : 0;
}
