/**
 * The host of each VM, ID.DOMAIN: an origin of its own, so that browsers keep what one VM serves from another's.
 *
 * An id that is no DNS label (RFC 1123: lower case, digits, "-" inside), or looks like what follows, has `x-` and the
 * first 40 hexadecimal digits of its SHA-256: always one label, so that one wildcard of DNS or of a certificate does.
 */
import { createHash } from 'node:crypto';

const LABEL = /^(?!x-)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const DIGITS = 40;

function labelOf(id: string): string {
  if (LABEL.test(id)) return id;
  return `x-${createHash('sha256').update(id).digest('hex').slice(0, DIGITS)}`;
}

/** Host name of a VM, lower case. */
export function hostOf(id: string, domain: string): string {
  return `${labelOf(id)}.${domain.toLowerCase()}`;
}

/** The name in a Host header, lower case, without port; undefined where it has none. */
export function nameInHost(header: string | undefined): string | undefined {
  const match = /^([a-z0-9.-]+)(?::\d{1,5})?$/i.exec(header ?? '');
  return match?.[1]?.toLowerCase();
}

/** Whether `name` can be the host of a VM. */
export function isVmHost(name: string, domain: string): boolean {
  const suffix = `.${domain.toLowerCase()}`;
  return name.endsWith(suffix) && name.length > suffix.length && !name.slice(0, -suffix.length).includes('.');
}
