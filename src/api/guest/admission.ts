/** Who may reach what a VM serves, at the listener that browsers use. */
import type { IncomingMessage } from 'node:http';
import { TapswitchError } from '../../errors.ts';
import { cookieName, linkCookies } from './cookies.ts';
import { hostOf, isVmHost, nameInHost } from './host-name.ts';
import { covers, type Grant, type Links } from './links.ts';
import { type Target, targetOf } from './target.ts';

export interface AdmissionOptions {
  readonly links: Links;
  readonly domain: string;
  /** Whether a request has the API's own token */
  readonly isBearer: (request: IncomingMessage) => boolean;
}

function refused(message: string, nextStep: string): TapswitchError {
  return new TapswitchError('ORIGIN_REFUSED', message, nextStep);
}

/**
 * The target of a request that came to the host of its VM.
 * @throws TapswitchError HOST_REFUSED, NOT_FOUND, BAD_REQUEST; ORIGIN_REFUSED for another VM's path
 */
function targetAtHost(request: IncomingMessage, domain: string): Target {
  const name = nameInHost(request.headers.host);
  if (name === undefined || !isVmHost(name, domain)) {
    const nextStep = `Use the address a link has: each VM has a host ID.${domain}.`;
    throw new TapswitchError('HOST_REFUSED', 'The Host header names no host of a VM', nextStep);
  }
  const target = targetOf(request.url as string);
  if (target === undefined) {
    const nextStep = 'Services are at /v1/vms/ID/http/PORT/ and /v1/vms/ID/ws/PORT.';
    throw new TapswitchError('NOT_FOUND', 'There is nothing at this path', nextStep);
  }
  if (hostOf(target.id, domain) !== name) {
    throw refused('The path is of another VM than the host', `Use that VM's host.`);
  }
  return target;
}

/**
 * Pages of other origins may not use the cookie: those of another VM's host count as the same site for SameSite. Going
 * there by a link is another matter.
 */
function checkOrigin({ headers }: IncomingMessage): void {
  const { origin, host } = headers;
  const same =
    origin === undefined || /^https?:\/\/(.*)$/i.exec(origin)?.[1]?.toLowerCase() === host?.toLowerCase();
  const site = headers['sec-fetch-site'];
  const own = site === undefined || site === 'same-origin' || site === 'none';
  if (same && (own || headers['sec-fetch-mode'] === 'navigate')) return;
  throw refused('The request comes from a page of another origin', 'Open the link itself in the browser.');
}

export interface Admitted {
  readonly target: Target;
  /** By a link in the query, which is to become a cookie */
  readonly byLink?: Grant;
}

export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * Lets a request in, or throws.
   * @throws TapswitchError HOST_REFUSED, NOT_FOUND, BAD_REQUEST, ORIGIN_REFUSED, UNAUTHORIZED
   */
  admit(request: IncomingMessage): Admitted {
    const { domain, isBearer } = this.#options;
    const target = targetAtHost(request, domain);
    checkOrigin(request);
    if (target.token !== undefined) {
      const byLink = this.#granted(target.token, target);
      if (byLink !== undefined) return { target, byLink };
    }
    const cookies = linkCookies(request.headers.cookie);
    if (cookies.some((token) => this.#granted(token, target) !== undefined)) return { target };
    if (isBearer(request)) return { target };
    const nextStep = 'Ask for one: POST /v1/vms/{id}/links.';
    throw new TapswitchError('UNAUTHORIZED', 'There is no link for this, or it has expired', nextStep);
  }

  #granted(token: string, { id, port }: Target): Grant | undefined {
    const grant = this.#options.links.verify(token);
    return grant !== undefined && covers(grant, id, port) ? grant : undefined;
  }

  /** The cookie that stands for the link from now on: for this VM's paths, and out of reach of its pages. */
  cookieFor(grant: Grant, token: string): string {
    const { links } = this.#options;
    const path = `/v1/vms/${encodeURIComponent(grant.vm)}/`;
    const age = grant.expires - links.now();
    return `${cookieName(grant)}=${token}; Path=${path}; Max-Age=${age}; HttpOnly; SameSite=Lax`;
  }
}
