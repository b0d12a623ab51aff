/** docs/diagnosis.md has what the code has: every hop in its order, every verdict with its words. */
import { expect, test } from 'vitest';
import { DIAGNOSIS_HOPS } from '../../src/diagnosis/decide.ts';
import { VERDICTS } from '../../src/diagnosis/verdicts.ts';
import { FAULTS } from '../gallery/faults.ts';
import { readText, tableRows } from './tables.ts';

test('the table of verdicts -> is that of the code', () => {
  const rows = Object.entries(VERDICTS).map(([code, { sentence, nextStep }]) => [
    `\`${code}\``,
    sentence,
    nextStep,
  ]);
  expect(tableRows('docs/diagnosis.md', 'Verdict')).toEqual(rows);
});

test('the hops -> are named in their order', () => {
  const section = readText('docs/diagnosis.md').split('\n## Hops\n')[1]?.split('. Each is')[0] ?? '';
  expect([...section.matchAll(/`([\w-]+)`/g)].map(([, hop]) => hop)).toEqual(DIAGNOSIS_HOPS);
});

test('the table of faults -> is the gallery', () => {
  const rows = FAULTS.map(({ fault, verdict, hop, evidence }) => [
    fault,
    `\`${verdict}\``,
    `\`${hop}\`: ${evidence}`,
  ]);
  expect(tableRows('docs/diagnosis.md', 'Fault')).toEqual(rows);
});
