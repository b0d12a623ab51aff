/** Segments to the other end of a host's connection whose own socket is frozen and says nothing any more. */
import { sendPacket, type TcpEnds } from '../../sys/tcp-state.ts';
import { checksum, pseudoHeader4 } from '../../wire/checksum.ts';
import { emitHeader, IPV4_HEADER_BYTES, PROTOCOL_TCP, USUAL_TTL } from '../../wire/ipv4.ts';
import * as tcp from '../../wire/tcp.ts';
import { TIMESTAMPS_ALIGNED_BYTES, writeTimestamps } from '../../wire/tcp-options.ts';

const TCP_BYTES = tcp.TCP_HEADER_BYTES + TIMESTAMPS_ALIGNED_BYTES;
const PACKET_BYTES = IPV4_HEADER_BYTES + TCP_BYTES;

/** What such a segment says; numbers int32. */
export interface HostSegment {
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  /** As written, not scaled */
  readonly window: number;
  readonly timestamp: number;
  readonly echo: number;
}

/** Sends it, past the socket. */
export function sendToHost(ends: TcpEnds, segment: HostSegment): void {
  const { local, localPort, remote, remotePort } = ends;
  const { flags, sequence, acknowledgment, window, timestamp, echo } = segment;
  const packet = new Uint8Array(PACKET_BYTES);
  const view = new DataView(packet.buffer);
  const at = IPV4_HEADER_BYTES;
  emitHeader(view, 0, PACKET_BYTES, USUAL_TTL, PROTOCOL_TCP, local, remote);
  const write = (sum: number) =>
    tcp.emit(view, at, localPort, remotePort, sequence, acknowledgment, TCP_BYTES, flags, window, sum);
  write(0);
  writeTimestamps(view, at + tcp.TCP_HEADER_BYTES, timestamp, echo);
  write(checksum(view, at, TCP_BYTES, pseudoHeader4(local, remote, PROTOCOL_TCP, TCP_BYTES)));
  sendPacket(packet, remote);
}
