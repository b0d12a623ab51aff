/** The framework, set up: schemas checked in our words, errors as problems, the OpenAPI document and its page. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import { captureRoutes } from './capture-routes.ts';
import { type LinkRoutesOptions, linkRoutes } from './guest/link-routes.ts';
import { gvproxyRoutes } from './gvproxy.ts';
import { refuseOtherMethods } from './methods.ts';
import { notFound, PROBLEM_TYPE, problemOf } from './problem.ts';
import { answerProblem } from './raw-answer.ts';
import { addRoutes, type RouteContext } from './routes.ts';
import { validatorCompiler } from './validation.ts';

export const MAX_BODY = 262_144; // bytes
const BUG = 500;

/** Answers with the problem that tells of `error`; `log` hears of bugs. */
function answer(reply: FastifyReply, error: unknown, log: Logger): FastifyReply {
  const problem = problemOf(error);
  if (problem.status === BUG) log.error({ err: error }, 'A request to the API failed');
  return reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem));
}

async function addDocument(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'tapswitch', version, description: 'The control plane of a userspace Ethernet switch' },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{}, { token: [] }], // the unix socket asks for none
    },
  });
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true });
}

export interface AppOptions {
  readonly log: Logger;
  readonly version: string;
  readonly linking?: LinkRoutesOptions | undefined;
}

/** The application, ready for requests; it listens nowhere itself. */
export async function makeApp(
  context: RouteContext,
  { log, version, linking }: AppOptions,
): Promise<FastifyInstance> {
  const app = Fastify({
    bodyLimit: MAX_BODY,
    logger: false, // ours has no headers in it
    frameworkErrors: (error, _request, reply) => {
      answer(reply as FastifyReply, error, log);
    },
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setErrorHandler((error, _request, reply) => answer(reply, error, log));
  app.setNotFoundHandler((_request, reply) => answer(reply, notFound('such path'), log));
  app.addHook('onResponse', async ({ method, routeOptions }, reply) => {
    const { statusCode, elapsedTime } = reply;
    log.debug({ method, route: routeOptions.url, statusCode, ms: Math.round(elapsedTime) }, 'Answered');
  });
  await addDocument(app, version);
  const refuseOthers = refuseOtherMethods(app);
  addRoutes(app, context);
  captureRoutes(app, context);
  if (linking !== undefined) linkRoutes(app, linking);
  await app.register(gvproxyRoutes, { plane: context.plane }); // a scope of its own, for its parser
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
  refuseOthers();
  await app.ready();
  return app;
}

/** A handler of an HTTP server's requests that never throws. */
export function requestHandler(app: FastifyInstance, log: Logger) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    try {
      app.routing(request, response);
    } catch (error) {
      log.error({ err: error }, 'A request to the API failed');
      answerProblem(response, problemOf(error));
    }
  };
}
