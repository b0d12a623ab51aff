import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';

test('the example configuration loads', () => {
  const config = loadConfig(fileURLToPath(new URL('../../vm-config/example.yaml', import.meta.url)));
  expect([...config.vms.keys()]).toEqual(['vm-02018', 'vm-02019']);
  expect(config.networks.get('default')?.hostPort?.allowFromGuests).toEqual([
    { protocol: 'tcp', port: 7000 },
  ]);
});
