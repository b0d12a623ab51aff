import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { shippedProfiles } from '../../src/config/profiles.ts';
import { resolveConfig, resolveVm } from '../../src/config/resolve.ts';
import type { ConfigInput } from '../../src/config/schema.ts';
import { configInput, messageOf, vmInput } from './fixtures.ts';

const withProfiles = (
  profiles: NonNullable<ConfigInput['profiles']>,
  ...vms: Parameters<typeof vmInput>[0][]
) =>
  configInput(Object.fromEntries(vms.map((odd, i) => [`vm-${i}`, vmInput({ tap: `tap${i}`, ...odd })])), {
    profiles,
  });

const ports = (vm: { forwards: readonly { guestPort: number }[] } | undefined) =>
  vm?.forwards.map(({ guestPort }) => guestPort);

describe('shipped profiles', () => {
  test('are those of vm-config/profiles', () => {
    const files = readdirSync(new URL('../../vm-config/profiles/', import.meta.url));
    expect([...shippedProfiles().keys()].map((name) => `${name}.yaml`)).toEqual(files);
    expect(files).toEqual(['browser-vm.yaml']);
  });

  test('browser-vm: noVNC and the agent, at ports of the host that the kernel chooses', () => {
    const { vms } = resolveConfig(configInput({ a: vmInput({ profile: 'browser-vm' }) }));
    const host = { kind: 'ip', address: [0, 0, 0xffff, 0x7f000001], port: 0 };
    expect(vms.get('a')).toMatchObject({
      profile: 'browser-vm',
      forwards: [
        { protocol: 'tcp', host, guestPort: 6080, waitMs: 30_000 },
        { protocol: 'tcp', host, guestPort: 8080, waitMs: 30_000 },
      ],
      egress: [],
    });
  });
});

describe('a profile', () => {
  test('its forwards and rules -> after those of the VM', () => {
    const profiles = { web: { forwards: ['0:80', '0:443'], egress: ['deny any'] } };
    const vm = { profile: 'web', forwards: ['1:22'], egress: ['allow 10.0.0.7'] };
    const { vms } = resolveConfig(withProfiles(profiles, vm, {}));
    expect(ports(vms.get('vm-0'))).toEqual([22, 80, 443]);
    expect(vms.get('vm-0')?.egress.map(({ text }) => text)).toEqual(['allow 10.0.0.7', 'deny any']);
    expect(ports(vms.get('vm-1'))).toEqual([]);
  });

  test('the name of a shipped one -> the one of the configuration is it', () => {
    const { vms } = resolveConfig(withProfiles({ 'browser-vm': {} }, { profile: 'browser-vm' }));
    expect(ports(vms.get('vm-0'))).toEqual([]);
  });

  test('a VM of the API -> shipped ones, or those it is given', () => {
    const { networks, profiles } = resolveConfig(withProfiles({ web: { forwards: ['0:80'] } }));
    expect(ports(resolveVm('a', vmInput({ profile: 'browser-vm' }), networks))).toEqual([6080, 8080]);
    expect(ports(resolveVm('a', vmInput({ profile: 'web' }), networks, undefined, profiles))).toEqual([80]);
    messageOf('PROFILE_UNKNOWN', () => resolveVm('a', vmInput({ profile: 'web' }), networks));
  });

  test('unknown -> PROFILE_UNKNOWN, with the one that was meant', () => {
    const input = withProfiles({}, { profile: 'browser-wm' });
    expect(messageOf('PROFILE_UNKNOWN', () => resolveConfig(input))).toBe(
      'vms.vm-0.profile: there is no profile "browser-wm", did you mean browser-vm?',
    );
  });

  test('with a host port, for two VMs -> FORWARD_IN_USE at the second', () => {
    const input = withProfiles({ web: { forwards: ['8000:80'] } }, { profile: 'web' }, { profile: 'web' });
    expect(messageOf('FORWARD_IN_USE', () => resolveConfig(input))).toMatch(/^vms\.vm-1\.profile: .* vm-0$/);
  });

  test.each([
    ['forward', { forwards: ['x'] }, 'profiles.web.forwards[0]: "x" is not a port forward'],
    ['rule', { egress: ['x'] }, 'profiles.web.egress[0]: "x" is not an outbound rule'],
  ])('%s that is none -> CONFIG_INVALID, though no VM has it', (_fact, profile, message) => {
    expect(messageOf('CONFIG_INVALID', () => resolveConfig(withProfiles({ web: profile })))).toBe(message);
  });

  test('more ports or rules than a VM may have, together -> CONFIG_INVALID', () => {
    const forwards = { profile: 'web', forwards: ['1000-2022:1000-2022'] };
    messageOf('CONFIG_INVALID', () =>
      resolveConfig(withProfiles({ web: { forwards: ['1-2:1-2'] } }, forwards)),
    );
    const egress = { profile: 'web', egress: Array<string>(1024).fill('deny any') };
    messageOf('CONFIG_INVALID', () => resolveConfig(withProfiles({ web: { egress: ['deny any'] } }, egress)));
  });

  test('name that is none -> CONFIG_INVALID', () => {
    expect(messageOf('CONFIG_INVALID', () => resolveConfig(withProfiles({ '-': {} })))).toMatch(
      /^profiles\.-: /,
    );
  });
});
