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
