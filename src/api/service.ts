/** Everything of the daemon that listens: the API, and the ways into VMs. */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { ServiceConfig } from '../config/service.ts';
import type { ControlPlane } from '../control/contract.ts';
import { bearerCheck, readToken } from './gate.ts';
import { Links } from './guest/links.ts';
import { startGuestAccess } from './guest/listener.ts';
import { guestRoutes } from './guest/routes.ts';
import { startApi } from './server.ts';

export interface ServiceOptions {
  readonly plane: ControlPlane;
  readonly config: ServiceConfig;
  readonly log: Logger;
  readonly version: string;
}

type Listening = Omit<ServiceConfig, 'autoAttach'> & { readonly token: string | undefined };

/** What listeners are made of. Throws TOKEN_UNREADABLE. */
function listeningOf({ api, guestAccess }: ServiceConfig): Listening {
  const token = api.tokenFile === undefined ? undefined : readToken(api.tokenFile);
  return { api, ...(guestAccess && { guestAccess }), token };
}

export class Service {
  readonly #options: ServiceOptions;
  /** Those that were given away hold as long as we run, whatever listens */
  readonly #links = new Links();
  #listening: Listening;
  #close: () => Promise<void> = async () => {};
  #work: Promise<void> = Promise.resolve();

  private constructor(options: ServiceOptions) {
    this.#options = options;
    this.#listening = listeningOf(options.config);
  }

  /**
   * Opens all listeners.
   * @throws TapswitchError what `startApi` and `startGuestAccess` throw; nothing listens then
   */
  static async start(options: ServiceOptions): Promise<Service> {
    const service = new Service(options);
    service.#close = await service.#open(service.#listening);
    return service;
  }

  async #open({ api, guestAccess, token }: Listening): Promise<() => Promise<void>> {
    const { plane, log, version } = this.#options;
    const links = this.#links;
    const isBearer = token === undefined ? () => false : bearerCheck(token);
    const access =
      guestAccess && (await startGuestAccess({ plane, config: guestAccess, isBearer, log, links }));
    const routes = guestRoutes({ plane, log });
    const closeGuests = () => Promise.all([access?.close(), routes.close()]);
    try {
      const linking = { links, ...(access && { originOf: access.originOf }) };
      const started = await startApi({
        plane,
        config: api,
        log,
        version,
        guestRoutes: routes,
        links: linking,
      });
      return async () => {
        await closeGuests();
        await started.close();
      };
    } catch (error) {
      await closeGuests();
      throw error;
    }
  }

  /**
   * Opens the listeners anew where the configuration, or the token, is another than before; their connections end.
   * @throws TapswitchError what {@link start} throws; those there were listen again then
   */
  change(config: ServiceConfig): Promise<void> {
    const change = this.#work.then(() => this.#change(config));
    this.#work = change.catch(() => {});
    return change;
  }

  async #change(config: ServiceConfig): Promise<void> {
    const next = listeningOf(config);
    if (isDeepStrictEqual(next, this.#listening)) return;
    await this.#close();
    this.#close = async () => {};
    try {
      this.#close = await this.#open(next);
      this.#listening = next;
    } catch (error) {
      this.#close = await this.#open(this.#listening);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#work;
    await this.#close();
  }
}
