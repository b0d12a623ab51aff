/** Cookies on their way through: ours stay here, those of guests stay below their own prefix. */
import type { Grant } from './links.ts';
import { LINK_NAME } from './target.ts';

function nameOf(pair: string): string {
  return (pair.split('=', 1)[0] as string).trim();
}

/** A link for certain ports has a cookie of its own, so that a second link does not end the first. */
export function cookieName({ ports }: Grant): string {
  return ports === undefined ? LINK_NAME : `${LINK_NAME}-${ports.join('-')}`;
}

function isOurs(name: string): boolean {
  return name === LINK_NAME || name.startsWith(`${LINK_NAME}-`);
}

/** Every value that a Cookie header has for cookies of links: there may be several, and pages may set some beside them. */
export function linkCookies(header: string | undefined): string[] {
  if (header === undefined) return [];
  return header
    .split(';')
    .filter((pair) => isOurs(nameOf(pair)))
    .map((pair) => pair.slice(pair.indexOf('=') + 1).trim());
}

/** A Cookie header without ours; undefined where nothing is left. */
export function guestCookies(header: string): string | undefined {
  const kept = header
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '' && !isOurs(nameOf(pair)));
  return kept.length === 0 ? undefined : kept.join('; ');
}

/** A path of the guest's as the browser has to ask for it. */
export function belowPrefix(path: string, prefix: string): string {
  const known = path === prefix || path.startsWith(`${prefix}/`) || path.startsWith(`${prefix}?`);
  return known ? path : `${prefix}${path}`;
}

/**
 * A Set-Cookie of the guest's, for this host alone and below the prefix; undefined for one that would be ours. Without
 * a Path the browser takes the request's own directory, which is below the prefix already.
 */
export function guestSetCookie(value: string, prefix: string): string | undefined {
  const [pair = '', ...attributes] = value.split(';');
  if (isOurs(nameOf(pair))) return undefined;
  const kept = attributes.flatMap((attribute) => {
    const name = nameOf(attribute).toLowerCase();
    if (name === 'domain') return [];
    if (name !== 'path') return [attribute];
    const path = attribute.slice(attribute.indexOf('=') + 1).trim();
    return path.startsWith('/') ? [` Path=${belowPrefix(path, prefix)}`] : [];
  });
  return [pair, ...kept].join(';');
}
