import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const NETWORK_TESTS = 'test/**/*.net.test.ts';

export default defineConfig({
  // Tests of the running switch use the built package, as its users do
  resolve: {
    alias: {
      'tapswitch/client': fileURLToPath(new URL('dist/client/client.js', import.meta.url)),
      tapswitch: fileURLToPath(new URL('dist/index.js', import.meta.url)),
    },
  },
  test: {
    pool: 'forks',
    server: { deps: { external: [/\/dist\//] } }, // loaded by Node itself: workers and FFI as in production
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: [NETWORK_TESTS] },
      },
      {
        extends: true,
        test: {
          name: 'net',
          include: [NETWORK_TESTS],
          fileParallelism: false, // throughput and time-outs are theirs alone
          sequence: { groupOrder: 1 }, // after the unit tests
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
