/** A guest booted as a VMM does it: takes the TAP that is there, and a kernel with an address is behind it. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  type GuestAddresses,
  indexOf,
  type NetnsGuest,
  startNetnsGuest,
  withRoutes,
} from '../../src/lab/netns-guest.ts';
import { spawnIn } from '../../src/lab/process.ts';
import { createNamespace } from '../../src/sys/netns.ts';
import type { Stage } from './engine-stage.ts';

const VMM = fileURLToPath(new URL('net-vmm.mjs', import.meta.url));

/** Boots a guest on a TAP of the stage's host; it ends with the stage. */
export async function bootOn(
  stage: Stage,
  tap: string,
  options: GuestAddresses & { readonly services?: boolean },
): Promise<NetnsGuest> {
  const inside = createNamespace();
  stage.atEnd(() => inside.close());
  const place = { name: tap, hostNamespace: inside.path, interfaceName: 'vm' };
  const guest = await startNetnsGuest({ ...place, ...options });
  stage.atEnd(() => guest.stop());
  withRoutes(inside.path, (routes) => routes.changeLink(indexOf(routes, 'vm'), { up: true }));
  const vmm = spawnIn(stage.host.path, [process.execPath, VMM, tap, inside.path, 'vm'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  stage.atEnd(async () => {
    const ended = once(vmm, 'exit');
    vmm.kill('SIGKILL');
    await ended;
  });
  await once(vmm.stdout as NodeJS.EventEmitter, 'data');
  return guest;
}
