/** From the forwards a VM was asked for with to those it is asked for with now, touching no others. */
import { isDeepStrictEqual } from 'node:util';
import type { Switch } from '../engine/switch.ts';
import type { ForwardRequest, VmRequest } from '../resources/resources.ts';

const specOf = (request: ForwardRequest): string => (typeof request === 'string' ? request : request.listen);

function without(list: readonly ForwardRequest[], others: readonly ForwardRequest[]): ForwardRequest[] {
  return list.filter((one) => !others.some((other) => isDeepStrictEqual(one, other)));
}

/** Whether nothing but forwards is different, and each of them can be told from the others. */
export function differInForwards(before: VmRequest, after: VmRequest): boolean {
  const { forwards: old = [], ...rest } = before;
  const { forwards: now = [], ...others } = after;
  const isPlain = (list: readonly ForwardRequest[]) => new Set(list.map(specOf)).size === list.length;
  return isDeepStrictEqual(rest, others) && isPlain(old) && isPlain(now);
}

/**
 * Ends the forwards that are asked for no more and opens those that are new: all, or none and the error of the first
 * that cannot be had.
 */
export async function changeForwards(
  made: Pick<Switch, 'addForward' | 'removeForward'>,
  id: string,
  before: readonly ForwardRequest[],
  after: readonly ForwardRequest[],
): Promise<void> {
  const undo: (() => Promise<unknown>)[] = [];
  try {
    for (const one of without(before, after)) {
      await made.removeForward(id, specOf(one));
      undo.push(() => made.addForward(id, one));
    }
    for (const one of without(after, before)) {
      await made.addForward(id, one);
      undo.push(() => made.removeForward(id, specOf(one)));
    }
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}
