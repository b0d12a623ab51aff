import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VM_FLOWS, VM_HALF_OPEN_FLOWS } from '../../../src/config/limits.ts';
import { FlowKey } from '../../../src/gateway/flow-key.ts';
import type { TcpFlow } from '../../../src/gateway/tcp/flow.ts';
import { FlowTable } from '../../../src/gateway/tcp/flow-table.ts';
import { FLOW_KEY_FIELDS as FIELDS, keyOf } from '../../lib/flow-keys.ts';

const NOBODY = { hostReady() {}, timerExpired() {}, acknowledgeLate() {}, frameRefused() {} };

/** A VM's flows as its list has them. */
function flowsOf(table: FlowTable, port: number): TcpFlow[] {
  const flows: TcpFlow[] = [];
  for (let flow = table.firstOf(port); flow !== undefined; flow = flow.nextOfPort) flows.push(flow);
  return flows;
}

describe('against a map', () => {
  // Few values of each, so that keys differ in one field only
  const key = fc.tuple(...FIELDS.map((field) => fc.integer({ min: field === 'port' ? 1 : 0, max: 2 })));
  const step = fc.record({ what: fc.constantFrom('add', 'add', 'remove', 'open', 'rename'), key });

  test('any additions, removals, openings and renamings -> found where they are, counted as they are', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const table = new FlowTable(NOBODY);
        const model = new Map<string, { flow: TcpFlow; halfOpen: boolean }>();
        const wanted = new FlowKey();
        for (const { what, key: values } of steps) {
          for (const [i, field] of FIELDS.entries()) wanted[field] = values[i] as number;
          const name = values.join();
          const known = model.get(name);
          expect(table.find(wanted)).toBe(known?.flow);
          if (known === undefined) {
            if (what === 'add') model.set(name, { flow: table.add(wanted), halfOpen: true });
          } else if (what === 'remove') {
            table.remove(known.flow);
            model.delete(name);
          } else if (what === 'open') {
            table.opened(known.flow);
            model.set(name, { flow: known.flow, halfOpen: false });
          } else if (what === 'rename') {
            const renamed = values.with(4, 9).join();
            if (model.has(renamed)) continue;
            table.rename(known.flow, 9);
            model.delete(name);
            model.set(renamed, known);
          }
        }
        expect(table.size).toBe(model.size);
        for (const [name, { flow, halfOpen }] of model) {
          const values = name.split(',').map(Number);
          for (const [i, field] of FIELDS.entries()) wanted[field] = values[i] as number;
          expect(table.find(wanted)).toBe(flow);
          expect(flow.isHalfOpen).toBe(halfOpen);
        }
        for (const port of [1, 2]) {
          const own = [...model.values()].map(({ flow }) => flow).filter((flow) => flow.port === port);
          expect(new Set(flowsOf(table, port))).toEqual(new Set(own));
          expect(table.flowsOf(port)).toBe(own.length);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('bounds of a VM', () => {
  test(`${VM_HALF_OPEN_FLOWS} half-open flows -> no room for one more, but for another VM's`, () => {
    const table = new FlowTable(NOBODY);
    for (let i = 0; i < VM_HALF_OPEN_FLOWS; i++) {
      expect(table.hasRoom(1)).toBe(true);
      table.add(keyOf({ guestPort: i }));
    }
    expect(table.hasRoom(1)).toBe(false);
    expect(table.hasRoom(2)).toBe(true);
  });

  test('one of them opens, or ends -> room again, once', () => {
    const table = new FlowTable(NOBODY);
    const flows = Array.from({ length: VM_HALF_OPEN_FLOWS }, (_, i) => table.add(keyOf({ guestPort: i })));
    table.opened(flows[0]!);
    table.opened(flows[0]!);
    expect(table.hasRoom(1)).toBe(true);
    table.add(keyOf({ guestPort: 60_000 }));
    expect(table.hasRoom(1)).toBe(false);
    table.remove(flows[1]!);
    expect(table.hasRoom(1)).toBe(true);
  });

  test(`${VM_FLOWS} flows -> no room, though all are open; all are found`, () => {
    const table = new FlowTable(NOBODY);
    for (let i = 0; i < VM_FLOWS; i++) table.opened(table.add(keyOf({ guestPort: i })));
    expect(table.hasRoom(1)).toBe(false);
    for (let i = 0; i < VM_FLOWS; i++) expect(table.find(keyOf({ guestPort: i }))?.guestPort).toBe(i);
    expect(table.find(keyOf({ guestPort: VM_FLOWS }))).toBeUndefined();
    for (const flow of flowsOf(table, 1)) table.remove(flow);
    expect([table.size, table.flowsOf(1), table.firstOf(1)]).toEqual([0, 0, undefined]);
  });
});
