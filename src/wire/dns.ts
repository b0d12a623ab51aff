/**
 * DNS messages (RFC 1035 section 4) with EDNS (RFC 6891); the offset is that of the message. Contract: with
 * `check(view, off, length)` true no accessor of the header reads outside. The rest of a message is reached by offsets
 * into the view that `questionEnd` and `findOpt` return; where one is NONE there is nothing to read.
 *
 * No compression pointer (RFC 1035 section 4.1.4) is ever followed, so none can lead round in circles or outside: only
 * a message's question is read, before which there is no name to point to, and other records are passed over, where a
 * pointer is the end of a name.
 */

export const DNS_HEADER_BYTES = 12;
/** Longest message over TCP, whose length is 16 bits (RFC 1035 section 4.2.2) */
export const MAX_MESSAGE_BYTES = 0xffff;
/** Longest message over UDP to someone who did not say otherwise (RFC 1035 section 4.2.1) */
export const MIN_UDP_BYTES = 512;
export const NONE = 0;

// https://www.iana.org/assignments/dns-parameters
export const OPCODE_QUERY = 0;
export const TYPE_A = 1;
export const TYPE_PTR = 12;
export const TYPE_AAAA = 28;
export const TYPE_OPT = 41;
export const TYPE_IXFR = 251;
export const TYPE_AXFR = 252;
export const TYPE_ANY = 255;
export const CLASS_IN = 1;
export const CLASS_ANY = 255;

export const RCODE_NOERROR = 0;
export const RCODE_FORMERR = 1;
export const RCODE_SERVFAIL = 2;
export const RCODE_NXDOMAIN = 3;
export const RCODE_NOTIMP = 4;
export const RCODE_REFUSED = 5;
/** EDNS version not supported; its upper bits are in the OPT record (RFC 6891 section 6.1.3) */
export const RCODE_BADVERS = 16;

const ID = 0;
const FLAGS = 2;
const QUESTION_COUNT = 4;
const ANSWER_COUNT = 6;
const AUTHORITY_COUNT = 8;
const ADDITIONAL_COUNT = 10;

const RESPONSE = 0x8000;
const OPCODE_MASK = 0x7800;
const OPCODE_SHIFT = 11;
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;
const CHECKING_DISABLED = 0x0010; // RFC 4035 section 3.2.2: copied into the response
const RCODE_MASK = 0x000f;

const MAX_NAME_BYTES = 255; // RFC 1035 section 2.3.4
const MAX_LABEL_BYTES = 63;
const POINTER = 0xc0;
/** Pointer to the name of the question, which stands right behind the header */
const POINTER_TO_QUESTION = 0xc000 | DNS_HEADER_BYTES;
const TYPE_AND_CLASS_BYTES = 4;

// A record behind its name (RFC 1035 section 4.1.3)
const RECORD_TYPE = 0;
const RECORD_CLASS = 2;
const RECORD_TTL = 4;
const RECORD_LENGTH = 8;
const RECORD_BYTES = 10;
const POINTER_BYTES = 2;
const A_BYTES = 4;
const AAAA_BYTES = 16;

/** Size of an A, AAAA record whose name is that of the question */
export const A_RECORD_BYTES = POINTER_BYTES + RECORD_BYTES + A_BYTES;
export const AAAA_RECORD_BYTES = POINTER_BYTES + RECORD_BYTES + AAAA_BYTES;
/** Size of an OPT record without options: the root's name and a record */
export const OPT_RECORD_BYTES = 1 + RECORD_BYTES;

// The OPT record (RFC 6891 section 6.1.3), from its name, which is one byte
const OPT_UDP_BYTES = 1 + RECORD_CLASS;
const OPT_EXTENDED_RCODE = 1 + RECORD_TTL;
const OPT_VERSION = OPT_EXTENDED_RCODE + 1;
const OPT_FLAGS = OPT_VERSION + 1;
const DNSSEC_OK = 0x8000; // RFC 3225 section 3: copied into the response
const EXTENDED_RCODE_SHIFT = 4;

/** True when `length` bytes hold a header, whatever stands in it. */
export function check(_view: DataView, _off: number, length: number): boolean {
  return length >= DNS_HEADER_BYTES;
}

/** The number by which a reply is known to its query. */
export function id(view: DataView, off: number): number {
  return view.getUint16(off + ID);
}

export function setId(view: DataView, off: number, id: number): void {
  view.setUint16(off + ID, id);
}

/** True for a response, false for a query. */
export function isResponse(view: DataView, off: number): boolean {
  return (view.getUint16(off + FLAGS) & RESPONSE) !== 0;
}

/** Kind of query, OPCODE_QUERY or any other value to 15. */
export function opcode(view: DataView, off: number): number {
  return (view.getUint16(off + FLAGS) & OPCODE_MASK) >>> OPCODE_SHIFT;
}

/** True when the message was cut (TC). */
export function isTruncated(view: DataView, off: number): boolean {
  return (view.getUint16(off + FLAGS) & TRUNCATED) !== 0;
}

/** Sets TC: there is more than fitted. */
export function setTruncated(view: DataView, off: number): void {
  view.setUint16(off + FLAGS, view.getUint16(off + FLAGS) | TRUNCATED);
}

/** True when the answer is wanted, not only a referral to who may know it (RD). */
export function recursionDesired(view: DataView, off: number): boolean {
  return (view.getUint16(off + FLAGS) & RECURSION_DESIRED) !== 0;
}

/** True when the server asks others itself (RA). */
export function recursionAvailable(view: DataView, off: number): boolean {
  return (view.getUint16(off + FLAGS) & RECURSION_AVAILABLE) !== 0;
}

/** Lower four bits of the response's code. */
export function rcode(view: DataView, off: number): number {
  return view.getUint16(off + FLAGS) & RCODE_MASK;
}

/** Records that the header says are in the answer section. */
export function answerCount(view: DataView, off: number): number {
  return view.getUint16(off + ANSWER_COUNT);
}

/** Offset in the view behind the name at `at`, which a pointer may end; NONE when it does not end before `end`. */
function skipName(view: DataView, at: number, end: number): number {
  let next = at;
  while (next < end) {
    const length = view.getUint8(next);
    if (length >= POINTER) return next + POINTER_BYTES <= end ? next + POINTER_BYTES : NONE;
    if (length > MAX_LABEL_BYTES) return NONE;
    next += 1 + length;
    if (length === 0) return next;
  }
  return NONE;
}

/** Offset in the view behind the question; NONE unless there is exactly one, whole and with its name written out. */
export function questionEnd(view: DataView, off: number, length: number): number {
  if (view.getUint16(off + QUESTION_COUNT) !== 1) return NONE;
  const start = off + DNS_HEADER_BYTES;
  const end = Math.min(off + length, start + MAX_NAME_BYTES + TYPE_AND_CLASS_BYTES);
  let at = start;
  while (at < end) {
    const label = view.getUint8(at);
    if (label > MAX_LABEL_BYTES) return NONE;
    at += 1 + label;
    if (label > 0) continue;
    return at + TYPE_AND_CLASS_BYTES <= end ? at + TYPE_AND_CLASS_BYTES : NONE;
  }
  return NONE;
}

/** Type asked for, by the offset behind the question. */
export function questionType(view: DataView, end: number): number {
  return view.getUint16(end - 4);
}

/** Class asked for, by the offset behind the question. */
export function questionClass(view: DataView, end: number): number {
  return view.getUint16(end - 2);
}

/**
 * Name asked for, in lower case (RFC 4343), labels with dots between and none at the end; '' for the root. A byte of a
 * label that is a dot, a backslash or no visible ASCII is written \DDD (RFC 1035 section 5.1), so that different names
 * have different texts. There must be a question (see {@link questionEnd}).
 */
export function questionName(view: DataView, off: number): string {
  let text = '';
  let at = off + DNS_HEADER_BYTES;
  for (let label = view.getUint8(at); label > 0; label = view.getUint8(at)) {
    if (text !== '') text += '.';
    const last = at + label;
    while (at < last) text += textOf(view.getUint8(++at));
    at++;
  }
  return text;
}

/** Text of one byte of a label. */
function textOf(byte: number): string {
  if (byte <= 0x20 || byte >= 0x7f || byte === 0x2e || byte === 0x5c)
    return `\\${`${byte}`.padStart(3, '0')}`;
  return String.fromCharCode(byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);
}

/** True when two questions are the same to the bit, upper and lower case included; `end` as in {@link questionEnd}. */
export function sameQuestion(
  view: DataView,
  off: number,
  end: number,
  otherView: DataView,
  otherOff: number,
  otherEnd: number,
): boolean {
  const bytes = end - off;
  if (otherEnd - otherOff !== bytes) return false;
  for (let i = DNS_HEADER_BYTES; i < bytes; i++) {
    if (view.getUint8(off + i) !== otherView.getUint8(otherOff + i)) return false;
  }
  return true;
}

/** Offset in the view of the OPT record among the additional ones; NONE without one, or where a record is damaged. */
export function findOpt(view: DataView, off: number, length: number, questionEnd: number): number {
  const before = view.getUint16(off + ANSWER_COUNT) + view.getUint16(off + AUTHORITY_COUNT);
  const records = before + view.getUint16(off + ADDITIONAL_COUNT);
  const end = off + length;
  let at = questionEnd;
  for (let i = 0; i < records; i++) {
    const record = skipName(view, at, end);
    if (record === NONE || record + RECORD_BYTES > end) return NONE;
    const next = record + RECORD_BYTES + view.getUint16(record + RECORD_LENGTH);
    if (next > end) return NONE;
    const isOpt = view.getUint16(record + RECORD_TYPE) === TYPE_OPT && view.getUint8(at) === 0;
    if (i >= before && isOpt) return at;
    at = next;
  }
  return NONE;
}

/** Longest message over UDP that the sender of this OPT record takes; less than 512 means 512 (RFC 6891 section 6.2.3). */
export function optUdpBytes(view: DataView, opt: number): number {
  return Math.max(MIN_UDP_BYTES, view.getUint16(opt + OPT_UDP_BYTES));
}

/** Version of EDNS of an OPT record, of which there is only 0. */
export function optVersion(view: DataView, opt: number): number {
  return view.getUint8(opt + OPT_VERSION);
}

/**
 * Writes a response that has the query's id and question and no record yet; returns its size in bytes, which are the
 * query's to its `end`. `end` is that of the question, or NONE for a response without it.
 */
export function emitResponse(
  view: DataView,
  off: number,
  query: DataView,
  queryOff: number,
  end: number,
  rcode: number,
  authoritative: boolean,
): number {
  const copied = query.getUint16(queryOff + FLAGS) & (OPCODE_MASK | RECURSION_DESIRED | CHECKING_DISABLED);
  const flags = RESPONSE | RECURSION_AVAILABLE | (authoritative ? AUTHORITATIVE : 0) | (rcode & RCODE_MASK);
  return emitStart(view, off, query, queryOff, end, copied | flags);
}

/** Writes a response cut to its question, TC set; returns its size in bytes. `end` as in {@link emitResponse}. */
export function emitTruncated(
  view: DataView,
  off: number,
  response: DataView,
  responseOff: number,
  end: number,
): number {
  return emitStart(
    view,
    off,
    response,
    responseOff,
    end,
    response.getUint16(responseOff + FLAGS) | TRUNCATED,
  );
}

function emitStart(
  view: DataView,
  off: number,
  from: DataView,
  fromOff: number,
  end: number,
  flags: number,
): number {
  const bytes = end === NONE ? DNS_HEADER_BYTES : end - fromOff;
  view.setUint16(off + ID, id(from, fromOff));
  view.setUint16(off + FLAGS, flags);
  view.setUint16(off + QUESTION_COUNT, end === NONE ? 0 : 1);
  view.setUint16(off + ANSWER_COUNT, 0);
  view.setUint16(off + AUTHORITY_COUNT, 0);
  view.setUint16(off + ADDITIONAL_COUNT, 0);
  for (let i = DNS_HEADER_BYTES; i < bytes; i++) view.setUint8(off + i, from.getUint8(fromOff + i));
  return bytes;
}

/** Adds an A record for the name asked for at `at`; `ttl` in seconds. Returns the offset behind it. */
export function appendA(view: DataView, off: number, at: number, ttl: number, address: number): number {
  const data = appendAnswer(view, off, at, TYPE_A, ttl, A_BYTES);
  view.setInt32(data, address);
  return data + A_BYTES;
}

/** Adds an AAAA record (RFC 3596 section 2.1), like {@link appendA}. */
export function appendAaaa(
  view: DataView,
  off: number,
  at: number,
  ttl: number,
  word0: number,
  word1: number,
  word2: number,
  word3: number,
): number {
  const data = appendAnswer(view, off, at, TYPE_AAAA, ttl, AAAA_BYTES);
  view.setInt32(data, word0);
  view.setInt32(data + 4, word1);
  view.setInt32(data + 8, word2);
  view.setInt32(data + 12, word3);
  return data + AAAA_BYTES;
}

/** Adds a PTR record with a name from {@link encodeName}, like {@link appendA}. */
export function appendPtr(view: DataView, off: number, at: number, ttl: number, name: Uint8Array): number {
  const data = appendAnswer(view, off, at, TYPE_PTR, ttl, name.length);
  for (let i = 0; i < name.length; i++) view.setUint8(data + i, name[i] as number);
  return data + name.length;
}

/** Writes a record for the name asked for, up to its data, and counts it; returns the data's offset. */
function appendAnswer(
  view: DataView,
  off: number,
  at: number,
  type: number,
  ttl: number,
  bytes: number,
): number {
  view.setUint16(off + ANSWER_COUNT, view.getUint16(off + ANSWER_COUNT) + 1);
  view.setUint16(at, POINTER_TO_QUESTION);
  const record = at + POINTER_BYTES;
  view.setUint16(record + RECORD_TYPE, type);
  view.setUint16(record + RECORD_CLASS, CLASS_IN);
  view.setUint32(record + RECORD_TTL, ttl);
  view.setUint16(record + RECORD_LENGTH, bytes);
  return record + RECORD_BYTES;
}

/** Size of a PTR record with a name from {@link encodeName}. */
export function ptrRecordBytes(name: Uint8Array): number {
  return POINTER_BYTES + RECORD_BYTES + name.length;
}

/**
 * Adds the OPT record of a response at `at`, which must be the first additional one. Returns the offset behind it.
 *
 * @param opt offset in `query` of the query's own  @param udpBytes longest message over UDP that we take
 * @param rcode of the response; its upper bits belong here
 */
export function appendOpt(
  view: DataView,
  off: number,
  at: number,
  query: DataView,
  opt: number,
  udpBytes: number,
  rcode: number,
): number {
  view.setUint16(off + ADDITIONAL_COUNT, 1);
  view.setUint8(at, 0);
  view.setUint16(at + 1 + RECORD_TYPE, TYPE_OPT);
  view.setUint16(at + OPT_UDP_BYTES, udpBytes);
  view.setUint8(at + OPT_EXTENDED_RCODE, rcode >>> EXTENDED_RCODE_SHIFT);
  view.setUint8(at + OPT_VERSION, 0);
  view.setUint16(at + OPT_FLAGS, query.getUint16(opt + OPT_FLAGS) & DNSSEC_OK);
  view.setUint16(at + 1 + RECORD_LENGTH, 0);
  return at + OPT_RECORD_BYTES;
}

/** A name as messages carry it (RFC 1035 section 3.1) of labels with dots between; `undefined` where it cannot be one. */
export function encodeName(text: string): Uint8Array | undefined {
  const bytes = [];
  for (const label of text.split('.')) {
    if (!/^[!-~]{1,63}$/.test(label)) return undefined;
    bytes.push(label.length);
    for (let i = 0; i < label.length; i++) bytes.push(label.charCodeAt(i));
  }
  bytes.push(0);
  return bytes.length <= MAX_NAME_BYTES ? Uint8Array.from(bytes) : undefined;
}
