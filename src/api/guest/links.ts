/**
 * Links: signed texts that let their bearer reach one VM until they expire. Nothing is kept of them; they end with
 * their time, or with the key.
 *
 *     base64url(JSON of the grant) "." base64url(HMAC-SHA256 of what stands before the dot)
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const KEY_BYTES = 32;
/** Signed with the grant, so that a signature of this key for another purpose is none */
const PURPOSE = 'tapswitch link 1\n';
const LONGEST_TOKEN = 2048; // no more is read of one

export interface Grant {
  readonly vm: string;
  /** Ports of the guest it is for; all where absent */
  readonly ports?: readonly number[];
  /** Unix time from which on it is worth nothing, `s` */
  readonly expires: number;
}

/** Whether a grant is for this port of this VM. @param port 0 for the VM's own page */
export function covers(grant: Grant, vm: string, port: number): boolean {
  return grant.vm === vm && (port === 0 || grant.ports === undefined || grant.ports.includes(port));
}

export interface LinksOptions {
  /** At least 32 bytes; a random one where absent, and links end with the process then */
  readonly key?: Uint8Array;
  /** `ms`, as Date.now */
  readonly now?: () => number;
}

export class Links {
  readonly #key: Uint8Array;
  readonly #now: () => number;

  constructor({ key, now }: LinksOptions = {}) {
    if (key !== undefined && key.length < KEY_BYTES) throw new Error('the key of links is too short');
    this.#key = key ?? randomBytes(KEY_BYTES);
    this.#now = now ?? Date.now;
  }

  #signature(body: string): Buffer {
    return createHmac('sha256', this.#key)
      .update(PURPOSE + body)
      .digest();
  }

  /** Unix time, `s` */
  now(): number {
    return Math.floor(this.#now() / 1000);
  }

  sign(grant: Grant): string {
    const body = Buffer.from(JSON.stringify(grant)).toString('base64url');
    return `${body}.${this.#signature(body).toString('base64url')}`;
  }

  /** What `token` grants; undefined where it was not signed here, was changed, or has expired. */
  verify(token: string): Grant | undefined {
    if (token.length > LONGEST_TOKEN) return undefined;
    const dot = token.indexOf('.');
    if (dot < 0) return undefined;
    const body = token.slice(0, dot);
    const claimed = Buffer.from(token.slice(dot + 1), 'base64url');
    const signature = this.#signature(body);
    if (claimed.length !== signature.length || !timingSafeEqual(claimed, signature)) return undefined;
    const grant = JSON.parse(Buffer.from(body, 'base64url').toString()) as Grant;
    return grant.expires > this.now() ? grant : undefined;
  }
}
