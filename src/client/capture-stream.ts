/** Captures of the daemon's, as they come. */
import type { Transport } from './transport.ts';

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
  /** Ends it, without an error; the file has no statistics then */
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
  try {
    yield* transport.stream('/v1/capture', { query, signal });
  } catch (error) {
    if (!signal?.aborted) throw error;
  }
}
