/** Work in a VM's network namespace, with errors a user understands. */
import { TapswitchError } from '../errors.ts';
import { SysError } from '../sys/errno.ts';
import { inNamespace } from '../sys/netns.ts';
import { RouteSocket } from '../sys/rtnetlink.ts';
import { explaining } from './system-errors.ts';

/** Runs `work` in the namespace at `path` (our own when undefined). Throws NAMESPACE_MISSING, CAPABILITY_MISSING. */
export function within<T>(path: string | undefined, work: () => T): T {
  try {
    return inNamespace(path, work);
  } catch (error) {
    if (
      !(error instanceof SysError) ||
      (!error.operation.includes('namespace') && !error.operation.startsWith('open '))
    )
      throw error;
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'EINVAL') {
      throw new TapswitchError(
        'NAMESPACE_MISSING',
        `${path} is not a network namespace`,
        'Start the VM first, or correct the path: ip netns lists those under /run/netns.',
        error,
      );
    }
    return explaining('CAP_SYS_ADMIN', () => {
      throw error;
    });
  }
}

/** Runs `work` with a link socket of the namespace at `path`. */
export function withLinks<T>(path: string | undefined, work: (links: RouteSocket) => T): T {
  return within(path, () => {
    const links = explaining('CAP_NET_ADMIN', () => new RouteSocket());
    try {
      return explaining('CAP_NET_ADMIN', () => work(links));
    } finally {
      links.close();
    }
  });
}
