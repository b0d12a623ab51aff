/** Sockets of the host that wait for whoever wants to reach a VM; opened in the process's own network namespace. */
import type { ForwardHost, PortForward } from '../config/forwards.ts';
import { isIpv4 } from '../config/ip.ts';
import type { Protocol } from '../config/ports.ts';
import { SysError } from '../sys/errno.ts';
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  openSocket,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_SOCKET,
  sendAtOnce,
  setOption,
  writeSocketAddress,
} from '../sys/inet-socket.ts';
import { bind, check, close, getsockname, listen } from '../sys/libc.ts';
import { refusal } from './refusal.ts';
import { bindPath, removeFile, type SocketFile } from './unix-socket.ts';

// sys/socket.h, netinet/in.h
const SO_REUSEADDR = 2;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const PORT_OFFSET = 2;
const SOCKADDR_BYTES = 28;

/** Connections the kernel holds until they are taken; it allows net.core.somaxconn at most. */
const BACKLOG = 4096;

type IpHost = Extract<ForwardHost, { kind: 'ip' }>;

export interface Listener {
  readonly fd: number;
  /** Where it listens; never port 0 */
  readonly host: ForwardHost;
  readonly file: SocketFile | undefined;
}

/** Opens a socket and makes it ready; closed again when that fails. Throws SysError. */
function opened(family: number, type: number, prepare: (fd: number) => Omit<Listener, 'fd'>): Listener {
  const fd = openSocket(family, type);
  if (fd < 0) throw new SysError('open a socket', -fd);
  try {
    return { fd, ...prepare(fd) };
  } catch (error) {
    close(fd);
    throw error;
  }
}

function listenAtPath(path: string): Listener {
  return opened(AF_UNIX, SOCK_STREAM, (fd) => {
    const file = bindPath(fd, path);
    check('listen', listen(fd, BACKLOG));
    return { host: { kind: 'unix', path }, file };
  });
}

/** @param port 0 where the kernel is to choose */
function listenAt({ address }: IpHost, port: number, protocol: Protocol): Listener {
  const [family, type] = [
    isIpv4(address) ? AF_INET : AF_INET6,
    protocol === 'tcp' ? SOCK_STREAM : SOCK_DGRAM,
  ];
  return opened(family, type, (fd) => {
    if (protocol === 'tcp') {
      // Otherwise connections of the one before us keep the port for a minute. A UDP port would be two sockets' at once.
      setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      // Connections inherit it.
      sendAtOnce(fd);
    }
    if (family === AF_INET6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    const name = new Uint8Array(SOCKADDR_BYTES);
    const view = new DataView(name.buffer);
    const bytes = writeSocketAddress(view, 0, ...address, port);
    check('bind', bind(fd, name, bytes));
    if (protocol === 'tcp') check('listen', listen(fd, BACKLOG));
    const length = new Uint8Array(Uint32Array.of(SOCKADDR_BYTES).buffer);
    check('getsockname', getsockname(fd, name, length));
    return { host: { kind: 'ip', address, port: view.getUint16(PORT_OFFSET) }, file: undefined };
  });
}

/** Listens at the first of the ports that is free, or at one of the kernel's choice. */
function listenAnywhere(host: IpHost, protocol: Protocol, ports: readonly number[]): Listener {
  for (const port of ports) {
    try {
      return listenAt(host, port, protocol);
    } catch (error) {
      if (!(error instanceof SysError) || error.code !== 'EADDRINUSE') throw error;
    }
  }
  return listenAt(host, 0, protocol);
}

/**
 * Listens where a forward of the VM `id` is to; non-blocking.
 * @param ports for a forward from port 0, those to try
 * @throws TapswitchError FORWARD_IN_USE, FORWARD_UNAVAILABLE, CAPABILITY_MISSING, SYSTEM_CALL_FAILED
 */
export function openListener(forward: PortForward, id: string, ports: readonly number[]): Listener {
  const { host, protocol } = forward;
  try {
    if (host.kind === 'unix') return listenAtPath(host.path);
    if (host.port === 0) return listenAnywhere(host, protocol, ports);
    return listenAt(host, host.port, protocol);
  } catch (error) {
    if (error instanceof SysError) throw refusal(id, forward, error);
    throw error;
  }
}

/** Closes the socket and removes its file. Throws SysError where the file cannot be removed; the socket is closed then. */
export function closeListener({ fd, file }: Listener): void {
  close(fd);
  if (file !== undefined) removeFile(file);
}
