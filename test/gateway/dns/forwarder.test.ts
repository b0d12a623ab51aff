import { describe, expect, test } from 'vitest';
import { FakeClient, Stage } from './fakes.ts';

describe('bounds', () => {
  const fill = (stage: Stage, count: number, client: FakeClient) => {
    for (let i = 0; i < count; i++) stage.ask({ id: i }, client);
  };

  test('256 of a VM on their way -> the next is refused at once, another VM goes on', () => {
    const stage = new Stage();
    const flooding = new FakeClient(1);
    fill(stage, 256, flooding);
    expect(flooding.replies).toEqual([]);
    expect(stage.ask({ id: 0x4242 }, flooding).answer).toMatchObject({ id: 0x4242, rcode: 'SERVFAIL' });
    expect(stage.counts.refusedForVm).toBe(1);
    expect(stage.ask({}, new FakeClient(2)).replies).toEqual([]);
    stage.transport.exchanges[0]?.answer();
    stage.ask({}, flooding);
    expect(flooding.replies).toHaveLength(2);
  });

  test('4,096 of all VMs on their way -> the next is refused; when they are over, no more', () => {
    const stage = new Stage();
    for (let port = 1; port <= 16; port++) fill(stage, 256, new FakeClient(port));
    expect(stage.ask({}, new FakeClient(17)).codes).toEqual(['SERVFAIL']);
    expect([stage.transport.open, stage.counts.refusedForAll]).toEqual([4096, 1]);
    stage.pass(6000);
    expect([stage.transport.open, stage.forwarder.size]).toEqual([0, 0]);
    expect(stage.ask({}, new FakeClient(17)).replies).toEqual([]);
  });

  test('512 over TCP on their way -> the next over TCP is refused, over UDP not', () => {
    const stage = new Stage();
    for (let port = 1; port <= 4; port++) fill(stage, 128, new FakeClient(port, true));
    expect(stage.ask({}, new FakeClient(5, true)).codes).toEqual(['SERVFAIL']);
    expect(stage.ask({}, new FakeClient(5)).replies).toEqual([]);
    stage.forwarder.forgetPort(1);
    expect(stage.ask({}, new FakeClient(5, true)).replies).toEqual([]);
  });

  test('a VM that goes -> its questions end, without answers; others stay', () => {
    const stage = new Stage();
    const [gone, stays] = [new FakeClient(1), new FakeClient(2)];
    fill(stage, 3, gone);
    fill(stage, 1, stays);
    stage.forwarder.forgetPort(1);
    expect([stage.transport.open, stage.forwarder.size]).toEqual([1, 1]);
    stage.pass(6000);
    expect([gone.replies.length, stays.replies.length]).toEqual([0, 1]);
  });
});
