/**
 * The gateway's MAC, the same in every network of every switch: a guest that is restored from a snapshot somewhere
 * else keeps a valid ARP entry. Locally administered, unicast; the other five bytes spell "tapsw".
 */
export const GATEWAY_MAC_HIGH = 0x0274;
export const GATEWAY_MAC_LOW = 0x61707377;
