/**
 * Asks a guest for its MAC (ARP, RFC 826), for its IPv6 address (RFC 4861) and for echoes (ICMP, RFC 792), as the gateway
 * would.
 *
 * Theory of operation. The questions go out of the TAP's interface end by a packet socket of their own, with the
 * gateway's addresses as sender; copies of what the guest answers come in by it. Neither the host's stack nor the
 * datapath takes part, so the answer is the guest's even where a worker hangs. Three echoes are asked for at once: a
 * short one, one as long as the network's MTU, and one from an address just outside of the subnet, whose answer a guest
 * with the right mask and gateway sends to the gateway too. The gateway gets the answers as well: the ARP answer is as
 * good as one it asked for, the echo replies are counted as `no-service` and `prohibited`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { IpWords } from '../config/ip.ts';
import { close, recv, send } from '../sys/libc.ts';
import { MSG_DONTWAIT } from '../sys/message-vector.ts';
import { openPacketSocket } from '../sys/packet-socket.ts';
import { formatIpv4 } from '../wire/ipv4.ts';
import type { ArpFacts, Outcome, RouteFacts } from './facts.ts';
import { Heard } from './heard.ts';
import { arpRequest, echoRequest, neighbourSolicitation, SHORT_ECHO_BYTES } from './questions.ts';

const BUFFER_BYTES = 1024 * 1024;
/** Longer than any packet */
const FRAME_BYTES = 70_000;
const POLL_MS = 5;
/** How long an answer is waited for, and for how long another machine may answer after it, `ms` */
const PATIENCE_MS = 600;
const SECOND_ANSWER_MS = 60;
/** Sequence numbers of the three echoes */
const SHORT = 1;
const LONG = 2;
const ELSEWHERE = 3;

export interface ProbeTarget {
  /** Addresses, uint32 or int32 */
  readonly gateway: number;
  readonly ip: number;
  /** An address just outside of the subnet */
  readonly elsewhere: number;
  /** Undefined where it has none that is known */
  readonly ip6: IpWords | undefined;
  /** Bytes */
  readonly mtu: number;
}

export interface ProbeResult {
  readonly arp: ArpFacts;
  readonly ndp: Outcome;
  readonly icmp: Outcome;
  /** The same for a packet as long as the MTU */
  readonly long: Outcome;
  readonly route: RouteFacts;
}

export const UNASKED: ProbeResult = {
  arp: { outcome: 'unasked', macs: [] },
  ndp: 'unasked',
  icmp: 'unasked',
  long: 'unasked',
  route: { outcome: 'unasked', asksFor: [] },
};

/** A packet socket on the interface of that index. Throws SysError; to be called in the interface's namespace. */
export function openProbe(index: number): number {
  return openPacketSocket(index, BUFFER_BYTES);
}

/** Hands `seen` what has arrived, until it says it has enough or the time is over. */
export async function listen(
  fd: number,
  patienceMs: number,
  seen: (view: DataView) => boolean,
): Promise<void> {
  const room = Buffer.alloc(FRAME_BYTES);
  const until = performance.now() + patienceMs;
  for (;;) {
    for (;;) {
      const bytes = recv(fd, room, FRAME_BYTES, MSG_DONTWAIT);
      if (bytes <= 0) break;
      if (seen(new DataView(room.buffer, room.byteOffset, bytes))) return;
    }
    if (performance.now() >= until) return;
    await sleep(POLL_MS);
  }
}

class Conversation {
  readonly heard: Heard;
  readonly #fd: number;

  constructor(fd: number, { ip, ip6 }: ProbeTarget) {
    this.#fd = fd;
    this.heard = new Heard(ip, ip6);
  }

  /** Whether the question could be put. */
  ask(question: Buffer): boolean {
    return send(this.#fd, question, question.length, MSG_DONTWAIT) >= 0;
  }

  /** Listens until all is heard that was waited for, or the time is over. */
  listen(patienceMs: number, isEnough: (heard: Heard) => boolean): Promise<void> {
    return listen(this.#fd, patienceMs, (view) => {
      this.heard.note(view);
      return isEnough(this.heard);
    });
  }
}

const outcomeOf = (asked: boolean, answered: boolean): Outcome =>
  asked ? (answered ? 'answered' : 'silent') : 'unasked';

async function askEchoes(
  talk: Conversation,
  target: ProbeTarget,
  mac: string,
): Promise<Pick<ProbeResult, 'icmp' | 'long' | 'route'>> {
  const { gateway, ip, elsewhere, mtu } = target;
  const asked = [
    talk.ask(echoRequest(gateway, ip, mac, SHORT_ECHO_BYTES, SHORT)),
    talk.ask(echoRequest(gateway, ip, mac, mtu, LONG)),
    talk.ask(echoRequest(elsewhere, ip, mac, SHORT_ECHO_BYTES, ELSEWHERE)),
  ];
  const isDue = (_: unknown, i: number) => asked[i] === true;
  const due = [SHORT, LONG, ELSEWHERE].filter(isDue);
  await talk.listen(PATIENCE_MS, ({ echoes }) => due.every((sequence) => echoes.has(sequence)));
  const { echoes, asksFor } = talk.heard;
  const [short, long, other] = [SHORT, LONG, ELSEWHERE].map((sequence, i) =>
    outcomeOf(asked[i] === true, echoes.has(sequence)),
  ) as [Outcome, Outcome, Outcome];
  const others = [...asksFor].filter((address) => address !== (gateway | 0) && address !== (ip | 0));
  return { icmp: short, long, route: { outcome: other, asksFor: others.map((one) => formatIpv4(one)) } };
}

/** Asks by a socket of {@link openProbe}, which it closes; 1.3 s at the longest. */
export async function probe(fd: number, target: ProbeTarget): Promise<ProbeResult> {
  try {
    const talk = new Conversation(fd, target);
    const { heard } = talk;
    const asked = talk.ask(arpRequest(target.gateway, target.ip));
    const asked6 = target.ip6 !== undefined && talk.ask(neighbourSolicitation(target.ip6));
    await talk.listen(asked || asked6 ? PATIENCE_MS : 0, ({ macs, advertised }) => {
      return (!asked || macs.size > 0) && (!asked6 || advertised);
    });
    const [mac] = heard.macs;
    if (mac !== undefined) await talk.listen(SECOND_ANSWER_MS, () => false);
    const echoes = mac === undefined ? UNASKED : await askEchoes(talk, target, mac);
    return {
      ...echoes,
      arp: { outcome: outcomeOf(asked, mac !== undefined), macs: [...heard.macs] },
      ndp: outcomeOf(asked6, heard.advertised),
    };
  } finally {
    close(fd);
  }
}
