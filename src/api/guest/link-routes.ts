/** `POST /v1/vms/{id}/links`: a link to what one VM serves, for a browser. */
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { ControlPlane } from '../../control/contract.ts';
import { TapswitchError } from '../../errors.ts';
import { DEFAULT_LINK_SECONDS, Link, LinkRequest, Problem } from '../../resources/resources.ts';
import { invalid } from './failure.ts';
import type { Links } from './links.ts';
import { LINK_NAME } from './target.ts';

export interface LinkRoutesOptions {
  readonly plane: ControlPlane;
  readonly links: Links;
  /** Origin of a VM at the guest access; absent where there is none */
  readonly originOf?: (id: string) => string;
}

/** Path a link leads to, with its query. Throws TapswitchError BAD_REQUEST. */
function pathOf(id: string, { port, path }: LinkRequest): string {
  const base = `/v1/vms/${encodeURIComponent(id)}`;
  if (port === undefined) {
    if (path !== undefined) throw invalid('path: there is no port', 'Give the port whose path it is.');
    return `${base}/`;
  }
  const own = path ?? '/';
  if (!/^\/[!-"$-~]*$/.test(own)) {
    throw invalid('path: this is no path', 'Begin it with a slash, and percent-encode what is not ASCII.');
  }
  return `${base}/http/${port}${own}`;
}

/** A link to a VM that need not be there yet up to its ports. Throws TapswitchError VM_UNKNOWN, GUEST_ACCESS_OFF, BAD_REQUEST. */
export function makeLink(id: string, request: LinkRequest, options: LinkRoutesOptions): Link {
  const { plane, links, originOf } = options;
  plane.vm(id); // throws
  if (originOf === undefined) {
    const message = 'guestAccess is not configured: there is nothing a link could lead to';
    throw new TapswitchError('GUEST_ACCESS_OFF', message, 'Configure guestAccess.');
  }
  const path = pathOf(id, request);
  const expires = links.now() + (request.expiresIn ?? DEFAULT_LINK_SECONDS);
  const token = links.sign({ vm: id, expires, ...(request.port !== undefined && { ports: [request.port] }) });
  const url = `${originOf(id)}${path}${path.includes('?') ? '&' : '?'}${LINK_NAME}=${token}`;
  return { url, expires: new Date(expires * 1000).toISOString() };
}

/** Adds the route to the API, whose error handler answers what it throws. */
export function linkRoutes(app: FastifyInstance, options: LinkRoutesOptions): void {
  const schema = {
    operationId: 'createLink',
    summary: 'Make a signed link that lets a browser reach what one VM serves',
    tags: ['access'],
    params: Type.Object({ id: Type.String() }),
    body: LinkRequest,
    response: { 201: Link, default: Problem },
  };
  app.post('/v1/vms/:id/links', { schema }, async (request, reply) => {
    const { id } = request.params as { id: string };
    const link = makeLink(id, request.body as LinkRequest, options);
    return reply.code(201).header('cache-control', 'no-store').send(link);
  });
}
