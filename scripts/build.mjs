// npm run build: compiles src to dist, installing the npm packages first when they are missing.
import { ensureBuild } from './lib/build.mjs';
import { ensureDependencies } from './lib/dependencies.mjs';
import { requireNode } from './lib/node-version.mjs';

requireNode();
ensureDependencies();
ensureBuild();
