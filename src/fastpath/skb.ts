/** What the programs share: where they find things of a frame, the kernel's helpers they call, and steps all of them take. */
import { type BpfAssembler, FP } from '../sys/bpf-assembler.ts';

/** struct __sk_buff, linux/bpf.h */
export const SKB = {
  length: 0,
  packetType: 4,
  vlanPresent: 20,
  ingressInterface: 36,
  interface: 40,
} as const;

/** enum bpf_func_id, linux/bpf.h */
export const HELPER = {
  mapLookup: 1,
  storeBytes: 9,
  replaceIpChecksum: 10,
  replaceChecksum: 11,
  redirect: 23,
  loadBytes: 26,
  checksumDifference: 28,
  changeType: 32,
  redirectToNeighbour: 152,
} as const;

/** linux/if_packet.h */
export const PACKET = { host: 0, outgoing: 4 } as const;

export const ETHERTYPE_IPV4_BYTES = 0x0008; // as a little-endian load sees it
export const VERSION_4_WITHOUT_OPTIONS = 0x45;

/** Register of the program's context */
export const CONTEXT = 6;

/** Copies the first bytes of an untagged frame to a place of the stack; jumps to `other` where it is tagged or shorter. */
export function loadHeaders(code: BpfAssembler, at: number, bytes: number, other: string): BpfAssembler {
  return code
    .load(4, 2, CONTEXT, SKB.vlanPresent)
    .ifNot(2, 0, other)
    .move(1, CONTEXT)
    .set(2, 0)
    .move(3, FP)
    .add(3, at)
    .set(4, bytes)
    .call(HELPER.loadBytes)
    .ifNot(0, 0, other);
}

/** Looks up the key at a place of the stack: the entry, or 0, is in register 0. */
export function lookUp(code: BpfAssembler, map: number, key: number): BpfAssembler {
  return code.map(1, map).move(2, FP).add(2, key).call(HELPER.mapLookup);
}
