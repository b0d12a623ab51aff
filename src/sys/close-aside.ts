/** Closing of descriptors that takes the kernel a while, away from the thread that wants it closed. */
import { close } from 'node:fs';

/**
 * Closes a descriptor in Node's thread pool: a packet socket waits for an RCU grace period (8-16 ms), and several can wait
 * together. Resolves once it is closed; that it was closed already is no error.
 */
export function closeAside(fd: number): Promise<void> {
  return new Promise((resolve) => close(fd, () => resolve()));
}
