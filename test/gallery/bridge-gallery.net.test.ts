/** Every fault of the bridge's gallery, done for real: it bites, its verdict, in time, and a healthy guest beside it. */
import { expect, test } from 'vitest';
import { BridgeGalleryStage } from '../lib/bridge-gallery-stage.ts';
import { atTestEnd } from '../lib/net-cleanup.ts';
import { BRIDGE_FAULTS } from './bridge-faults.ts';

const LONGEST_MS = 3000;

async function begin(): Promise<BridgeGalleryStage> {
  const begun = new BridgeGalleryStage(atTestEnd());
  await begun.begin();
  return begun;
}

const evidenceOf = (hops: readonly { hop: string; evidence: string }[], hop: string) =>
  hops.find((one) => one.hop === hop)?.evidence;

test.each(BRIDGE_FAULTS)('$fault -> $verdict', async (fault) => {
  const stage = await begin();
  const flow = { port: fault.port, fromWell: fault.fromWell };
  const before = await stage.diagnoseSick(flow);
  expect(before.hops.filter(({ status }) => status === 'failed')).toEqual([]);
  expect([before.verdict.code, before.status]).toEqual(['HEALTHY', 0]);

  await fault.inject(stage);
  if (fault.harmlessToPing !== true) expect(await stage.works(flow)).toBe(false);
  const { verdict, hops, ms, status } = await stage.diagnoseSick(flow);
  expect({ code: verdict.code, evidence: evidenceOf(hops, fault.hop) }).toEqual({
    code: fault.verdict,
    evidence: expect.stringContaining(fault.evidence),
  });
  expect(status).toBe(69);
  expect(ms).toBeLessThan(LONGEST_MS);
  expect((await stage.diagnoseHealthy(fault.healthy ?? 'well')).verdict.code).toBe('HEALTHY');
});

test('FORWARD DROP with bridge netfilter -> no verdict from the host, whose packets do not cross it', async () => {
  const stage = await begin();
  await stage.host.set('bridge/bridge-nf-call-iptables', 1);
  await stage.host.must('iptables -P FORWARD DROP');
  expect(await stage.works({})).toBe(true);
  expect((await stage.diagnoseSick({})).verdict.code).toBe('HEALTHY');
  expect(await stage.works({ fromWell: true })).toBe(false);
  expect((await stage.diagnoseSick({ fromWell: true })).verdict.code).toBe('BRIDGE_NF');
});

test('INPUT DROP -> no verdict between guests, whose packets do not cross it', async () => {
  const stage = await begin();
  await stage.host.must('iptables -P INPUT DROP');
  expect(await stage.works({ fromWell: true })).toBe(true);
  expect((await stage.diagnoseSick({ fromWell: true })).verdict.code).toBe('HEALTHY');
  expect(await stage.works({})).toBe(false);
  expect((await stage.diagnoseSick({})).verdict.code).toBe('HOST_INPUT');
});

test('a rule that cannot be told -> shown, and never the cause', async () => {
  const stage = await begin();
  await stage.host.must(
    'nft add table inet odd',
    "nft 'add chain inet odd in { type filter hook input priority 0; }'",
    'nft add rule inet odd in meta mark 7 drop',
  );
  expect(await stage.works({})).toBe(true);
  const { verdict, hops } = await stage.diagnoseSick({});
  expect(verdict.code).toBe('HEALTHY');
  const hop = hops.find((one) => one.hop === 'ip-rules');
  expect(hop?.status).toBe('unknown');
  expect(hop?.evidence).toContain('rule handle 2 of inet odd in');
});

test('asking -> leaves neighbours, rules and routes as they were', async () => {
  const stage = await begin();
  const state = () =>
    stage.host.must(
      'ip -4 neigh | sed "s/ [A-Z]*$//"',
      'ip route',
      'ip rule',
      'nft -s list ruleset',
      'ip -o link',
    );
  await stage.host.run('ip neigh flush all');
  const before = await state();
  expect((await stage.diagnoseSick({ fromWell: true })).verdict.code).toBe('HEALTHY');
  expect(await state()).toBe(before);
  expect((await stage.sick.guest.run('ip neigh show')).stdout).not.toContain('02:74:61:70:73:77');
});
