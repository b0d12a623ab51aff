/**
 * Asks a guest for its MAC (ARP, RFC 826) and for an echo (ICMP, RFC 792), as the gateway would.
 *
 * Theory of operation. The questions go out of the TAP's interface end by a packet socket of their own, with the
 * gateway's addresses as sender; copies of what the guest answers come in by it. Neither the host's stack nor the
 * datapath takes part, so the answer is the guest's even where a worker hangs. The gateway gets the answers, too: the
 * ARP answer is as good as one it asked for, the echo reply is counted as `no-service`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW } from '../switch/gateway-mac.ts';
import { close, recv, send } from '../sys/libc.ts';
import { MSG_DONTWAIT } from '../sys/message-vector.ts';
import { openPacketSocket } from '../sys/packet-socket.ts';
import * as arp from '../wire/arp.ts';
import { checksum } from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import { BROADCAST_HIGH, BROADCAST_LOW, ETHERNET_HEADER_BYTES } from '../wire/ethernet.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { formatMac, macHigh, macLow, macOf, parseMac } from '../wire/mac.ts';
import { VNET_HEADER_BYTES } from '../wire/vnet.ts';
import type { ArpFacts, Facts } from './facts.ts';

const BUFFER_BYTES = 256 * 1024;
const FRAME_BYTES = 2048;
const POLL_MS = 5;
/** How long an answer is waited for, and for how long another machine may answer after it, `ms` */
const PATIENCE_MS = 600;
const SECOND_ANSWER_MS = 60;
const PAYLOAD = VNET_HEADER_BYTES + ETHERNET_HEADER_BYTES;
const ECHO_BYTES = icmp.ICMP_HEADER_BYTES + 8;
/** Of our echo requests: "td" */
const ECHO_ID = 0x7464;

export interface ProbeTarget {
  /** Addresses, uint32 or int32 */
  readonly gateway: number;
  readonly ip: number;
}

export interface ProbeResult {
  readonly arp: ArpFacts;
  readonly icmp: Facts['icmp'];
}

/** A packet socket on the interface of that index. Throws SysError; to be called in the interface's namespace. */
export function openProbe(index: number): number {
  return openPacketSocket(index, BUFFER_BYTES);
}

function frame(bytes: number): { data: Buffer; view: DataView } {
  const data = Buffer.alloc(PAYLOAD + bytes);
  return { data, view: new DataView(data.buffer, data.byteOffset, data.length) };
}

/** Who has `ip`, tell `gateway`; with `gateway` 0 nobody notes the sender (RFC 5227). */
export function arpRequest({ gateway, ip }: ProbeTarget): Buffer {
  const { data, view } = frame(arp.ARP_BYTES);
  const [high, low] = [GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW];
  ethernet.writeHeader(
    view,
    VNET_HEADER_BYTES,
    BROADCAST_HIGH,
    BROADCAST_LOW,
    high,
    low,
    ethernet.ETHERTYPE_ARP,
  );
  arp.emit(view, PAYLOAD, arp.ARP_REQUEST, high, low, gateway | 0, 0, 0, ip | 0);
  return data;
}

function echoRequest({ gateway, ip }: ProbeTarget, mac: string): Buffer {
  const bytes = ipv4.IPV4_HEADER_BYTES + ECHO_BYTES;
  const { data, view } = frame(bytes);
  const to = parseMac(mac) as number;
  const [high, low] = [GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW];
  ethernet.writeHeader(view, VNET_HEADER_BYTES, macHigh(to), macLow(to), high, low, ethernet.ETHERTYPE_IPV4);
  ipv4.emitHeader(view, PAYLOAD, bytes, ipv4.USUAL_TTL, ipv4.PROTOCOL_ICMP, gateway | 0, ip | 0);
  const message = PAYLOAD + ipv4.IPV4_HEADER_BYTES;
  icmp.emitHeader(view, message, icmp.ECHO_REQUEST, 0, (ECHO_ID << 16) | 1);
  view.setUint16(message + icmp.CHECKSUM_OFFSET, 0);
  view.setUint16(message + icmp.CHECKSUM_OFFSET, checksum(view, message, ECHO_BYTES));
  return data;
}

export interface Claim {
  /** int32 */
  readonly ip: number;
  readonly mac: string;
}

/** What the sender of an ARP frame claims: an answer, a question or an announcement. */
export function claimOf(view: DataView): Claim | undefined {
  if (view.byteLength < PAYLOAD || ethernet.etherType(view, VNET_HEADER_BYTES) !== ethernet.ETHERTYPE_ARP)
    return undefined;
  if (!arp.check(view, PAYLOAD, view.byteLength - PAYLOAD)) return undefined;
  const mac = formatMac(macOf(arp.senderHigh(view, PAYLOAD), arp.senderLow(view, PAYLOAD)));
  return { ip: arp.senderAddress(view, PAYLOAD), mac };
}

function isEchoReply(view: DataView, ip: number): boolean {
  if (view.byteLength < PAYLOAD || ethernet.etherType(view, VNET_HEADER_BYTES) !== ethernet.ETHERTYPE_IPV4)
    return false;
  if (!ipv4.check(view, PAYLOAD, view.byteLength - PAYLOAD)) return false;
  if (ipv4.protocol(view, PAYLOAD) !== ipv4.PROTOCOL_ICMP || ipv4.source(view, PAYLOAD) !== (ip | 0))
    return false;
  const message = PAYLOAD + ipv4.headerLength(view, PAYLOAD);
  if (!icmp.check(view, message, view.byteLength - message)) return false;
  return icmp.type(view, message) === icmp.ECHO_REPLY && icmp.identifier(view, message) === ECHO_ID;
}

/** Hands `seen` what has arrived, until it says it has enough or the time is over. */
export async function listen(
  fd: number,
  patienceMs: number,
  seen: (view: DataView) => boolean,
): Promise<boolean> {
  const data = Buffer.alloc(FRAME_BYTES);
  const until = performance.now() + patienceMs;
  for (;;) {
    for (let got = recv(fd, data, FRAME_BYTES, MSG_DONTWAIT); got > 0; ) {
      if (seen(new DataView(data.buffer, data.byteOffset, got))) return true;
      got = recv(fd, data, FRAME_BYTES, MSG_DONTWAIT);
    }
    if (performance.now() >= until) return false;
    await sleep(POLL_MS);
  }
}

async function askArp(fd: number, target: ProbeTarget): Promise<ArpFacts> {
  const macs = new Set<string>();
  const note = (view: DataView): void => {
    const claim = claimOf(view);
    if (claim?.ip === (target.ip | 0)) macs.add(claim.mac);
  };
  const request = arpRequest(target);
  if (send(fd, request, request.length, MSG_DONTWAIT) < 0) return { outcome: 'unasked', macs: [] };
  await listen(fd, PATIENCE_MS, (view) => {
    note(view);
    return macs.size > 0;
  });
  if (macs.size === 0) return { outcome: 'silent', macs: [] };
  await listen(fd, SECOND_ANSWER_MS, (view) => {
    note(view);
    return false;
  });
  return { outcome: 'answered', macs: [...macs] };
}

async function askEcho(fd: number, target: ProbeTarget, mac: string): Promise<Facts['icmp']> {
  const request = echoRequest(target, mac);
  if (send(fd, request, request.length, MSG_DONTWAIT) < 0) return 'unasked';
  const answered = await listen(fd, PATIENCE_MS, (view) => isEchoReply(view, target.ip));
  return answered ? 'answered' : 'silent';
}

/** Asks by a socket of {@link openProbe}, which it closes; 1.3 s at the longest. */
export async function probe(fd: number, target: ProbeTarget): Promise<ProbeResult> {
  try {
    const answer = await askArp(fd, target);
    const [mac] = answer.macs;
    return { arp: answer, icmp: mac === undefined ? 'unasked' : await askEcho(fd, target, mac) };
  } finally {
    close(fd);
  }
}
