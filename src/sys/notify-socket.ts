/**
 * The service manager's notification socket, sd_notify(3): a datagram of `KEY=value` lines to the unix socket that
 * NOTIFY_SOCKET names, a path or, with `@` in front, a name of the abstract namespace (unix(7)).
 */
import { AF_UNIX, openSocket, SOCK_DGRAM } from './inet-socket.ts';
import { close, connect, send } from './libc.ts';

const FAMILY_BYTES = 2;
const LONGEST_ADDRESS = 108; // sun_path of sys/un.h
const MSG_NOSIGNAL = 0x4000; // sys/socket.h

/** The sockaddr_un of a socket: `/path` or `@abstract`. Undefined for what can be neither. */
export function unixAddress(name: string): Uint8Array | undefined {
  const isAbstract = name.startsWith('@');
  if (!isAbstract && !name.startsWith('/')) return undefined;
  const bytes = new TextEncoder().encode(isAbstract ? `\0${name.slice(1)}` : `${name}\0`);
  if (bytes.length > LONGEST_ADDRESS || bytes.length < 2) return undefined;
  const address = new Uint8Array(FAMILY_BYTES + bytes.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(bytes, FAMILY_BYTES);
  return address;
}

function sendTo(address: Uint8Array, text: string): boolean {
  const fd = openSocket(AF_UNIX, SOCK_DGRAM);
  if (fd < 0) return false;
  try {
    const message = new TextEncoder().encode(text);
    if (connect(fd, address, address.length) < 0) return false;
    return send(fd, message, message.length, MSG_NOSIGNAL) === message.length;
  } finally {
    close(fd);
  }
}

/**
 * Tells the service manager something, for instance `READY=1`. True once it has been handed over; false where there is
 * no service manager, or it cannot be reached or takes nothing at the moment. Does not block.
 */
export function notify(text: string): boolean {
  const address = unixAddress(process.env.NOTIFY_SOCKET ?? '');
  return address !== undefined && sendTo(address, text);
}
