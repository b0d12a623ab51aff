/** Every route over a real unix socket: what it answers, and what it says to bad input. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TapswitchError } from '../../src/errors.ts';
import { failing } from './fake-plane.ts';
import { type Stage, startStage } from './stage.ts';

let stage: Stage;
const LISTS = ['/v1/networks', '/v1/vms', '/v1/fdb', '/v1/drops', '/v1/leases'];
const BAD_IDS = ['-x', '%C3%A9', '..%2F..%2Fetc', '%2e%2e', '%00', 'a%20b', '%F0%9F%98%80', '.x', 'a%2Fb'];

beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage.close());
beforeEach(async () => {
  stage.plane.failure = undefined;
  stage.plane.degraded = false;
  await stage.plane.putVm('vm1', { ip: '192.168.0.14' });
  stage.plane.calls = [];
});

describe('happy', () => {
  test.each(LISTS)('GET %s -> a list', async (path) => {
    const { status, json } = await stage.ask('GET', path);
    expect(status).toBe(200);
    expect(json.length).toBeGreaterThan(0);
  });

  test('one network, one VM -> whole', async () => {
    const network = await stage.ask('GET', '/v1/networks/default');
    expect(network.json).toEqual(stage.plane.networks()[0]);
    const vm = await stage.ask('GET', '/v1/vms/vm1');
    expect(vm.json).toEqual(stage.plane.vm('vm1'));
  });

  test('PUT -> 201 when it is new, 200 after', async () => {
    const body = {
      ip: '192.168.0.15',
      createTap: { owner: 1000 },
      forwards: ['6080:6080', { listen: '1:1' }],
    };
    const first = await stage.ask('PUT', '/v1/vms/vm-new', { body });
    expect([first.status, first.json.tap]).toEqual([201, 'fc-vm-new']);
    expect(stage.plane.calls).toEqual([['putVm', 'vm-new', body]]);
    expect((await stage.ask('PUT', '/v1/vms/vm-new', { body })).status).toBe(200);
    const gone = await stage.ask('DELETE', '/v1/vms/vm-new');
    expect([gone.status, gone.text]).toEqual([204, '']);
    expect((await stage.ask('GET', '/v1/vms/vm-new')).status).toBe(404);
  });

  test('forwards -> added as text or mapping, listed, removed', async () => {
    const path = '/v1/vms/vm1/forwards';
    const added = await stage.ask('POST', path, { body: '127.0.0.1:1:80' });
    expect([added.status, added.json[0].guestPort]).toEqual([201, 80]);
    const body = { listen: '127.0.0.1:2:81', wait: 5 };
    expect((await stage.ask('POST', path, { body })).status).toBe(201);
    expect((await stage.ask('GET', path)).json).toHaveLength(2);
    const spec = encodeURIComponent('127.0.0.1:2:81');
    expect((await stage.ask('DELETE', `${path}?spec=${spec}&reset=true`)).status).toBe(204);
    expect(stage.plane.calls.at(-1)).toEqual(['removeForward', 'vm1', '127.0.0.1:2:81', { reset: true }]);
  });

  test('flows, generation, wait, reload -> what the plane says', async () => {
    expect((await stage.ask('GET', '/v1/vms/vm1/flows')).json[0].state).toBe('established');
    expect((await stage.ask('POST', '/v1/vms/vm1/generation')).json).toEqual({ generation: 1, reset: 2 });
    const waited = await stage.ask('GET', '/v1/vms/vm1/wait?port=6080&timeout=5');
    expect(waited.json).toEqual({ vm: 'vm1', port: 6080, waitedMs: 1 });
    expect(stage.plane.calls.at(-1)).toEqual(['wait', 'vm1', 6080, 5000]);
    expect((await stage.ask('POST', '/v1/reload')).json.changes).toEqual(['vm vm1 added']);
  });

  test('diagnosis -> what the plane says; a port that is none -> 400; no such VM -> 404', async () => {
    const path = '/v1/vms/vm1/diagnosis';
    expect((await stage.ask('GET', path)).json).toMatchObject({ vm: 'vm1', verdict: { code: 'TAP_DOWN' } });
    expect(stage.plane.calls.at(-1)).toEqual(['diagnose', 'vm1', undefined]);
    expect((await stage.ask('GET', `${path}?port=80`)).json.port).toBe(80);
    const wrong = await stage.ask('GET', `${path}?port=65536`);
    expect([wrong.status, wrong.json.code]).toEqual([400, 'BAD_REQUEST']);
    expect((await stage.ask('GET', '/v1/vms/none/diagnosis')).status).toBe(404);
  });

  test('explain -> what the plane says; without a flow, or with more -> 400; its errors -> their status', async () => {
    const flow = 'vm1 -> tcp 10.0.0.5:443';
    const { status, json } = await stage.ask('POST', '/v1/explain', { body: { flow } });
    expect([status, json.flow, json.outcome.reason]).toEqual([200, flow, 'egress-denied']);
    expect(json.steps).toEqual([{ rule: 'egress', outcome: 'drop', detail: 'built in: deny 10.0.0.0/8' }]);
    expect((await stage.ask('POST', '/v1/explain', { body: {} })).status).toBe(400);
    expect((await stage.ask('POST', '/v1/explain', { body: { flow, vm: 'vm1' } })).status).toBe(400);
    const problem = "flow, column 5: expected '->', not 'x'";
    stage.plane.failure = new TapswitchError('EXPLAIN_INVALID', problem, 'Correct it.');
    const wrong = await stage.ask('POST', '/v1/explain', { body: { flow: 'vm1 x' } });
    expect([wrong.status, wrong.json.code]).toEqual([400, 'EXPLAIN_INVALID']);
    expect(wrong.json.detail).toBe(problem);
  });

  test('healthz, readyz: degraded -> 200 and 503', async () => {
    expect((await stage.ask('GET', '/readyz')).status).toBe(200);
    stage.plane.degraded = true;
    const ready = await stage.ask('GET', '/readyz');
    expect([ready.status, ready.json.status]).toEqual([503, 'degraded']);
    expect((await stage.ask('GET', '/healthz')).status).toBe(200);
  });

  test('metrics -> of now, once each, in base units', async () => {
    await stage.ask('GET', '/metrics');
    const { status, text } = await stage.ask('GET', '/metrics');
    expect(status).toBe(200);
    for (const line of [
      'tapswitch_build_info{version="1.2.3"} 1',
      'tapswitch_vm_up{vm="vm1",network="default"} 1',
      'tapswitch_port_receive_bytes_total{network="default",port="vm1"} 300',
      'tapswitch_port_transmit_frames_total{network="default",port="tapsw0"} 4',
      'tapswitch_drops_total{port="vm1",reason="spoofed-ip"} 2',
      'tapswitch_worker_replaced_total{worker="0"} 1',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    expect(text).toMatch(/^tapswitch_vms\{network="default"\} \d+$/m);
    expect(text).toMatch(/^process_cpu_seconds_total /m);
  });

  test('the page -> is there, with its scripts', async () => {
    const page = await stage.ask('GET', '/docs/');
    expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect((await stage.ask('GET', '/docs/static/swagger-ui.css')).status).toBe(200);
  });
});

describe('bad input', () => {
  test.each(BAD_IDS)('id %s -> 400 or 404, and the plane is not asked', async (id) => {
    for (const [method, path] of [
      ['GET', `/v1/vms/${id}`],
      ['PUT', `/v1/vms/${id}`],
      ['GET', `/v1/networks/${id}`],
      ['POST', `/v1/vms/${id}/forwards`],
    ]) {
      const body = path.endsWith('forwards') ? '1:1' : {};
      const { status, json } = await stage.ask(method, path, method === 'GET' ? {} : { body });
      expect([400, 404]).toContain(status);
      expect(['BAD_REQUEST', 'NOT_FOUND']).toContain(json.code);
    }
    expect(stage.plane.calls).toEqual([]);
  });

  test('an unknown key -> named, with what was meant', async () => {
    const { status, headers, json } = await stage.ask('PUT', '/v1/vms/vm2', { body: { forwrads: [] } });
    expect([status, json.code]).toEqual([400, 'CONFIG_INVALID']);
    expect(headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(json.detail).toBe('forwrads: unknown key, did you mean forwards?');
    expect(json.nextStep).toMatch(/^Known here: /);
  });

  test.each([
    ['an array', { raw: '[]' }, 400],
    ['null', { raw: 'null' }, 400],
    ['nothing', { raw: '' }, 400],
    ['no JSON', { raw: '{' }, 400],
    ['a prototype', { raw: '{"__proto__":{"tap":"x"}}' }, 400],
    ['a wrong type', { body: { createTap: { owner: -1 } } }, 400],
    ['a form', { raw: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415],
    ['120,000 wrong forwards', { raw: `{"forwards":[${'1,'.repeat(120_000)}1]}` }, 400],
    ['lists 100,000 deep', { raw: `{"mac":${'['.repeat(100_000)}${']'.repeat(100_000)}}` }, 400],
    ['300 KiB', { body: { mac: 'x'.repeat(300 * 1024) } }, 413],
  ])('PUT with %s -> a problem', async (_what, asking, expected) => {
    const { status, json } = await stage.ask('PUT', '/v1/vms/vm2', asking);
    expect(json).toMatchObject({ status: expected, code: expect.any(String), detail: expect.any(String) });
    expect(status).toBe(expected);
    expect(stage.plane.calls).toEqual([]);
  });

  test.each([
    '',
    'port=0',
    'port=65536',
    'port=x',
    'port=1.5',
    'port=1&port=2',
    'port=1&timeout=-1',
    'port=1&timeout=9999',
    'prot=1',
  ])('wait?%s -> BAD_REQUEST', async (query) => {
    const { status, json } = await stage.ask('GET', `/v1/vms/vm1/wait?${query}`);
    expect([status, json.code]).toEqual([400, 'BAD_REQUEST']);
  });

  test.each([
    ['GET', '/nothing', 404],
    ['GET', '/v1/vms/vm1/../../../etc/passwd', 404],
    ['GET', '/docs/static/..%2f..%2fpackage.json', 404],
    ['GET', '/v1/vms/%zz', 400],
    ['GET', '/v1/networks/other', 404],
    ['DELETE', '/v1/vms/none', 404],
    ['PATCH', '/v1/vms/vm1', 405],
    ['PUT', '/v1/networks', 405],
    ['GET', '/v1/events', 426],
    ['DELETE', '/v1/vms/vm1/forwards', 400],
  ])('%s %s -> %i', async (method, path, expected) => {
    const { status, json } = await stage.ask(method, path);
    expect([status, json?.status]).toEqual([expected, expected]);
  });
});

describe('errors of the plane', () => {
  test.each([
    ['TAP_DOWN', 502, 'tap'],
    ['GUEST_SILENT', 502, 'guest'],
    ['PORT_REFUSED', 502, 'port'],
    ['VM_NOT_READY', 504, undefined],
    ['ADDRESS_IN_USE', 409, undefined],
    ['SWITCH_CLOSED', 503, undefined],
  ] as const)('%s -> %i, hop %s', async (code, status, hop) => {
    stage.plane.failure = failing(code);
    const answer = await stage.ask('GET', '/v1/vms/vm1/wait?port=1');
    expect(answer.status).toBe(status);
    expect(answer.json).toMatchObject({ code, detail: 'It failed', nextStep: 'Do something.' });
    expect(answer.json.hop).toBe(hop);
  });

  test('waited in vain: the hop of the error -> told', async () => {
    stage.plane.failure = Object.assign(failing('VM_NOT_READY'), { hop: 'guest' });
    expect((await stage.ask('GET', '/v1/vms/vm1/wait?port=1')).json.hop).toBe('guest');
  });

  test('a bug -> 500 that tells nothing, and a log that tells all', async () => {
    stage.plane.failure = new Error('secret internals');
    const { status, json, text } = await stage.ask('POST', '/v1/reload');
    expect([status, json.code]).toEqual([500, 'INTERNAL']);
    expect(text).not.toContain('secret');
    expect(stage.log.join('')).toContain('secret internals');
  });

  test('a client that leaves -> the plane stops waiting', async () => {
    const { request } = await import('node:http');
    const asked = request({ socketPath: stage.socket, path: '/v1/vms/vm1/wait?port=9' });
    asked.on('error', () => {});
    asked.end();
    await expect.poll(() => stage.plane.calls).toContainEqual(['wait', 'vm1', 9, 30_000]);
    asked.destroy();
    await expect.poll(() => stage.plane.calls).toContainEqual(['waited', 'vm1']);
  });
});

describe('gvproxy', () => {
  const expose = (body: object) => stage.ask('POST', '/services/forwarder/expose', { body });

  test('expose, all, unexpose -> a forward of the VM with that address', async () => {
    const remote = '192.168.0.14:6443';
    expect((await expose({ local: ':6443', remote, protocol: 'tcp' })).status).toBe(200);
    expect(stage.plane.calls.at(-1)).toEqual(['addForward', 'vm1', '0.0.0.0:6443:6443']);
    const all = await stage.ask('GET', '/services/forwarder/all');
    expect(all.json).toEqual([{ local: '0.0.0.0:6443', remote, protocol: 'tcp' }]);
    const gone = await stage.ask('POST', '/services/forwarder/unexpose', { body: { local: ':6443' } });
    expect(gone.status).toBe(200);
    expect(stage.plane.calls.at(-1)).toEqual(['removeForward', 'vm1', '0.0.0.0:6443:6443', { reset: false }]);
    expect((await stage.ask('GET', '/services/forwarder/all')).json).toEqual([]);
  });

  test('udp, unix -> forwards of that kind', async () => {
    await expose({ local: '127.0.0.1:53', remote: 'udp://192.168.0.14:53', protocol: 'udp' });
    expect(stage.plane.calls.at(-1)).toEqual(['addForward', 'vm1', '127.0.0.1:53:53/udp']);
    await expose({ local: '/run/x.sock', remote: 'tcp://192.168.0.14:22', protocol: 'unix' });
    expect(stage.plane.calls.at(-1)).toEqual(['addForward', 'vm1', 'unix:/run/x.sock:22']);
  });

  test('posted as a form, as curl -d does -> read as JSON', async () => {
    const asking = {
      raw: '{"local":":6443","remote":"192.168.0.14:6443"}',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    };
    expect((await stage.ask('POST', '/services/forwarder/expose', asking)).status).toBe(200);
    expect(stage.plane.calls.at(-1)).toEqual(['addForward', 'vm1', '0.0.0.0:6443:6443']);
    const broken = { ...asking, raw: 'local=1' };
    expect((await stage.ask('POST', '/services/forwarder/expose', broken)).status).toBe(400);
  });

  test('leases, stats -> their shapes', async () => {
    const leases = await stage.ask('GET', '/services/dhcp/leases');
    expect(leases.json).toEqual({ '192.168.0.14': '06:00:c0:a8:00:0e' });
    const { json } = await stage.ask('GET', '/stats');
    expect(json.BytesSent).toBeGreaterThanOrEqual(400);
  });

  test.each([
    [{ local: 'x', remote: '192.168.0.14:1' }, 400],
    [{ local: ':1', remote: 'x' }, 400],
    [{ local: ':1', remote: '192.168.9.9:1' }, 404],
    [{ local: ':1' }, 400],
    [{ local: 'x', remote: '192.168.0.14:1', protocol: 'unix' }, 400],
    [{ local: ':1', remote: '192.168.0.14:1', protocol: 'npipe' }, 400],
  ])('expose %j -> %i', async (body, status) => {
    expect((await expose(body)).status).toBe(status);
    expect(stage.plane.calls).toEqual([]);
  });

  test('unexpose of nothing -> 404', async () => {
    const { status } = await stage.ask('POST', '/services/forwarder/unexpose', { body: { local: ':9' } });
    expect(status).toBe(404);
  });
});
