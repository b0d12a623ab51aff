/** Bounds that both the configuration and what it configures must agree on. */

/** Networks a switch can have. */
export const MAX_NETWORKS = 64;
