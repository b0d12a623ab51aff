/**
 * The listener that browsers open what VMs serve at: an origin apart from the API's, and one per VM.
 *
 * A request has to name its VM twice, by host and by path, and to come with a link or the API's token. A link in the
 * query becomes a cookie and goes out of the address at once. No address of a request is ever logged: it may have a link.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { GuestAccessConfig, ListenAddress } from '../../config/service.ts';
import type { ControlPlane } from '../../control/contract.ts';
import { TapswitchError } from '../../errors.ts';
import { Admission, type Admitted } from './admission.ts';
import { answerProblem, answerText, redirect, refuseUpgrade } from './answer.ts';
import { codeOf, guestProblem } from './failure.ts';
import { hostOf } from './host-name.ts';
import type { Links } from './links.ts';
import { type GuestRoutes, guestRoutes } from './routes.ts';

/** Connections of browsers at a time */
export const MAX_CONNECTIONS = 4096;
const FOUND = 302;

export interface GuestAccessOptions {
  readonly plane: ControlPlane;
  readonly config: GuestAccessConfig;
  /** Whether a request has the API's own token */
  readonly isBearer: (request: IncomingMessage) => boolean;
  readonly log: Logger;
  readonly links: Links;
}

export interface GuestAccess {
  readonly address: ListenAddress;
  /** Origin of a VM, "http://vm1.example:8081" */
  originOf(id: string): string;
  /** Ends WebSockets with 1001 and requests at once. */
  close(): Promise<void>;
}

class GuestListener {
  readonly #admission: Admission;
  readonly #routes: GuestRoutes;
  readonly #log: Logger;

  constructor({ links, isBearer, config, log }: GuestAccessOptions, routes: GuestRoutes) {
    this.#admission = new Admission({ links, isBearer, domain: config.domain });
    this.#routes = routes;
    this.#log = log;
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    try {
      this.#answer(request, response, this.#admission.admit(request));
    } catch (error) {
      answerProblem(response, this.#problem(error));
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse, { target, byLink }: Admitted): void {
    if (byLink !== undefined) {
      const path = target.kind === 'vm' ? '/' : target.path || '/';
      const cookie = this.#admission.cookieFor(byLink, target.token as string);
      redirect(response, FOUND, `${target.prefix}${path}${target.query}`, cookie);
    } else if (target.kind === 'vm') {
      answerText(response, `Services of VM ${target.id} are at ${target.prefix}/http/PORT/\n`);
    } else {
      this.#routes.request(request, response);
    }
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    try {
      const { target } = this.#admission.admit(request);
      if (this.#routes.upgrade(request, socket, head)) return;
      const nextStep = 'Services are at /v1/vms/ID/http/PORT/ and /v1/vms/ID/ws/PORT.';
      throw new TapswitchError('NOT_FOUND', `VM ${target.id} has no WebSocket at this path`, nextStep);
    } catch (error) {
      socket.on('error', () => {});
      refuseUpgrade(socket, this.#problem(error));
    }
  }

  #problem(error: unknown) {
    if (codeOf(error) === undefined) this.#log.error({ err: error }, 'bug in the guest access');
    return guestProblem(error);
  }
}

/** @throws TapswitchError SYSTEM_CALL_FAILED */
async function listen(server: Server, { host, port }: ListenAddress): Promise<ListenAddress> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    const shown = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
    const message = `guestAccess: cannot listen at ${shown}: ${(error as NodeJS.ErrnoException).code}`;
    const nextStep = 'Give guestAccess.listen an address of this host and a port that is free.';
    throw new TapswitchError('SYSTEM_CALL_FAILED', message, nextStep, error);
  }
  return { host, port: (server.address() as AddressInfo).port };
}

/**
 * Opens the listener of `guestAccess`.
 * @throws TapswitchError SYSTEM_CALL_FAILED where it cannot listen there
 */
export async function startGuestAccess(options: GuestAccessOptions): Promise<GuestAccess> {
  const { plane, config, log } = options;
  const routes = guestRoutes({ plane, log });
  const listener = new GuestListener(options, routes);
  // No limit to how long an upload may take; that of the headers stays.
  const server = createServer({ requestTimeout: 0 }, (request, response) =>
    listener.request(request, response),
  );
  server.on('upgrade', (request, socket, head) => listener.upgrade(request, socket, head));
  server.maxConnections = MAX_CONNECTIONS;
  let address: ListenAddress;
  try {
    address = await listen(server, config.listen);
  } catch (error) {
    await routes.close();
    throw error;
  }
  log.info({ ...address, domain: config.domain }, 'guest access listens');
  return {
    address,
    originOf: (id) => `http://${hostOf(id, config.domain)}:${address.port}`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      await routes.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
