/**
 * Blocks of a pcapng file (draft-ietf-opsawg-pcapng), each whole and by itself: a capture is their concatenation, the
 * section header first, an interface before what names it; those of packets are
 * block-buffer.ts's. Little-endian; times are nanoseconds since 1970.
 */
import { addressBytes } from '../sys/ip-text.ts';
import {
  BLOCK_HEADER_BYTES,
  BLOCK_INTERFACE,
  BLOCK_NAMES,
  BLOCK_SECTION,
  BLOCK_STATISTICS,
  BLOCK_TRAILER_BYTES,
  INTERFACE_BODY_BYTES,
  INTERFACE_DESCRIPTION,
  INTERFACE_FILTER,
  INTERFACE_NAME,
  INTERFACE_RESOLUTION,
  OPTION_HEAD_BYTES,
  SECTION_APPLICATION,
  STATISTICS_BODY_BYTES,
  STATISTICS_DELIVERED,
  STATISTICS_DROPS,
  STATISTICS_END,
  STATISTICS_SELECTED,
  STATISTICS_START,
} from './pcapng-format.ts';

const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const LINKTYPE_ETHERNET = 1;
/** Section length: not known beforehand */
const UNKNOWN_LENGTH = 0xffff_ffff_ffff_ffffn;

/** Decimal places of a second in a time stamp */
const NANOSECONDS = 9;
/** First byte of a filter: what follows is text */
const FILTER_TEXT = 0;
const RECORD_IPV4 = 1;
const RECORD_IPV6 = 2;

export interface CapturedInterface {
  readonly name: string;
  readonly description: string;
  /** Bytes of a frame that are kept; 0 for all */
  readonly snaplen: number;
  /** As it was given, '' for none */
  readonly filter: string;
}

export interface InterfaceStatistics {
  readonly interfaceId: number;
  readonly start: bigint;
  readonly end: bigint;
  /** Frames the filter selected, of them lost for want of room, and written */
  readonly selected: bigint;
  readonly lost: bigint;
  readonly written: bigint;
}

export interface NamedAddress {
  readonly address: string;
  readonly name: string;
}

export function sectionHeader(application: string): Uint8Array {
  const body = Buffer.alloc(16);
  body.writeUInt32LE(BYTE_ORDER_MAGIC, 0);
  body.writeUInt16LE(1, 4);
  body.writeBigUInt64LE(UNKNOWN_LENGTH, 8);
  return block(BLOCK_SECTION, body, ...options([SECTION_APPLICATION, application]));
}

export function interfaceDescription({ name, description, snaplen, filter }: CapturedInterface): Uint8Array {
  const body = Buffer.alloc(INTERFACE_BODY_BYTES);
  body.writeUInt16LE(LINKTYPE_ETHERNET, 0);
  body.writeUInt32LE(snaplen, 4);
  const described = options(
    [INTERFACE_NAME, name],
    [INTERFACE_DESCRIPTION, description],
    [INTERFACE_RESOLUTION, Uint8Array.of(NANOSECONDS)],
    [INTERFACE_FILTER, filter === '' ? '' : Buffer.concat([Uint8Array.of(FILTER_TEXT), Buffer.from(filter)])],
  );
  return block(BLOCK_INTERFACE, body, ...described);
}

/** Names of addresses; several of one address stand together in its record. */
export function nameResolution(names: readonly NamedAddress[]): Uint8Array {
  const records = names.flatMap(({ address, name }) => {
    const bytes = addressBytes(address);
    const value = Buffer.concat([bytes, Buffer.from(`${name}\0`)]);
    return field(bytes.length === 4 ? RECORD_IPV4 : RECORD_IPV6, value);
  });
  return block(BLOCK_NAMES, ...records, Buffer.alloc(4));
}

export function interfaceStatistics(of: InterfaceStatistics): Uint8Array {
  const body = Buffer.alloc(STATISTICS_BODY_BYTES);
  body.writeUInt32LE(of.interfaceId, 0);
  writeTime(body, 4, of.end);
  const counted = options(
    [STATISTICS_START, timeBytes(of.start)],
    [STATISTICS_END, timeBytes(of.end)],
    [STATISTICS_SELECTED, uint64(of.selected)],
    [STATISTICS_DROPS, uint64(of.lost)],
    [STATISTICS_DELIVERED, uint64(of.written)],
  );
  return block(BLOCK_STATISTICS, body, ...counted);
}

function block(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, BLOCK_HEADER_BYTES + BLOCK_TRAILER_BYTES);
  const whole = Buffer.alloc(length);
  whole.writeUInt32LE(type, 0);
  whole.writeUInt32LE(length, 4);
  let at = BLOCK_HEADER_BYTES;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  whole.writeUInt32LE(length, at);
  return whole;
}

/** Options and their end; those of no value are left out. */
function options(...all: readonly (readonly [code: number, value: string | Uint8Array])[]): Uint8Array[] {
  const given = all.filter(([, value]) => value.length > 0);
  return [...given.flatMap(([code, value]) => field(code, Buffer.from(value))), Buffer.alloc(4)];
}

/** An option or a record, whole words. */
export function field(code: number, value: Uint8Array): Uint8Array[] {
  const head = Buffer.alloc(OPTION_HEAD_BYTES);
  head.writeUInt16LE(code, 0);
  head.writeUInt16LE(value.length, 2);
  return [head, ...padded(value)];
}

/** `bytes`, and zeros up to the next multiple of four. */
function padded(bytes: Uint8Array): Uint8Array[] {
  return [bytes, Buffer.alloc(-bytes.length & 3)];
}

function uint64(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

function timeBytes(time: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  writeTime(bytes, 0, time);
  return bytes;
}

/** A time is two words, the upper one first. */
function writeTime(into: Buffer, at: number, time: bigint): void {
  into.writeUInt32LE(Number(time >> 32n), at);
  into.writeUInt32LE(Number(time & 0xffff_ffffn), at + 4);
}
