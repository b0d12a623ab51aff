/** What went wrong on the way into a VM, as an answer of HTTP: RFC 9457, with the hop that failed. */
import { STATUS_CODES } from 'node:http';
import { type ErrorCode, TapswitchError } from '../../errors.ts';
import type { Hop, Problem } from '../../resources/resources.ts';

const HOP_OF: Partial<Record<ErrorCode, Hop>> = {
  VM_UNKNOWN: 'vm',
  TAP_DOWN: 'tap',
  GUEST_SILENT: 'guest',
  PORT_REFUSED: 'port',
  SERVICE_FAILED: 'port',
};

const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  BAD_REQUEST: 400,
  UNAUTHORIZED: 401,
  ORIGIN_REFUSED: 403,
  VM_UNKNOWN: 404,
  NOT_FOUND: 404,
  GUEST_ACCESS_OFF: 409,
  HOST_REFUSED: 421,
  TAP_DOWN: 502,
  GUEST_SILENT: 502,
  PORT_REFUSED: 502,
  SERVICE_FAILED: 502,
  FLOW_LIMIT: 503,
  SWITCH_CLOSED: 503,
  VM_NOT_READY: 504,
};

const INTERNAL = 500;

/** Code of an error of ours, from whichever copy of the package it comes; undefined for a bug. */
export function codeOf(error: unknown): ErrorCode | undefined {
  if (!(error instanceof Error) || error.name !== 'TapswitchError') return undefined;
  return (error as TapswitchError).code;
}

/** Where on the way into the VM `error` arose; for VM_NOT_READY, what was missing at the end. */
function hopOf(error: TapswitchError): Hop | undefined {
  if (error.code !== 'VM_NOT_READY') return HOP_OF[error.code];
  const cause = codeOf(error.cause);
  return cause === undefined ? undefined : HOP_OF[cause];
}

/** The problem document of `error`; a bug tells nothing of itself. */
export function guestProblem(error: unknown): Problem {
  const code = codeOf(error);
  if (code === undefined) {
    const title = STATUS_CODES[INTERNAL] as string;
    return {
      type: 'about:blank',
      title,
      status: INTERNAL,
      detail: 'This is a bug; the log has it.',
      code: 'INTERNAL',
    };
  }
  const ours = error as TapswitchError;
  const status = STATUS_OF[code] ?? INTERNAL;
  const hop = hopOf(ours);
  return {
    type: 'about:blank',
    title: STATUS_CODES[status] as string,
    status,
    detail: ours.message,
    code,
    nextStep: ours.nextStep,
    ...(hop !== undefined && { hop }),
  };
}

/** A request that has the wrong form. */
export function invalid(message: string, nextStep: string): TapswitchError {
  return new TapswitchError('BAD_REQUEST', message, nextStep);
}

/** What listens at the guest's port did not do its part. */
export function serviceFailed(id: string, port: number, what: string, cause?: unknown): TapswitchError {
  const nextStep = 'See what runs there, and its log.';
  return new TapswitchError('SERVICE_FAILED', `VM ${id}: port ${port}: ${what}`, nextStep, cause);
}

/** The switch goes down, or this way into it. */
export function shuttingDown(): TapswitchError {
  return new TapswitchError('SWITCH_CLOSED', 'tapswitch is shutting down', 'Try again once it runs.');
}
