/**
 * Profiles: what many VMs have in common, by name. Those of the configuration, and those shipped in vm-config/profiles,
 * which a profile of the configuration with the same name stands in for.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { type EgressRule, resolveEgress } from './egress.ts';
import { configError, failAt, type Locate, nowhere, type Path, quote } from './fault.ts';
import { formatForward, type PortForward, resolveForwards } from './forwards.ts';
import { ID_RULE, isId } from './names.ts';
import { type ProfileInput, ProfileSchema } from './schema.ts';
import { checkShape } from './shape.ts';
import { didYouMean } from './suggest.ts';

export interface ProfileConfig {
  readonly name: string;
  /** Ranges are single forwards here */
  readonly forwards: readonly PortForward[];
  readonly egress: readonly EgressRule[];
}

export type Profiles = ReadonlyMap<string, ProfileConfig>;

const SHIPPED = new URL('../../vm-config/profiles/', import.meta.url); // from src and from dist alike
const SUFFIX = '.yaml';

let shipped: Profiles | undefined;

function profileFrom(name: string, input: ProfileInput, locate: Locate): ProfileConfig {
  const base = ['profiles', name];
  if (!isId(name)) throw failAt(locate, base)(`${quote(name)} is not a valid name`, ID_RULE);
  const forwards = resolveForwards(input.forwards ?? [], locate, [...base, 'forwards']);
  return {
    name,
    forwards: forwards.map(({ forward }) => forward),
    egress: resolveEgress(input.egress ?? [], locate, [...base, 'egress']),
  };
}

/** The profiles that come with the product, read once. */
export function shippedProfiles(): Profiles {
  shipped ??= new Map(
    readdirSync(SHIPPED)
      .filter((file) => file.endsWith(SUFFIX))
      .map((file) => {
        const name = file.slice(0, -SUFFIX.length);
        const input: unknown = parse(readFileSync(new URL(file, SHIPPED), 'utf8'));
        checkShape(ProfileSchema, input, nowhere, ['profiles', name]);
        return [name, profileFrom(name, input as ProfileInput, nowhere)];
      }),
  );
  return shipped;
}

/** All profiles there are with those of a configuration, whose shape is already checked. */
export function resolveProfiles(inputs: Readonly<Record<string, ProfileInput>>, locate: Locate): Profiles {
  const profiles = new Map(shippedProfiles());
  for (const [name, input] of Object.entries(inputs)) profiles.set(name, profileFrom(name, input, locate));
  return profiles;
}

/** The profiles with forwards of one of them left out, each as `formatForward` writes it; what it does not have is none. */
export function profilesWithout(
  profiles: Profiles,
  name: string | undefined,
  forwards: readonly string[],
): Profiles {
  const profile = profiles.get(name ?? '');
  if (profile === undefined || forwards.length === 0) return profiles;
  const left = profile.forwards.filter((forward) => !forwards.includes(formatForward(forward)));
  return new Map(profiles).set(profile.name, { ...profile, forwards: left });
}

/** The profile of that name. Throws PROFILE_UNKNOWN, with the place of who names it. */
export function findProfile(name: string, profiles: Profiles, locate: Locate, path: Path): ProfileConfig {
  const profile = profiles.get(name);
  if (profile !== undefined) return profile;
  const message = `there is no profile ${quote(name)}${didYouMean(name, profiles.keys())}`;
  const nextStep = `Known profiles: ${[...profiles.keys()].join(', ')}.`;
  throw configError('PROFILE_UNKNOWN', locate, path, message, nextStep);
}
