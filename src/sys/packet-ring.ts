/**
 * Packet sockets whose frames the kernel writes into memory that is shared with us (linux/if_packet.h, TPACKET_V3;
 * Documentation/networking/packet_mmap.rst): no system call for a frame, no buffer of its own, and a wake-up for many.
 *
 * Theory of operation. The ring is blocks. The kernel fills one with frames and hands it over when it is full, or has had
 * frames for {@link RING_RETIRE_MS}; we hand it back once we have passed them all. While all are ours frames are lost, and
 * counted (`takeReceiveOverflow` in packet-socket.ts). The socket is readable while a block waits.
 */
import { holdFrames } from './fanout.ts';
import { check, close, setsockopt } from './libc.ts';
import { type Memory, mapShared, unmapMemory } from './memory.ts';
import { bindToInterface, openUnboundSocket, SOL_PACKET, setOption } from './packet-socket.ts';

const PACKET_RX_RING = 5;
const PACKET_VERSION = 10;
const TPACKET_V3 = 2;
const PACKET_OUTGOING = 4;

const BLOCK_BYTES = 65_536;
const BLOCKS = 32;
const RING_BYTES = BLOCKS * BLOCK_BYTES;
/** Without meaning here: in this version a frame takes what it needs. The kernel wants it to divide a block. */
const FRAME_BYTES = 2048;
/** Longest that a frame waits in a block that does not fill, `ms` */
export const RING_RETIRE_MS = 10;

// struct tpacket_block_desc
const BLOCK_STATUS = 8;
const BLOCK_FRAMES = 12;
const BLOCK_FIRST = 16;
const STATUS_KERNEL = 0;
const STATUS_USER = 1;
// struct tpacket3_hdr, and the sockaddr_ll behind it
const NEXT = 0;
const SECONDS = 4;
const NANOSECONDS = 8;
const KEPT = 12;
const LENGTH = 16;
const MAC_OFFSET = 24;
const PACKET_TYPE = 48 + 10;

/**
 * Opens a socket of an interface that sees what comes in and what leaves, once it is given a filter. Binding it
 * takes a while: not for the datapath's thread.
 * @throws SysError EPERM without CAP_NET_RAW, ENODEV when the interface is gone, ENOMEM
 */
export function openPacketRing(interfaceIndex: number): number {
  const fd = openUnboundSocket();
  try {
    setOption(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V3, 'set PACKET_VERSION');
    // struct tpacket_req3
    const request = Buffer.from(
      Uint32Array.of(BLOCK_BYTES, BLOCKS, FRAME_BYTES, RING_BYTES / FRAME_BYTES, RING_RETIRE_MS, 0, 0).buffer,
    );
    check('set PACKET_RX_RING', setsockopt(fd, SOL_PACKET, PACKET_RX_RING, request, request.length));
    holdFrames(fd);
    bindToInterface(fd, interfaceIndex);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * The ring of such a socket as one thread reads it, from frame to frame: {@link PacketRing.next}, then the frame's fields,
 * which are valid until it is called again.
 */
export class PacketRing {
  readonly view: DataView;
  readonly u8: Uint8Array;
  readonly #memory: Memory;
  readonly #words: Int32Array;
  #block = 0;
  /** Frames of the block that are left, once it has been handed over */
  #left = 0;
  #isHeld = false;
  /** Where the frame's header is */
  #at = 0;

  /** Maps the ring of a socket; undefined where the kernel refuses. */
  static map(fd: number): PacketRing | undefined {
    const memory = mapShared(fd, RING_BYTES);
    return memory && new PacketRing(memory);
  }

  private constructor(memory: Memory) {
    this.#memory = memory;
    this.view = memory.view;
    this.u8 = memory.u8;
    this.#words = new Int32Array(memory.view.buffer);
  }

  /** Goes on to the next frame; false where none is there yet. What was passed is the kernel's again then. */
  next(): boolean {
    if (this.#left > 0) {
      this.#at += this.view.getUint32(this.#at + NEXT, true);
      this.#left--;
      return true;
    }
    if (this.#isHeld) this.#handBack();
    const block = this.#block * BLOCK_BYTES;
    if ((Atomics.load(this.#words, (block + BLOCK_STATUS) >> 2) & STATUS_USER) === 0) return false;
    this.#isHeld = true;
    // A block that is handed over has frames.
    this.#left = this.view.getUint32(block + BLOCK_FRAMES, true) - 1;
    this.#at = block + this.view.getUint32(block + BLOCK_FIRST, true);
    return true;
  }

  #handBack(): void {
    Atomics.store(this.#words, (this.#block * BLOCK_BYTES + BLOCK_STATUS) >> 2, STATUS_KERNEL);
    this.#block = (this.#block + 1) % BLOCKS;
    this.#isHeld = false;
  }

  /** Where the frame begins in {@link view} */
  get start(): number {
    return this.#at + this.view.getUint16(this.#at + MAC_OFFSET, true);
  }

  /** Bytes of the frame that are there */
  get kept(): number {
    return this.view.getUint32(this.#at + KEPT, true);
  }

  /** Bytes it had before the filter cut it */
  get length(): number {
    return this.view.getUint32(this.#at + LENGTH, true);
  }

  /** When the kernel saw it: seconds since 1970 */
  get seconds(): number {
    return this.view.getUint32(this.#at + SECONDS, true);
  }

  get nanoseconds(): number {
    return this.view.getUint32(this.#at + NANOSECONDS, true);
  }

  /** It leaves by the interface */
  get isOutgoing(): boolean {
    return this.view.getUint8(this.#at + PACKET_TYPE) === PACKET_OUTGOING;
  }

  /** Gives the mapping back, not the socket. Nothing of it may be touched afterwards. */
  release(): void {
    unmapMemory(this.#memory);
  }
}
