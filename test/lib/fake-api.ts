/** A stand-in for the daemon's API: an HTTP server on a real unix socket that answers what a test says. */
import { once } from 'node:events';
import { createServer } from 'node:http';

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly body: string;
}

export interface FakeApi {
  readonly seen: Seen[];
  close(): Promise<void>;
}

/** `answers` by "METHOD /path" without the query; anything else is a problem VM_UNKNOWN with status 404. */
export async function startFakeApi(
  socket: string,
  answers: Readonly<Record<string, unknown>>,
): Promise<FakeApi> {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    const { method = '', url = '' } = request;
    seen.push({ method, url, body });
    const key = `${method} ${url.split('?')[0]}`;
    const known = Object.hasOwn(answers, key);
    const problem = { code: 'VM_UNKNOWN', status: 404, detail: 'there is no VM x', nextStep: 'Use another.' };
    response.statusCode = known ? 200 : 404;
    response.end(JSON.stringify(known ? answers[key] : problem));
  });
  server.listen(socket);
  await once(server, 'listening');
  return {
    seen,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
