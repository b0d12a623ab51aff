import { expect } from 'vitest';
import type { ConfigInput, NetworkInput, VmInput } from '../../src/config/schema.ts';
import { type ErrorCode, TapswitchError } from '../../src/errors.ts';

/** The network of the examples; pass only what differs. */
export function networkInput(odd: Partial<NetworkInput> = {}): NetworkInput {
  return { subnet: '192.168.0.0/16', gateway: '192.168.0.1', ...odd };
}

/** One VM of the examples; pass only what differs. */
export function vmInput(odd: Partial<VmInput> = {}): VmInput {
  return { tap: 'fc-vm-02018', ...odd };
}

/** A configuration with the network of the examples and the given VMs. */
export function configInput(vms: Record<string, VmInput> = {}, odd: Partial<ConfigInput> = {}): ConfigInput {
  return { networks: { default: networkInput() }, vms, ...odd };
}

/** Runs `work`, which must throw a one-line operational error of `code` with a next step; gives its message. */
export function messageOf(code: ErrorCode, work: () => unknown): string {
  let thrown: unknown;
  try {
    work();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(TapswitchError);
  const error = thrown as TapswitchError;
  expect(error.code).toBe(code);
  expect(error.message).toMatch(/^\P{Cc}+$/u);
  expect(error.nextStep).toMatch(/^[A-Z\w].*\.$/);
  return error.message;
}
