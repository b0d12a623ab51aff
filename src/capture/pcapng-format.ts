/** Numbers of a pcapng file (draft-ietf-opsawg-pcapng) that its writer and its readers here share. */

export const BLOCK_SECTION = 0x0a0d0d0a;
export const BLOCK_INTERFACE = 1;
export const BLOCK_NAMES = 4;
export const BLOCK_STATISTICS = 5;
export const BLOCK_PACKET = 6;

/** Type and length before a block's body, and the length again behind it */
export const BLOCK_HEADER_BYTES = 8;
export const BLOCK_TRAILER_BYTES = 4;
/** Of a block's body, before its options or the frame */
export const INTERFACE_BODY_BYTES = 8;
export const PACKET_BODY_BYTES = 20;
export const STATISTICS_BODY_BYTES = 12;
/** Code and length before an option's value */
export const OPTION_HEAD_BYTES = 4;

export const OPTION_COMMENT = 1;
export const SECTION_APPLICATION = 4;
export const INTERFACE_NAME = 2;
export const INTERFACE_DESCRIPTION = 3;
export const INTERFACE_RESOLUTION = 9;
export const INTERFACE_FILTER = 11;
export const PACKET_FLAGS = 2;
export const PACKET_DROPS = 4;
export const PACKET_ID = 5;
export const STATISTICS_START = 2;
export const STATISTICS_END = 3;
export const STATISTICS_SELECTED = 6;
export const STATISTICS_DROPS = 7;
export const STATISTICS_DELIVERED = 8;

/** Of PACKET_FLAGS: received, sent */
export const FLAG_INBOUND = 1;
export const FLAG_OUTBOUND = 2;
