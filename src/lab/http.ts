/** One HTTP request from inside a namespace, with Node alone. */
import { runIn } from './process.ts';

const CLIENT = `
  const start = performance.now();
  fetch(process.argv[1], { signal: AbortSignal.timeout(Number(process.argv[2])) }).then(
    async (response) => {
      const body = await response.text();
      process.stdout.write(JSON.stringify({ status: response.status, body, ms: performance.now() - start }));
    },
    (error) => {
      process.stdout.write(JSON.stringify({ error: error.cause?.code ?? error.name, ms: performance.now() - start }));
    },
  );
`;

export interface HttpResult {
  readonly status?: number;
  readonly body?: string;
  /** Error code of a request that got no response, e.g. `EHOSTUNREACH` */
  readonly error?: string;
  readonly ms: number;
}

/** GETs `url` from the namespace at `namespace`, or from our own when undefined. */
export async function httpGet(
  namespace: string | undefined,
  url: string,
  timeoutMs = 5000,
): Promise<HttpResult> {
  const { stdout, stderr } = await runIn(namespace, [process.execPath, '-e', CLIENT, url, String(timeoutMs)]);
  if (stdout === '') throw new Error(`HTTP client failed: ${stderr.trim()}`);
  return JSON.parse(stdout) as HttpResult;
}
