/** `npm run bench:micro`: each of the micro benches in nanoseconds and bytes of heap. */
import { bench, group, run } from 'mitata';
import { microBenches } from './micro-benches.ts';

for (const [name, benches] of Object.entries(microBenches())) {
  group(name, () => {
    for (const [what, once] of Object.entries(benches)) bench(what, once);
  });
}

await run({ format: process.argv.includes('--json') ? 'json' : 'mitata' });
