// Network namespaces, TAPs and packet sockets need privileges. Root has them; anyone else has them inside a user
// namespace, where the kernel allows that.
import { readFileSync } from 'node:fs';
import { capture } from './run.mjs';

const OWN_NAMESPACES = ['unshare', '--user', '--map-root-user', '--net', '--mount'];

function works([program, ...args]) {
  return capture(program, [...args, 'true']).status === 0;
}

/** Kernel settings that forbid user namespaces: the file, its forbidding value, and its name. */
const SWITCHES = [
  { file: '/proc/sys/user/max_user_namespaces', forbids: '0', setting: 'user.max_user_namespaces' },
  {
    file: '/proc/sys/kernel/unprivileged_userns_clone',
    forbids: '0',
    setting: 'kernel.unprivileged_userns_clone',
  },
  {
    file: '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
    forbids: '1',
    setting: 'kernel.apparmor_restrict_unprivileged_userns',
  },
];

function whyForbidden() {
  for (const { file, forbids, setting } of SWITCHES) {
    try {
      if (readFileSync(file, 'utf8').trim() === forbids) return `sysctl ${setting} is ${forbids}`;
    } catch {} // this kernel has no such setting
  }
  return 'the kernel refuses them here';
}

/**
 * How to run a program that needs network privileges: put `prefix` in front of it. It is empty for root, and enters
 * a user, network and mount namespace otherwise. Without `prefix`, `missing` says what stands in the way.
 */
export function ensurePrivileges() {
  if (process.geteuid() === 0 && works(['unshare', '--net', '--mount'])) return { prefix: [] };
  if (works(OWN_NAMESPACES)) return { prefix: OWN_NAMESPACES };
  return { missing: `root or user namespaces (${whyForbidden()})` };
}
