/** What a failed system call means to the user. */
import { TapswitchError } from '../errors.ts';
import { SysError } from '../sys/errno.ts';

/** What may be missing for an operation, so that EPERM can be explained. */
export type Need = 'CAP_NET_ADMIN' | 'CAP_NET_RAW' | 'CAP_SYS_ADMIN';

function explain(error: SysError, need: Need): TapswitchError {
  if (error.operation === 'open /dev/net/tun') {
    return new TapswitchError(
      'TUN_MISSING',
      `/dev/net/tun cannot be opened (${error.code})`,
      'Load the tun module (modprobe tun), pass the device into the container, or give this user access to it.',
      error,
    );
  }
  if (error.code === 'EPERM' || error.code === 'EACCES') {
    return new TapswitchError(
      'CAPABILITY_MISSING',
      `${error.operation} needs ${need}`,
      `Run as root, or give the process ${need}.`,
      error,
    );
  }
  return new TapswitchError(
    'SYSTEM_CALL_FAILED',
    error.message,
    'Look at the error name: the system refused the operation.',
    error,
  );
}

/** Runs `work`; a system call that fails in it becomes a TapswitchError. */
export function explaining<T>(need: Need, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof SysError) throw explain(error, need);
    throw error;
  }
}
