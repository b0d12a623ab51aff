/** What remains to be asked for of a VM's forwards, port by port, when some have been removed. */
import { isDeepStrictEqual } from 'node:util';
import { nowhere } from '../config/fault.ts';
import { formatForward, type PortForward, resolveForward } from '../config/forwards.ts';
import type { ForwardRequest } from '../resources/resources.ts';

const isSame = (one: PortForward, other: PortForward): boolean =>
  one.protocol === other.protocol &&
  one.guestPort === other.guestPort &&
  isDeepStrictEqual(one.host, other.host);

/**
 * Strikes removed forwards out of what was asked for: of a range the other ports stay, each by itself.
 * @param removed what is still to be struck out; what is found is taken off it
 */
export function withoutForwards(asked: readonly ForwardRequest[], removed: PortForward[]): ForwardRequest[] {
  return asked.flatMap((request) => {
    const forwards = resolveForward(request, nowhere, []);
    const left = forwards.filter((forward) => {
      const at = removed.findIndex((one) => isSame(one, forward));
      if (at >= 0) removed.splice(at, 1);
      return at < 0;
    });
    if (left.length === forwards.length) return [request];
    return left.map((forward) => {
      const listen = formatForward(forward);
      return typeof request === 'string' ? listen : { ...request, listen };
    });
  });
}
