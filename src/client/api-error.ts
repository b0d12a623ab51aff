/** Errors of the client: what the daemon answered, or that it did not. */
import { ERROR_CODES, EXIT } from '../errors.ts';
import type { Problem } from '../resources/resources.ts';

/**
 * An error of the API. Match `code`: a code of a newer daemon is passed on as it is, which is why it is text here and
 * no `ErrorCode`.
 */
export class ApiError extends Error {
  readonly code: string;
  /** What to do about it, one sentence; empty where the daemon named nothing */
  readonly nextStep: string;
  /** HTTP status; undefined where no answer came */
  readonly status: number | undefined;
  /** Where on the way into the VM it failed */
  readonly hop: Problem['hop'];

  constructor(code: string, message: string, nextStep: string, { status, hop, cause }: ApiErrorDetail = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ApiError';
    this.code = code;
    this.nextStep = nextStep;
    this.status = status;
    this.hop = hop;
  }

  /** Exit status of a command that ends with this error */
  get exitStatus(): number {
    return Object.hasOwn(ERROR_CODES, this.code)
      ? ERROR_CODES[this.code as keyof typeof ERROR_CODES]
      : EXIT.failure;
  }
}

export interface ApiErrorDetail {
  readonly status?: number;
  readonly hop?: Problem['hop'];
  readonly cause?: unknown;
}

/** The error that a daemon's answer stands for: problem+json, or whatever a proxy in between has sent. */
export function answeredError(status: number, body: string): ApiError {
  const problem = problemIn(body);
  if (problem === undefined) {
    return new ApiError(
      'API_ANSWER_UNREADABLE',
      `the API answered with status ${status} and no explanation`,
      'See whether it is tapswitch that listens there.',
      { status },
    );
  }
  return new ApiError(problem.code, problem.detail || problem.title, problem.nextStep ?? '', {
    status,
    hop: problem.hop,
  });
}

function problemIn(body: string): Problem | undefined {
  try {
    const read = JSON.parse(body) as Partial<Problem> | null;
    return typeof read?.code === 'string' ? (read as Problem) : undefined;
  } catch {
    return undefined;
  }
}

export function unreachable(where: string, cause: unknown): ApiError {
  const reason = (cause as NodeJS.ErrnoException)?.code ?? (cause as Error)?.message ?? String(cause);
  const nextStep =
    reason === 'EACCES'
      ? 'Run as a user or group that may use the socket.'
      : 'Start the daemon with `tapswitch up`, or name its socket with --socket or TAPSWITCH_SOCKET.';
  return new ApiError('DAEMON_UNREACHABLE', `no daemon answers at ${where} (${reason})`, nextStep, { cause });
}
