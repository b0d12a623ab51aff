/** Bounds that both the configuration and what it configures must agree on. */

/** Networks a switch can have. */
export const MAX_NETWORKS = 64;
/** Ports forwarded to one VM, ranges counted port by port. */
export const MAX_FORWARD_PORTS = 1024;
/** Rules in one `egress` list. */
export const MAX_EGRESS_RULES = 1024;
/** Addresses of one name in `dns.records`: the answer to it stays one message. */
export const MAX_RECORD_ADDRESSES = 32;
/** Name servers in `dns.upstreams`. */
export const MAX_UPSTREAMS = 8;
/** TCP flows a VM may have unless its network says otherwise, those at rest in TIME-WAIT not counted */
export const VM_FLOWS = 8192;
/** TCP flows of a VM that are not open yet, unless its network says otherwise */
export const VM_HALF_OPEN_FLOWS = 1024;
/** UDP flows of a VM, those of its forwarded ports included, unless its network says otherwise */
export const VM_UDP_FLOWS = 1024;
/** Captures at a time, unless the configuration says otherwise */
export const MAX_CAPTURES = 8;
/** Bytes of a capture's ring in each datapath thread, unless the configuration says otherwise */
export const CAPTURE_RING_BYTES = 4 * 1024 * 1024;
/** Bytes of buffers the TCP flows of one VM may hold unless its network says otherwise */
export const VM_BUFFER_BYTES = 64 * 1024 * 1024;
