import { fail, MANIFEST } from './project.mjs';

/** Ends the process with one clear line when this Node.js is older than `engines` asks for. */
export function requireNode() {
  const wanted = MANIFEST.engines.node.replace(/^>=/, '');
  const [major, minor = 0] = wanted.split('.').map(Number);
  const [ownMajor, ownMinor] = process.versions.node.split('.').map(Number);
  if (ownMajor > major || (ownMajor === major && ownMinor >= minor)) return;
  fail(`Node.js ${wanted} or newer is needed, this is ${process.versions.node}: see https://nodejs.org/`);
}
