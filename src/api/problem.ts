/** What the API answers instead of a result: RFC 9457, with the stable code of the error. */
import { STATUS_CODES } from 'node:http';
import { ERROR_CODES, type ErrorCode, TapswitchError } from '../errors.ts';
import { HOPS, type Hop, type Problem } from '../resources/resources.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** HTTP status of each error. 422: the request is well-formed, but does not fit what is there. */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  CONFIG_UNREADABLE: 422,
  CONFIG_SYNTAX: 422,
  CONFIG_INVALID: 400,
  NETWORK_UNKNOWN: 422,
  ADDRESS_OUTSIDE_SUBNET: 422,
  ADDRESS_IN_USE: 409,
  MAC_IN_USE: 409,
  VM_EXISTS: 409,
  VM_UNKNOWN: 404,
  TAP_IN_USE: 409,
  FORWARD_IN_USE: 409,
  FORWARD_UNAVAILABLE: 422,
  FORWARD_UNKNOWN: 404,
  TAP_MISSING: 422,
  TAP_NOT_ETHERNET: 422,
  TAP_ENSLAVED: 409,
  TAP_HELD: 409,
  NAMESPACE_MISSING: 422,
  TUN_MISSING: 503,
  CAPABILITY_MISSING: 503,
  GUARD_UNAVAILABLE: 503,
  GUEST_UNAVAILABLE: 503,
  TOO_MANY_PORTS: 503,
  WORKER_STUCK: 503,
  SWITCH_CLOSED: 503,
  TAP_DOWN: 502,
  GUEST_SILENT: 502,
  PORT_REFUSED: 502,
  VM_NOT_READY: 504,
  FLOW_LIMIT: 503,
  API_IN_USE: 409,
  API_UNAVAILABLE: 503,
  TOKEN_UNREADABLE: 503,
  FILTER_INVALID: 400,
  CAPTURE_LIMIT: 503,
  EXPLAIN_INVALID: 400,
  BAD_REQUEST: 400,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  UPGRADE_REQUIRED: 426,
  UNAUTHORIZED: 401,
  ORIGIN_REFUSED: 403,
  HOST_REFUSED: 421,
  BODY_TOO_LARGE: 413,
  MEDIA_UNSUPPORTED: 415,
  API_BUSY: 503,
  INTERNAL: 500,
  DAEMON_UNREACHABLE: 502,
  API_ANSWER_UNREADABLE: 502,
  VM_CONFIGURED: 409,
  STATE_IN_USE: 409,
  STATE_UNREADABLE: 500,
  STATE_UNWRITABLE: 503,
  PROFILE_UNKNOWN: 422,
  FIRECRACKER_INVALID: 400,
  SERVICE_FAILED: 502,
  GUEST_ACCESS_OFF: 409,
  SYSTEM_CALL_FAILED: 500,
};

const HOP: Partial<Record<ErrorCode, Hop>> = {
  VM_UNKNOWN: 'vm',
  TAP_DOWN: 'tap',
  GUEST_SILENT: 'guest',
  PORT_REFUSED: 'port',
  SERVICE_FAILED: 'port',
};

/** What an error may have beside being one */
interface Faulty {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly nextStep?: unknown;
  readonly hop?: unknown;
  readonly cause?: unknown;
  readonly statusCode?: unknown;
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code);
}

/** Where the error says it failed: itself, by its code, or by its cause. */
function hopOf(error: Faulty): Hop | undefined {
  const said = HOPS.find((hop) => hop === error.hop);
  if (said !== undefined) return said;
  if (isErrorCode(error.code) && HOP[error.code] !== undefined) return HOP[error.code];
  return error.cause instanceof Error ? hopOf(error.cause as Faulty) : undefined;
}

function problem(code: ErrorCode, detail: string, nextStep: string, hop?: Hop): Problem {
  const status = STATUS[code];
  return {
    type: 'about:blank',
    title: STATUS_CODES[status] as string,
    status,
    detail,
    code,
    nextStep,
    ...(hop !== undefined && { hop }),
  };
}

/** A request that the HTTP framework refuses, by the status it would give. */
function refused(status: number, message: string): Problem {
  if (status === 413) return problem('BODY_TOO_LARGE', 'The body is too large', 'Send at most 256 KiB.');
  if (status === 415) {
    return problem(
      'MEDIA_UNSUPPORTED',
      'The body is not JSON',
      'Send it with Content-Type application/json.',
    );
  }
  return problem('BAD_REQUEST', message, 'See /docs for what a request looks like.');
}

/** The problem that tells of `error`. One without a code is a bug, of which nothing is told. */
export function problemOf(error: unknown): Problem {
  const faulty = (error ?? {}) as Faulty;
  const message = String(faulty.message ?? '');
  // By its code, not its class: two copies of the package have two classes.
  if (isErrorCode(faulty.code) && typeof faulty.nextStep === 'string') {
    return problem(faulty.code, message, faulty.nextStep, hopOf(faulty));
  }
  const status = Number(faulty.statusCode);
  if (status >= 400 && status < 500) return refused(status, message);
  return problem('INTERNAL', 'An error inside tapswitch', 'Report it with the log, which has the stack.');
}

export function notFound(what: string): TapswitchError {
  return new TapswitchError('NOT_FOUND', `There is no ${what}`, 'See /docs for what there is.');
}
