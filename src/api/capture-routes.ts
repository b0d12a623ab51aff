/** Captures as an answer that goes on: a pcapng file, written while frames pass. */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { Type } from 'typebox';
import type { CaptureRequest } from '../control/contract.ts';
import { TapswitchError } from '../errors.ts';
import type { Capture } from '../index.ts';
import { notFound } from './problem.ts';
import { operation, type RouteContext } from './routes.ts';

const PCAPNG_TYPE = 'application/x-pcapng';
/** Header of the answer: by what the capture can be asked to end */
const ID_HEADER = 'tapswitch-capture';
const MAX_SNAPLEN = 65_535;
const MAX_SECONDS = 86_400;
const MAX_COUNT = 1_000_000_000;
const MS = 1000;
const closed = { additionalProperties: false } as const;

const limits = {
  filter: Type.Optional(Type.String({ description: 'Which frames, in the language of docs/capture.md' })),
  snaplen: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: MAX_SNAPLEN,
      description: 'Bytes kept of each frame, 0 for all (default)',
    }),
  ),
  duration: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAX_SECONDS, description: 'Seconds after which it ends' }),
  ),
  count: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAX_COUNT, description: 'Frames after which it ends' }),
  ),
};
const Query = Type.Object(limits, closed);
const AllQuery = Type.Object(
  {
    vms: Type.Optional(Type.String({ description: 'Ids, with commas between them (default every port)' })),
    ...limits,
  },
  closed,
);
const Params = Type.Object({ id: Type.String({ description: 'Id of the VM' }) }, closed);
const CaptureParams = Type.Object(
  { id: Type.String({ description: `The header ${ID_HEADER} of the capture's answer` }) },
  closed,
);

/** Captures that are being answered, by id */
type Running = Map<string, Capture>;

interface Limits {
  readonly filter?: string;
  readonly snaplen?: number;
  readonly duration?: number;
  readonly count?: number;
}

const answers = {
  200: {
    description: 'A pcapng file, which ends when the capture does',
    headers: { [ID_HEADER]: { type: 'string', description: 'Id of the capture' } },
    content: { [PCAPNG_TYPE]: { schema: Type.String({ format: 'binary' }) } },
  },
};

async function answer(
  { plane, closing }: RouteContext,
  running: Running,
  reply: FastifyReply,
  vms: readonly string[] | undefined,
  { filter, snaplen, duration, count }: Limits,
): Promise<FastifyReply> {
  const durationMs = duration === undefined ? undefined : duration * MS;
  const request: CaptureRequest = { vms, filter, snaplen, count, durationMs };
  const capture = await plane.capture(request);
  const stop = () => capture.stop();
  const id = randomUUID();
  running.set(id, capture);
  reply.raw.once('close', () => {
    closing.removeEventListener('abort', stop);
    running.delete(id);
    stop();
  });
  closing.addEventListener('abort', stop);
  if (closing.aborted) stop();
  if (reply.raw.closed) {
    stop();
    running.delete(id);
  }
  return reply
    .header(ID_HEADER, id)
    .type(PCAPNG_TYPE)
    .send(Readable.from(capture, { objectMode: false, highWaterMark: 1 }));
}

function idsOf(text: string | undefined): string[] | undefined {
  const ids = text?.split(',');
  if (ids?.includes('') !== true) return ids;
  throw new TapswitchError('BAD_REQUEST', 'vms: an id is empty', 'Write ids with commas between them.');
}

export function captureRoutes(app: FastifyInstance, context: RouteContext): void {
  const running: Running = new Map();
  app.get<{ Querystring: Limits & { vms?: string } }>(
    '/v1/capture',
    operation('capture', 'Capture frames of several VMs, or at every port', answers, {
      querystring: AllQuery,
    }),
    ({ query }, reply) => answer(context, running, reply, idsOf(query.vms), query),
  );
  app.get<{ Params: { id: string }; Querystring: Limits }>(
    '/v1/vms/:id/capture',
    operation('captureVm', "Capture a VM's frames", answers, { params: Params, querystring: Query }),
    ({ params, query }, reply) => answer(context, running, reply, [params.id], query),
  );
  app.delete<{ Params: { id: string } }>(
    '/v1/captures/:id',
    operation(
      'endCapture',
      'End a capture: what it has, and its statistics, are still answered',
      { 204: Type.Null({ description: 'It comes to its end' }) },
      { params: CaptureParams },
    ),
    ({ params }, reply) => {
      const capture = running.get(params.id);
      if (capture === undefined) throw notFound(`capture ${params.id}`);
      capture.stop();
      return reply.code(204).send();
    },
  );
}
