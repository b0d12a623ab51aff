/** What it means to the user when the system will not listen where a forward is to. */
import { formatListener, type PortForward } from '../config/forwards.ts';
import { TapswitchError } from '../errors.ts';
import type { SysError } from '../sys/errno.ts';

const FIRST_FREE_PORT = 1024; // net.ipv4.ip_unprivileged_port_start, where nobody changed it

function inUse(who: string, { host, protocol }: PortForward, error: SysError): TapswitchError {
  if (host.kind === 'unix') {
    const nextStep = 'End the program that listens there, or give the forward another path.';
    return new TapswitchError('FORWARD_IN_USE', `${who} is somebody else's`, nextStep, error);
  }
  const show = protocol === 'tcp' ? 'ss -ltnp' : 'ss -lunp';
  const nextStep = `End the program that listens there (${show} shows it), or give the forward another host port; 0 takes a free one.`;
  return new TapswitchError('FORWARD_IN_USE', `${who} is in use`, nextStep, error);
}

function forbidden(who: string, { host }: PortForward, error: SysError): TapswitchError {
  if (host.kind === 'unix') {
    const nextStep = 'Give this user write access to the directory, or give the forward another path.';
    return new TapswitchError('CAPABILITY_MISSING', `${who} cannot be made by this user`, nextStep, error);
  }
  const nextStep = `Give the process CAP_NET_BIND_SERVICE, or the forward a host port from ${FIRST_FREE_PORT}.`;
  const message = `${who} needs CAP_NET_BIND_SERVICE`;
  return new TapswitchError('CAPABILITY_MISSING', message, nextStep, error);
}

function unavailable(who: string, { host }: PortForward, error: SysError): TapswitchError {
  if (host.kind === 'unix') {
    const message = `${who} cannot be made: there is no such directory`;
    return new TapswitchError('FORWARD_UNAVAILABLE', message, 'Make the directory first.', error);
  }
  const message = `${who} is at no address of this host`;
  const nextStep = 'Use an address that ip address shows, 127.0.0.1, or 0.0.0.0 for all of them.';
  return new TapswitchError('FORWARD_UNAVAILABLE', message, nextStep, error);
}

/** The error for a forward of the VM `id`: FORWARD_IN_USE, FORWARD_UNAVAILABLE, CAPABILITY_MISSING, SYSTEM_CALL_FAILED. */
export function refusal(id: string, forward: PortForward, error: SysError): TapswitchError {
  const who = `VM ${id}: ${formatListener(forward)}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return inUse(who, forward, error);
    case 'EACCES':
    case 'EPERM':
      return forbidden(who, forward, error);
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
    case 'EINVAL': // a link-local IPv6 address, which is of one interface
    case 'ENOENT':
    case 'ENOTDIR':
      return unavailable(who, forward, error);
    default: {
      const nextStep = 'Look at the error name: the system refused the operation.';
      return new TapswitchError('SYSTEM_CALL_FAILED', `${who}: ${error.message}`, nextStep, error);
    }
  }
}
