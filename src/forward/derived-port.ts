/** Ports of the host that follow from what they lead to, so that a forward from port 0 finds its own again. */
import { createHash } from 'node:crypto';
import type { Protocol } from '../config/ports.ts';

/** First of the ports given out: below the kernel's own choices (net.ipv4.ip_local_port_range). */
const FIRST_DERIVED_PORT = 20_000;
const DERIVED_PORTS = 10_000;
/** How many are tried before the kernel chooses. */
const DERIVED_PORT_PROBES = 8;

/** Ports to try, in this order, for a forward to `guestPort` of the VM `id` whose host port is anybody's. */
export function derivedPorts(id: string, guestPort: number, protocol: Protocol): number[] {
  const digest = createHash('sha256').update(`${id}:${guestPort}/${protocol}`).digest();
  const start = digest.readUIntBE(0, 6) % DERIVED_PORTS;
  return Array.from(
    { length: DERIVED_PORT_PROBES },
    (_, i) => FIRST_DERIVED_PORT + ((start + i) % DERIVED_PORTS),
  );
}
