/** What captures may take. */
import { configError, type Locate } from './fault.ts';
import { CAPTURE_RING_BYTES, MAX_CAPTURES } from './limits.ts';
import type { CaptureInput } from './schema.ts';

export interface CaptureConfig {
  /** Captures at a time */
  readonly maximum: number;
  /** Bytes of a capture's ring in each datapath thread, a power of two */
  readonly ringBytes: number;
}

/** Checks the section `capture`, whose shape is already checked. */
export function captureFrom(input: CaptureInput, locate: Locate): CaptureConfig {
  const { maximum = MAX_CAPTURES, ringBytes = CAPTURE_RING_BYTES } = input;
  if (!Number.isInteger(Math.log2(ringBytes))) {
    const nextStep = 'Give one, such as 1048576 or 16777216.';
    throw configError(
      'CONFIG_INVALID',
      locate,
      ['capture', 'ringBytes'],
      `${ringBytes} is no power of two`,
      nextStep,
    );
  }
  return { maximum, ringBytes };
}
