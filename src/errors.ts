/**
 * Operational errors: what can go wrong outside the program's own logic, each with a stable code, one line of
 * cause and the next step. Faults of a single frame are never errors: they are counted drops (telemetry/drops).
 * A bug is a plain `Error` and ends the thread it happens on.
 */

/** Exit status by class of error, as `tapswitch` reports them. */
export const EXIT = {
  failure: 1,
  usage: 2,
  config: 3,
  privilege: 4,
  conflict: 5,
  unavailable: 69,
} as const;

/** Every code an operational error can carry, with the exit status of a command that ends with it. */
export const ERROR_CODES = {
  CONFIG_UNREADABLE: EXIT.config,
  CONFIG_SYNTAX: EXIT.config,
  CONFIG_INVALID: EXIT.config,
  NETWORK_UNKNOWN: EXIT.config,
  PROFILE_UNKNOWN: EXIT.config,
  FIRECRACKER_INVALID: EXIT.config,
  ADDRESS_OUTSIDE_SUBNET: EXIT.config,
  ADDRESS_IN_USE: EXIT.conflict,
  MAC_IN_USE: EXIT.conflict,
  VM_EXISTS: EXIT.conflict,
  VM_UNKNOWN: EXIT.usage,
  TAP_IN_USE: EXIT.conflict,
  FORWARD_IN_USE: EXIT.conflict,
  FORWARD_UNAVAILABLE: EXIT.unavailable,
  FORWARD_UNKNOWN: EXIT.usage,
  TAP_MISSING: EXIT.unavailable,
  TAP_NOT_ETHERNET: EXIT.config,
  TAP_ENSLAVED: EXIT.conflict,
  TAP_HELD: EXIT.conflict,
  NAMESPACE_MISSING: EXIT.unavailable,
  TUN_MISSING: EXIT.unavailable,
  CAPABILITY_MISSING: EXIT.privilege,
  GUARD_UNAVAILABLE: EXIT.unavailable,
  GUEST_UNAVAILABLE: EXIT.unavailable,
  TOO_MANY_PORTS: EXIT.conflict,
  WORKER_STUCK: EXIT.failure,
  SWITCH_CLOSED: EXIT.failure,
  TAP_DOWN: EXIT.unavailable,
  GUEST_SILENT: EXIT.unavailable,
  PORT_REFUSED: EXIT.unavailable,
  SERVICE_FAILED: EXIT.unavailable,
  GUEST_ACCESS_OFF: EXIT.config,
  VM_NOT_READY: EXIT.unavailable,
  FLOW_LIMIT: EXIT.unavailable,
  VM_CONFIGURED: EXIT.conflict,
  STATE_IN_USE: EXIT.conflict,
  STATE_UNREADABLE: EXIT.config,
  STATE_UNWRITABLE: EXIT.unavailable,
  API_IN_USE: EXIT.conflict,
  API_UNAVAILABLE: EXIT.unavailable,
  TOKEN_UNREADABLE: EXIT.config,
  FILTER_INVALID: EXIT.usage,
  EXPLAIN_INVALID: EXIT.usage,
  CAPTURE_LIMIT: EXIT.unavailable,
  BAD_REQUEST: EXIT.usage,
  NOT_FOUND: EXIT.usage,
  METHOD_NOT_ALLOWED: EXIT.usage,
  UPGRADE_REQUIRED: EXIT.usage,
  UNAUTHORIZED: EXIT.privilege,
  ORIGIN_REFUSED: EXIT.privilege,
  HOST_REFUSED: EXIT.usage,
  BODY_TOO_LARGE: EXIT.usage,
  MEDIA_UNSUPPORTED: EXIT.usage,
  API_BUSY: EXIT.unavailable,
  INTERNAL: EXIT.failure,
  DAEMON_UNREACHABLE: EXIT.unavailable,
  API_ANSWER_UNREADABLE: EXIT.unavailable,
  SYSTEM_CALL_FAILED: EXIT.failure,
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** An operational error. Match `code`, not the class: two copies of the package have two classes. */
export class TapswitchError extends Error {
  readonly code: ErrorCode;
  /** What to do about it, one sentence */
  readonly nextStep: string;

  constructor(code: ErrorCode, message: string, nextStep: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'TapswitchError';
    this.code = code;
    this.nextStep = nextStep;
  }

  /** Exit status of a command that ends with this error */
  get exitStatus(): number {
    return ERROR_CODES[this.code];
  }
}
