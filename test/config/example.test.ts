import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { formatListener } from '../../src/config/forwards.ts';
import { loadConfig } from '../../src/config/load.ts';

test('the example configuration loads', () => {
  const config = loadConfig(fileURLToPath(new URL('../../vm-config/example.yaml', import.meta.url)));
  expect([...config.vms.keys()]).toEqual(['vm-02018', 'vm-02019']);
  expect(config.networks.get('default')?.hostPort?.allowFromGuests).toEqual([
    { protocol: 'tcp', port: 7000 },
  ]);
  const forwards = [...config.vms.values()].flatMap((vm) => vm.forwards.map(formatListener));
  expect(forwards).toEqual([
    '127.0.0.1:16080/tcp',
    '127.0.0.1:18080/tcp',
    'unix:/run/vm-02019.sock',
    '127.0.0.1:0/tcp',
  ]);
});
