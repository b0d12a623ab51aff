/** A switch in memory, and the scene an explanation of it looks at. */
import { type EgressRule, resolveEgressRule } from '../../src/config/egress.ts';
import { type IpWords, parseIp } from '../../src/config/ip.ts';
import type { Scene, SceneVm } from '../../src/engine/scene.ts';
import { TapswitchError } from '../../src/errors.ts';
import { explain } from '../../src/explain/explain.ts';
import { parseQuestion } from '../../src/explain/question.ts';
import type { Explanation } from '../../src/explain/steps.ts';
import type { ForwardState } from '../../src/forward/vm-forwards.ts';
import { compileEgress, EgressPolicy } from '../../src/gateway/egress-policy.ts';
import { copyTables } from '../../src/switch/table-copy.ts';
import { Tables } from '../../src/switch/tables.ts';
import type { Station } from '../lib/frames.ts';
import { NETWORK, TestSwitch, type TestSwitchOptions } from '../lib/test-switch.ts';

/** Owner of the copies: none of those that write into the switch's own tables */
const OWNER = 1;

const refuse = (text: string) => new TapswitchError('CONFIG_INVALID', text, '');
const rulesOf = (texts: readonly string[]): EgressRule[] =>
  texts.map((text) => resolveEgressRule(text, refuse));

export interface ExplainedVm extends Partial<Station> {
  readonly id: string;
  readonly carrier?: boolean;
  readonly egress?: readonly string[];
  readonly forwards?: readonly ForwardState[];
  readonly fastPath?: string;
}

export interface ExplainedOptions extends TestSwitchOptions {
  readonly networkEgress?: readonly string[];
  readonly hostAddresses?: readonly string[];
}

export class ExplainedSwitch extends TestSwitch {
  readonly #vms: SceneVm[] = [];
  readonly #networkEgress: EgressRule[];
  readonly #hostAddresses: readonly IpWords[];

  constructor({ networkEgress = [], hostAddresses = [], ...options }: ExplainedOptions = {}) {
    super(options);
    this.#networkEgress = rulesOf(networkEgress);
    this.#hostAddresses = hostAddresses.map((text) => parseIp(text) as IpWords);
  }

  /** Adds a VM with an id, and tells the gateway where it may go. Returns its port. */
  add({ id, carrier = true, egress = [], forwards = [], fastPath, ...station }: ExplainedVm): number {
    const port = this.vm(station, { carrier });
    const rules = rulesOf(egress);
    const sources = { vm: rules, network: this.#networkEgress, hostAddresses: this.#hostAddresses };
    const { words } = compileEgress(sources);
    this.gateway.setVm(port, id, words);
    const policy = () => new EgressPolicy(words);
    this.#vms.push({ id, port, network: 'lab', egress: rules, forwards, fastPath, policy });
    return port;
  }

  /** Port of a VM by its id. */
  portOf(id: string): number {
    return this.#vms.find((vm) => vm.id === id)?.port ?? this.host;
  }

  scene(): Scene {
    const { clock, use, services } = this;
    return {
      tables: new Tables(copyTables(this.memory), OWNER),
      clock,
      startedSeconds: clock.seconds - 3600,
      use,
      services,
      networks: [{ name: 'lab', number: NETWORK, egress: this.#networkEgress }],
      vms: () => this.#vms,
    };
  }

  explain(flow: string): Explanation {
    return explain(parseQuestion(flow), this.scene());
  }
}
