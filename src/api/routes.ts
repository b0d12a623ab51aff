/** The resources under /v1, and the pages for those who watch the daemon. */
import type { FastifyInstance, FastifyReply, FastifySchema } from 'fastify';
import { type TSchema, Type } from 'typebox';
import type { ControlPlane } from '../control/contract.ts';
import { TapswitchError } from '../errors.ts';
import { ExplainRequest, Explanation } from '../resources/explanation.ts';
import * as resources from '../resources/resources.ts';
import { EVENTS_PATH } from './events-socket.ts';
import type { Metrics } from './metrics.ts';
import { notFound, PROBLEM_TYPE } from './problem.ts';

const DEFAULT_WAIT_SECONDS = 30;
const LONGEST_WAIT_SECONDS = 3600;
const MS = 1000;
const closed = { additionalProperties: false } as const;

const IdParams = Type.Object({ id: Type.String({ description: 'Id of the VM' }) }, closed);
const NameParams = Type.Object({ name: Type.String({ description: 'Name of the network' }) }, closed);
const RemoveForwardQuery = Type.Object(
  {
    spec: Type.String({ description: 'The forward, as it was asked for' }),
    reset: Type.Optional(Type.Boolean({ description: 'End its connections, too (default false)' })),
  },
  closed,
);
const WaitQuery = Type.Object(
  {
    port: Type.Integer({ minimum: 1, maximum: 65535, description: 'TCP port of the guest' }),
    timeout: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: LONGEST_WAIT_SECONDS,
        description: `Seconds (default ${DEFAULT_WAIT_SECONDS})`,
      }),
    ),
  },
  closed,
);

const EventsQuery = Type.Object(
  {
    since: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Sequence number of the last event known' }),
    ),
    run: Type.Optional(Type.String({ description: 'Run of the daemon that it belongs to' })),
    follow: Type.Optional(
      Type.Boolean({ description: 'Whether to go on with what happens (default true), or to end with 1000' }),
    ),
  },
  closed,
);

const DiagnosisQuery = Type.Object(
  {
    port: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 65535, description: 'TCP port of the guest to ask about' }),
    ),
  },
  closed,
);

interface Id {
  Params: { id: string };
}

export interface RouteContext {
  readonly plane: ControlPlane;
  readonly metrics: Metrics;
  /** Aborts when the API closes */
  readonly closing: AbortSignal;
}

const failure = {
  description: 'The problem, with the code of the error',
  content: { [PROBLEM_TYPE]: { schema: resources.Problem } },
};

/** Schema of an operation that answers `status` with `answer`, and with a problem otherwise. */
export function operation(
  operationId: string,
  summary: string,
  answers: Readonly<Record<number, TSchema | object>>,
  parts: FastifySchema = {},
): { schema: FastifySchema } {
  const response = { ...answers, default: failure };
  return { schema: { operationId, summary, response, ...parts } };
}

const Nothing = Type.Null({ description: 'Done' });

function networkRoutes(app: FastifyInstance, { plane }: RouteContext): void {
  app.get('/v1/networks', operation('listNetworks', 'Networks', { 200: Type.Array(resources.Network) }), () =>
    plane.networks(),
  );
  app.get<{ Params: { name: string } }>(
    '/v1/networks/:name',
    operation('getNetwork', 'One network', { 200: resources.Network }, { params: NameParams }),
    ({ params }) => {
      const network = plane.networks().find(({ name }) => name === params.name);
      if (network === undefined) throw notFound(`network ${params.name}`);
      return network;
    },
  );
}

function vmRoutes(app: FastifyInstance, { plane }: RouteContext): void {
  app.get('/v1/vms', operation('listVms', 'VMs', { 200: Type.Array(resources.Vm) }), () => plane.vms());
  app.get<Id>(
    '/v1/vms/:id',
    operation('getVm', 'One VM', { 200: resources.Vm }, { params: IdParams }),
    ({ params }) => plane.vm(params.id),
  );
  app.put<Id & { Body: resources.VmRequest }>(
    '/v1/vms/:id',
    operation(
      'putVm',
      'Make a VM what the body says',
      { 200: resources.Vm, 201: resources.Vm },
      { params: IdParams, body: resources.VmRequest },
    ),
    async ({ params, body }, reply) => {
      const { vm, created } = await plane.putVm(params.id, body);
      return reply.code(created ? 201 : 200).send(vm);
    },
  );
  app.delete<Id>(
    '/v1/vms/:id',
    operation('deleteVm', 'Remove a VM', { 204: Nothing }, { params: IdParams }),
    async ({ params }, reply) => {
      await plane.deleteVm(params.id);
      return reply.code(204).send();
    },
  );
  app.post<Id>(
    '/v1/vms/:id/generation',
    operation(
      'newGeneration',
      'Say that the VM was restored from a snapshot: its flows are reset',
      { 200: resources.Generation },
      { params: IdParams },
    ),
    ({ params }) => plane.newGeneration(params.id),
  );
  app.get<Id>(
    '/v1/vms/:id/flows',
    operation('listFlows', 'Flows of a VM', { 200: Type.Array(resources.Flow) }, { params: IdParams }),
    ({ params }) => plane.flows(params.id),
  );
}

function forwardRoutes(app: FastifyInstance, { plane }: RouteContext): void {
  const path = '/v1/vms/:id/forwards';
  const Forwards = Type.Array(resources.Forward);
  app.get<Id>(
    path,
    operation('listForwards', 'Forwards into a VM', { 200: Forwards }, { params: IdParams }),
    ({ params }) => plane.vm(params.id).forwards,
  );
  app.post<Id & { Body: resources.ForwardRequest }>(
    path,
    operation(
      'addForward',
      'Add a forward; answers with what it became',
      { 201: Forwards },
      { params: IdParams, body: resources.ForwardRequest },
    ),
    async ({ params, body }, reply) => reply.code(201).send(await plane.addForward(params.id, body)),
  );
  app.delete<Id & { Querystring: { spec: string; reset?: boolean } }>(
    path,
    operation(
      'removeForward',
      'Remove a forward',
      { 204: Nothing },
      { params: IdParams, querystring: RemoveForwardQuery },
    ),
    async ({ params, query }, reply) => {
      await plane.removeForward(params.id, query.spec, { reset: query.reset ?? false });
      return reply.code(204).send();
    },
  );
}

/** Aborts when the client leaves before it was answered. */
function gone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => controller.abort());
  return controller.signal;
}

function waitRoute(app: FastifyInstance, { plane, closing }: RouteContext): void {
  app.get<Id & { Querystring: { port: number; timeout?: number } }>(
    '/v1/vms/:id/wait',
    operation(
      'waitForPort',
      'Wait until a TCP port of the guest answers',
      { 200: resources.Reached },
      { params: IdParams, querystring: WaitQuery },
    ),
    async ({ params, query }, reply) => {
      const waitMs = (query.timeout ?? DEFAULT_WAIT_SECONDS) * MS;
      try {
        const signal = AbortSignal.any([gone(reply), closing]);
        return await plane.wait(params.id, query.port, { waitMs, signal });
      } catch (error) {
        if (!closing.aborted) throw error;
        throw new TapswitchError('SWITCH_CLOSED', 'tapswitch is shutting down', 'Ask again once it is up.');
      }
    },
  );
}

function diagnosisRoute(app: FastifyInstance, { plane }: RouteContext): void {
  app.get<Id & { Querystring: { port?: number } }>(
    '/v1/vms/:id/diagnosis',
    operation(
      'diagnose',
      'Why a VM, or a TCP port of it, does not answer',
      { 200: resources.Diagnosis },
      { params: IdParams, querystring: DiagnosisQuery },
    ),
    ({ params, query }) => plane.diagnose(params.id, query.port),
  );
}

function explainRoute(app: FastifyInstance, { plane }: RouteContext): void {
  app.post<{ Body: ExplainRequest }>(
    '/v1/explain',
    operation(
      'explain',
      'What the switch would do with a flow, rule by rule',
      { 200: Explanation },
      { body: ExplainRequest },
    ),
    ({ body }) => plane.explain(body.flow),
  );
}

function tableRoutes(app: FastifyInstance, { plane }: RouteContext): void {
  app.get('/v1/fdb', operation('listFdb', 'MAC addresses', { 200: Type.Array(resources.FdbEntry) }), () =>
    plane.fdb(),
  );
  app.get(
    '/v1/drops',
    operation('listDrops', 'Frames dropped, by port and reason', { 200: Type.Array(resources.Drop) }),
    () => plane.drops(),
  );
  app.get(
    '/v1/leases',
    operation('listLeases', 'Addresses of the VMs', { 200: Type.Array(resources.Lease) }),
    () => plane.leases(),
  );
}

function daemonRoutes(app: FastifyInstance, { plane, metrics }: RouteContext): void {
  app.post(
    '/v1/reload',
    operation('reload', 'Read the configuration again', { 200: resources.Reloaded }),
    () => plane.reload(),
  );
  app.get('/healthz', operation('health', 'How the daemon is', { 200: resources.Health }), () =>
    plane.health(),
  );
  app.get(
    '/readyz',
    operation('ready', '503 unless all of it works', { 200: resources.Health, 503: resources.Health }),
    (_request, reply) => {
      const health = plane.health();
      return reply.code(health.status === 'ok' ? 200 : 503).send(health);
    },
  );
  // The upgrade itself never comes here, see events-socket.ts.
  app.get(
    EVENTS_PATH,
    operation(
      'events',
      'A WebSocket with an event in each message: those since a number, if given, then what happens',
      { 200: resources.Event },
      { querystring: EventsQuery },
    ),
    async (_request, reply) => {
      reply.header('upgrade', 'websocket').header('connection', 'upgrade');
      throw new TapswitchError('UPGRADE_REQUIRED', 'Events come over a WebSocket', 'Open it as a WebSocket.');
    },
  );
  const text = { description: 'Exposition format', content: { 'text/plain': { schema: Type.String() } } };
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'metrics',
        summary: 'Figures for Prometheus',
        response: { 200: text, default: failure },
      },
    },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.read()),
  );
}

export function addRoutes(app: FastifyInstance, context: RouteContext): void {
  networkRoutes(app, context);
  vmRoutes(app, context);
  forwardRoutes(app, context);
  waitRoute(app, context);
  diagnosisRoute(app, context);
  explainRoute(app, context);
  tableRoutes(app, context);
  daemonRoutes(app, context);
}
