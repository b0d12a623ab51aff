/** Captures of the daemon's, as they come. */
import type { Transport } from './transport.ts';

/** Header of the answer with the capture's id */
const ID_HEADER = 'tapswitch-capture';
/** How long an ended capture may take for its last frames before it is cut */
const ENDING = 5000; // ms

export interface CaptureOptions {
  /** Ids; every port where absent */
  readonly vms?: readonly string[] | undefined;
  /** tcpdump's language, see docs/capture.md */
  readonly filter?: string | undefined;
  /** Bytes kept of each frame (default all) */
  readonly snaplen?: number | undefined;
  /** Seconds after which it ends */
  readonly duration?: number | undefined;
  /** Frames after which it ends */
  readonly count?: number | undefined;
  /** Lets it come to its end: what was captured until then is still given, and the statistics */
  readonly signal?: AbortSignal | undefined;
}

/**
 * A pcapng file in pieces, until the capture, the reader or the signal ends it.
 * @throws ApiError what the daemon answers instead; DAEMON_UNREACHABLE, also where the connection breaks
 */
export async function* captureStream(
  transport: Transport,
  { vms, signal, ...limits }: CaptureOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  if (signal?.aborted) return;
  const query = { vms: vms?.join(','), ...limits };
  const cut = new AbortController();
  let id: string | undefined;
  let patience: NodeJS.Timeout | undefined;
  const end = () => {
    if (id === undefined) cut.abort();
    else transport.call('DELETE', `/v1/captures/${id}`, { signal: cut.signal }).catch(() => cut.abort());
    patience = setTimeout(() => cut.abort(), ENDING);
  };
  signal?.addEventListener('abort', end, { once: true });
  try {
    yield* transport.stream('/v1/capture', { query, signal: cut.signal }, (headers) => {
      id = headers[ID_HEADER] as string;
    });
  } catch (error) {
    if (!cut.signal.aborted) throw error;
  } finally {
    signal?.removeEventListener('abort', end);
    clearTimeout(patience);
  }
}
