/** A known path asked for by another method: 405, with the methods it has (RFC 9110, section 15.5.6). */
import type { FastifyInstance } from 'fastify';
import { TapswitchError } from '../errors.ts';

const METHODS = ['DELETE', 'GET', 'PATCH', 'POST', 'PUT'] as const;

/** Watches the routes that are added from now on; what it returns gives each of their paths the methods it lacks. */
export function refuseOtherMethods(app: FastifyInstance): () => void {
  const known = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = known.get(url) ?? new Set();
    for (const one of [method].flat()) methods.add(one);
    known.set(url, methods);
  });
  return () => {
    for (const [url, methods] of [...known]) {
      if (url.startsWith('/docs')) continue; // not ours
      const missing = METHODS.filter((one) => !methods.has(one));
      const allow = [...methods].sort().join(', ');
      app.route({
        url,
        method: missing,
        schema: { hide: true },
        // Before the body is read: whatever it is, the answer is this.
        onRequest: async ({ method }, reply) => {
          reply.header('allow', allow);
          const message = `There is no ${method} of this path`;
          throw new TapswitchError('METHOD_NOT_ALLOWED', message, `It has ${allow}. See /docs.`);
        },
        handler: async () => {},
      });
    }
  };
}
