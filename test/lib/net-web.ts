/** A daemon of the command with one VM: `web`, guest 11, behind its interface. */
import { join } from 'node:path';
import type { VmInput } from 'tapswitch';
import { type Daemon, type scratch, startUp } from './engine-command.ts';
import { addressOf } from './engine-stage.ts';
import type { GatewayStage } from './gateway-stage.ts';

/** Starts it, its socket `api.sock` among the files; `vm` is what `web` has beyond its address. */
export function startWeb(
  stage: GatewayStage,
  files: ReturnType<typeof scratch>,
  vm: Partial<VmInput> = {},
): Promise<Daemon> {
  const env = {
    TAPSWITCH_SOCKET: join(files.path, 'api.sock'),
    TAPSWITCH_STATE: join(files.path, 'state'),
  };
  const vms = { web: { tap: 'vm11', ip: addressOf(11), ...vm } };
  return startUp(stage.host.path, { networks: { default: stage.network() }, vms }, files, { env });
}
