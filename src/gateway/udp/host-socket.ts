/** Sockets of flows: connected to one remote, and told to keep what is said about their packets (ip(7), ipv6(7)). */
import { EPOLLET, EPOLLIN } from '../../sys/epoll.ts';
import { AF_INET, AF_INET6, connectTo, isMapped, openSocket, setOption } from '../../sys/inet-socket.ts';
import { close } from '../../sys/libc.ts';
import type { Sockets } from '../sockets.ts';
import type { DatagramFlow } from './flow.ts';

const SOL_IP = 0;
const IP_TTL = 2;
const IP_RECVERR = 11;
const SOL_IPV6 = 41;
const IPV6_UNICAST_HOPS = 16;
const IPV6_RECVERR = 25;

/** Opens and connects a socket; its descriptor, or an error's number negated. */
export function openConnected(
  type: number,
  protocol: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  port: number,
): number {
  const isIpv4 = isMapped(w0, w1, w2);
  const fd = openSocket(isIpv4 ? AF_INET : AF_INET6, type, protocol);
  if (fd < 0) return fd;
  let error = isIpv4 ? setOption(fd, SOL_IP, IP_RECVERR, 1) : setOption(fd, SOL_IPV6, IPV6_RECVERR, 1);
  if (error === 0) error = connectTo(fd, w0, w1, w2, w3, port);
  if (error === 0) return fd;
  close(fd);
  return -error;
}

/** Gives a flow its socket. 0, or an error's number: the socket is closed then. */
export function giveSocket(sockets: Sockets, flow: DatagramFlow, fd: number): number {
  const token = sockets.add(fd, EPOLLIN | EPOLLET, flow);
  if (token < 0) return -token;
  flow.fd = fd;
  flow.token = token;
  return 0;
}

// The gateway is no hop of its own to a packet that may take none: whoever is behind it says so.
const hopsLeft = (guestHops: number): number => Math.max(1, guestHops - 1);

/** Whether {@link limitHops} would change what is sent from now on. */
export function differsInHops(flow: DatagramFlow, guestHops: number): boolean {
  return hopsLeft(guestHops) !== flow.hops && !flow.isService;
}

/** Lets the flow's packets take as many hops as the guest's may, of which the one to us is the first. */
export function limitHops(flow: DatagramFlow, guestHops: number): void {
  if (!differsInHops(flow, guestHops)) return;
  const hops = hopsLeft(guestHops);
  flow.hops = hops;
  if (flow.isIpv4) setOption(flow.fd, SOL_IP, IP_TTL, hops);
  else setOption(flow.fd, SOL_IPV6, IPV6_UNICAST_HOPS, hops);
}
