/** What a guest is told at once about a packet that goes nowhere, in the family of the packet. */
import type { FrameBatch } from '../../port/batch.ts';
import { sendFailure } from '../../port/port.ts';
import { drop } from '../../switch/verdict.ts';
import { EACCES, EPERM } from '../../sys/errno.ts';
import { DROP } from '../../telemetry/drops.ts';
import * as icmp from '../../wire/icmp.ts';
import * as icmpv6 from '../../wire/icmpv6.ts';
import type { GatewayIcmp } from '../icmp.ts';
import type { GatewayIcmpv6 } from '../icmpv6.ts';
import { unreachableCode } from './errors.ts';

export class Refusals {
  readonly #icmp: GatewayIcmp;
  readonly #icmpv6: GatewayIcmpv6;

  constructor(icmp: GatewayIcmp, icmpv6: GatewayIcmpv6) {
    this.#icmp = icmp;
    this.#icmpv6 = icmpv6;
  }

  /** Nothing is there. Returns a verdict, as all of these do. */
  noService(batch: FrameBatch, slot: number, packet: number, ingress: number, isIpv4: boolean): number {
    const code = isIpv4 ? icmp.PORT_UNREACHABLE : icmpv6.PORT_UNREACHABLE;
    return this.#refuse(batch, slot, packet, ingress, isIpv4, code, DROP['no-service']);
  }

  /** What gateway/destination refuses, for that reason. */
  refuse(
    batch: FrameBatch,
    slot: number,
    packet: number,
    ingress: number,
    isIpv4: boolean,
    reason: number,
  ): number {
    if (reason === DROP['no-service']) return this.noService(batch, slot, packet, ingress, isIpv4);
    return this.prohibited(batch, slot, packet, ingress, isIpv4, reason);
  }

  /** It may not go there. */
  prohibited(
    batch: FrameBatch,
    slot: number,
    packet: number,
    ingress: number,
    isIpv4: boolean,
    reason: number,
  ): number {
    const code = isIpv4 ? icmp.ADMIN_PROHIBITED : icmpv6.ADMIN_PROHIBITED;
    return this.#refuse(batch, slot, packet, ingress, isIpv4, code, reason);
  }

  /** The host could not send it; `error` is why. */
  failed(
    batch: FrameBatch,
    slot: number,
    packet: number,
    ingress: number,
    isIpv4: boolean,
    error: number,
  ): number {
    if (error === EPERM || error === EACCES) {
      return this.prohibited(batch, slot, packet, ingress, isIpv4, DROP.prohibited);
    }
    const code = unreachableCode(error, isIpv4);
    const reason = sendFailure(error);
    if (code < 0) return drop(reason);
    return this.#refuse(batch, slot, packet, ingress, isIpv4, code, reason);
  }

  #refuse(
    batch: FrameBatch,
    slot: number,
    packet: number,
    ingress: number,
    isIpv4: boolean,
    code: number,
    reason: number,
  ): number {
    if (isIpv4) return this.#icmp.refuse(batch, slot, packet, ingress, code, reason);
    return this.#icmpv6.refuse6(batch, slot, packet, ingress, code, reason);
  }
}
