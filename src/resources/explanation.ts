/** What the switch would do with a flow, as the API shows it. */
import { type Static, Type } from 'typebox';
import { DROP_REASONS } from '../telemetry/drops.ts';

const closed = { additionalProperties: false } as const;

export const STEP_RULES = [
  'source-mac',
  'source-ip',
  'arp',
  'neighbour-discovery',
  'destination',
  'fdb',
  'carrier',
  'mode',
  'host-policy',
  'host-port',
  'fast-path',
  'gateway',
  'name-server',
  'service',
  'egress',
  'limits',
  'forward',
] as const;
export const STEP_OUTCOMES = ['pass', 'drop', 'decides'] as const;
export const ACTIONS = ['forward', 'gateway', 'flood', 'drop', 'refuse', 'connect'] as const;

export const ExplainRequest = Type.Object(
  {
    flow: Type.String({
      description: 'For instance vm-1 -> tcp 10.0.0.5:443; docs/diagnosis.md has the language',
    }),
  },
  { additionalProperties: false, description: 'A flow that is asked about' },
);

export const ExplainedStep = Type.Object(
  {
    rule: Type.Enum([...STEP_RULES]),
    outcome: Type.Enum([...STEP_OUTCOMES], { description: 'drop or decides: the last' }),
    detail: Type.String(),
  },
  closed,
);

export const ExplainedOutcome = Type.Object(
  {
    action: Type.Enum([...ACTIONS], {
      description:
        'It leaves by another port; the gateway answers or takes it; it goes to all that may have it; it is lost; it is lost and the sender told; a connection of the host is made for it',
    }),
    to: Type.Optional(Type.String({ description: "A VM's id, host, name server, or an address and port" })),
    reason: Type.Optional(Type.Enum([...DROP_REASONS], { description: 'As it would be counted' })),
    by: Type.String({
      description: 'The rule that decided: a path of the configuration, or what is built in',
    }),
  },
  closed,
);

export const Explanation = Type.Object(
  {
    flow: Type.String({ description: 'As it was asked about' }),
    steps: Type.Array(ExplainedStep, { description: 'The rules it meets, in order' }),
    outcome: ExplainedOutcome,
  },
  closed,
);

export type ExplainRequest = Static<typeof ExplainRequest>;
export type ExplainedStep = Static<typeof ExplainedStep>;
export type ExplainedOutcome = Static<typeof ExplainedOutcome>;
export type Explanation = Static<typeof Explanation>;
