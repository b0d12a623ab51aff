/** docs/diagnosis.md has what the code has: every hop in its order, every verdict with its words. */
import { expect, test } from 'vitest';
import { BRIDGE_HOPS } from '../../src/diagnosis/bridge/decide.ts';
import { MAX_ASKED_PORTS } from '../../src/diagnosis/bridge/diagnose.ts';
import { BRIDGE_VERDICTS } from '../../src/diagnosis/bridge/verdicts.ts';
import { DIAGNOSIS_HOPS } from '../../src/diagnosis/decide.ts';
import { VERDICTS } from '../../src/diagnosis/verdicts.ts';
import { BRIDGE_FAULTS } from '../gallery/bridge-faults.ts';
import { FAULTS } from '../gallery/faults.ts';
import { readText, tableRows } from './tables.ts';

test.each([
  ['Verdict', VERDICTS],
  ['Verdict on a bridge', BRIDGE_VERDICTS],
])('the table %s -> is that of the code', (heading, verdicts) => {
  const rows = Object.entries(verdicts).map(([code, { sentence, nextStep }]) => [
    `\`${code}\``,
    sentence,
    nextStep,
  ]);
  expect(tableRows('docs/diagnosis.md', heading)).toEqual(rows);
});

test('the hops -> are named in their order', () => {
  const section = readText('docs/diagnosis.md').split('\n## Hops\n')[1]?.split('. Each is')[0] ?? '';
  expect([...section.matchAll(/`([\w-]+)`/g)].map(([, hop]) => hop)).toEqual(DIAGNOSIS_HOPS);
});

test("a bridge's hops and bound -> are named", () => {
  const text = readText('docs/diagnosis.md').split('\n## On a host that still has a bridge\n')[1] ?? '';
  const hops = text.split(/Its hops, in\s+order: /)[1]?.split('.\n')[0] ?? '';
  expect([...hops.matchAll(/`([\w-]+)`/g)].map(([, hop]) => hop)).toEqual(BRIDGE_HOPS);
  expect(text).toContain(`up to ${MAX_ASKED_PORTS} other ports`);
});

test.each([
  ['Fault', FAULTS],
  ['Fault on a bridge', BRIDGE_FAULTS],
])('the table %s -> is the gallery', (heading, faults) => {
  const rows = faults.map(({ fault, verdict, hop, evidence }) => [
    fault,
    `\`${verdict}\``,
    `\`${hop}\`: ${evidence}`,
  ]);
  expect(tableRows('docs/diagnosis.md', heading)).toEqual(rows);
});
