/** Everything of the daemon that listens: the API, and the ways into VMs. */
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

/**
 * Opens all listeners; the function that closes them.
 * @throws TapswitchError what `startApi` and `startGuestAccess` throw; nothing listens then
 */
export async function startService({
  plane,
  config,
  log,
  version,
}: ServiceOptions): Promise<() => Promise<void>> {
  const { api, guestAccess } = config;
  const links = new Links();
  const isBearer = api.tokenFile === undefined ? () => false : bearerCheck(readToken(api.tokenFile));
  const access =
    guestAccess && (await startGuestAccess({ plane, config: guestAccess, isBearer, log, links }));
  const routes = guestRoutes({ plane, log });
  try {
    const started = await startApi({
      plane,
      config: api,
      log,
      version,
      guestRoutes: routes,
      links: { links, ...(access && { originOf: access.originOf }) },
    });
    return async () => {
      await Promise.all([access?.close(), routes.close()]);
      await started.close();
    };
  } catch (error) {
    await Promise.all([access?.close(), routes.close()]);
    throw error;
  }
}
