/** tapswitch as a library: a userspace Ethernet switch for microVM TAP devices. */
export type { Allocation } from './config/allocations.ts';
export type { ConfigInput, ForwardInput, NetworkInput, VmInput } from './config/schema.ts';
export type { Capture, CaptureOptions } from './engine/captures.ts';
export { createSwitch } from './engine/create-switch.ts';
export type { Switch } from './engine/switch.ts';
export type {
  AttachOptions,
  PortGlance,
  PortState,
  SwitchOptions,
  SwitchStats,
} from './engine/switch-types.ts';
export { ERROR_CODES, type ErrorCode, TapswitchError } from './errors.ts';
export type { ForwardState } from './forward/vm-forwards.ts';
export type { FaultPlan } from './port/faulty-port.ts';
export type { PortStats } from './telemetry/counters.ts';
export { DROP_REASONS, type DropReason } from './telemetry/drops.ts';
export { createLogger, type Logger } from './telemetry/logger.ts';
