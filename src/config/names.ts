/** Names of things in a configuration: what the kernel and we accept. */

const LONGEST_INTERFACE_NAME = 15; // IFNAMSIZ of linux/if.h, less the terminating zero
const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
// dev_valid_name() of net/core/dev.c refuses '/', ':' and white space; TUNSETIFF takes '%' for a pattern
const NOT_IN_INTERFACE_NAME = /[/:%\s\p{Cc}]/u;

/** Whether the kernel accepts `text` as the name of one network interface. */
export function isInterfaceName(text: string): boolean {
  const bytes = Buffer.byteLength(text);
  return (
    bytes > 0 &&
    bytes <= LONGEST_INTERFACE_NAME &&
    text !== '.' &&
    text !== '..' &&
    !NOT_IN_INTERFACE_NAME.test(text)
  );
}

export const INTERFACE_NAME_RULE =
  'An interface name has 1 to 15 bytes, without white space, "/", ":" or "%".';

/** Whether `text` can be the id of a VM or the name of a network. */
export function isId(text: string): boolean {
  return ID.test(text);
}

/** Network of a VM that names none */
export const DEFAULT_NETWORK = 'default';

export const ID_RULE = 'Use 1 to 63 letters, digits, ".", "_" and "-", a letter or digit first.';

/** Whether `text` can be the path of a network namespace. */
export function isNamespacePath(text: string): boolean {
  return text.startsWith('/') && !text.includes('\0');
}

export const NAMESPACE_PATH_RULE = 'Give an absolute path, for instance /run/netns/NAME.';
