/**
 * The gateway's MAC, the same in every network of every switch: a guest that is restored from a snapshot somewhere
 * else keeps a valid ARP entry. Locally administered, unicast; the other five bytes spell "tapsw".
 */
export const GATEWAY_MAC_HIGH = 0x0274;
export const GATEWAY_MAC_LOW = 0x61707377;

// Its IPv6 link-local address, made of the MAC as RFC 4291 appendix A says: fe80::74:61ff:fe70:7377
const UNIVERSAL_BIT = 0x0200;
export const GATEWAY_LINK_LOCAL0 = 0xfe800000 | 0;
export const GATEWAY_LINK_LOCAL1 = 0;
export const GATEWAY_LINK_LOCAL2 =
  ((GATEWAY_MAC_HIGH ^ UNIVERSAL_BIT) << 16) | ((GATEWAY_MAC_LOW >>> 24) << 8) | 0xff;
export const GATEWAY_LINK_LOCAL3 = (0xfe << 24) | (GATEWAY_MAC_LOW & 0xffffff);

/** True for the four words of the gateway's link-local address. */
export function isGatewayLinkLocal(word0: number, word1: number, word2: number, word3: number): boolean {
  return (
    word3 === GATEWAY_LINK_LOCAL3 &&
    word2 === GATEWAY_LINK_LOCAL2 &&
    word1 === GATEWAY_LINK_LOCAL1 &&
    word0 === GATEWAY_LINK_LOCAL0
  );
}
