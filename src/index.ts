/** tapswitch as a library: a userspace Ethernet switch for microVM TAP devices. */
export type { ConfigInput, NetworkInput, VmInput } from './config/schema.ts';
export {
  type AttachOptions,
  createSwitch,
  type PortState,
  type Switch,
  type SwitchOptions,
  type SwitchStats,
} from './engine/switch.ts';
export { ERROR_CODES, type ErrorCode, TapswitchError } from './errors.ts';
export type { FaultPlan } from './port/faulty-port.ts';
export type { PortStats } from './telemetry/counters.ts';
export { DROP_REASONS, type DropReason } from './telemetry/drops.ts';
export { createLogger, type Logger } from './telemetry/logger.ts';
