/** Reads a configuration file, YAML or JSON (which is YAML 1.2), keeping where each key stands. */
import { readFileSync } from 'node:fs';
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLParseError,
} from 'yaml';
import { TapswitchError } from '../errors.ts';
import { type Locate, type Path, quote } from './fault.ts';
import { resolveLocated, type SwitchConfig } from './resolve.ts';
import type { ConfigInput } from './schema.ts';
import type { ServiceConfig } from './service.ts';
import { type Environment, resolveService } from './service-config.ts';

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'no such file' : `cannot be read (${code})`;
    throw new TapswitchError(
      'CONFIG_UNREADABLE',
      `${oneLine(path)}: ${reason}`,
      'Check the path and its permissions.',
      error,
    );
  }
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

function place(path: string, lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset);
  return `${oneLine(path)}:${line}:${col}: `;
}

function syntaxError(path: string, text: string, lines: LineCounter, error: YAMLParseError): TapswitchError {
  const at = place(path, lines, error.pos[0]);
  if (error.code === 'DUPLICATE_KEY') {
    const key = /^"(?:[^"\\]|\\.)*"|^'[^']*'|^[^\s:]+/.exec(text.slice(error.pos[0]))?.[0] ?? 'key';
    const message = `${at}${quote(key.replace(/^["']|["']$/g, ''))} is given twice in the same mapping`;
    return new TapswitchError('CONFIG_SYNTAX', message, 'Keep one of the two, or rename one.', error);
  }
  const message = `${at}${oneLine(error.message)}`;
  return new TapswitchError('CONFIG_SYNTAX', message, 'Correct the YAML or JSON there.', error);
}

/** Keys are compared as they end up in the configuration: as text, `7` and `"7"` alike. */
function sameKey(a: unknown, b: unknown): boolean {
  return a === b || (isScalar(a) && isScalar(b) && String(a.value) === String(b.value));
}

/** Offset of the key (or list item) at `path`, or of the last one above it that the file spells out. */
function offsetOf(document: Document, path: Path): number {
  let node = document.contents as Node | null;
  let offset = node?.range?.[0] ?? 0;
  for (const key of path) {
    if (isAlias(node)) node = node.resolve(document) ?? null;
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
      if (pair === undefined) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value as Node | null;
    } else if (isSeq(node)) {
      node = node.items[key as number] as Node | null;
      offset = node?.range?.[0] ?? offset;
    } else break;
  }
  return offset;
}

/** The value the document holds. A section with nothing under it counts as not given. */
function readValue(document: Document, path: string): unknown {
  try {
    const value: unknown = document.toJS();
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value ?? {};
    return Object.fromEntries(Object.entries(value).filter(([, section]) => section !== null));
  } catch (error) {
    // aliases without an anchor, and so many that they would fill the memory
    const message = `${oneLine(path)}: ${oneLine((error as Error).message)}`;
    throw new TapswitchError('CONFIG_SYNTAX', message, 'Correct the aliases of the file.', error);
  }
}

/** A configuration file as it was read, not checked yet. */
export interface ConfigFile {
  readonly value: unknown;
  /** Where the value at a path stands, `file:line:column: ` */
  readonly locate: Locate;
  /** `file:line` of the value at a path, where the file itself gives it */
  readonly lineOf: (path: Path) => string | undefined;
}

/** Reads a configuration file, YAML or JSON. Throws CONFIG_UNREADABLE or CONFIG_SYNTAX. */
export function readConfigFile(path: string): ConfigFile {
  const text = readText(path);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: sameKey });
  const [error] = document.errors;
  if (error !== undefined) throw syntaxError(path, text, lines, error);
  const value = readValue(document, path);
  return {
    value,
    locate: (at) => place(path, lines, offsetOf(document, at)),
    lineOf: (at) =>
      holds(value, at) ? `${oneLine(path)}:${lines.linePos(offsetOf(document, at)).line}` : undefined,
  };
}

function holds(value: unknown, path: Path): boolean {
  let at = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return false;
    at = (at as Record<string | number, unknown>)[key];
  }
  return true;
}

/** A whole configuration: the switch, and the daemon around it. */
export interface DaemonConfig {
  readonly switch: SwitchConfig;
  readonly service: ServiceConfig;
}

/** Checks what a file holds. Throws as {@link loadDaemonConfig}. */
export function resolveDaemonConfig({ value, locate }: ConfigFile, environment: Environment): DaemonConfig {
  const checked = resolveLocated(value, locate);
  return { switch: checked, service: resolveService(value as ConfigInput, checked, locate, environment) };
}

/**
 * Reads and checks a configuration file, YAML or JSON, for the daemon. TAPSWITCH_SOCKET of the environment goes before
 * `api.socket`.
 * @throws TapswitchError CONFIG_UNREADABLE, CONFIG_SYNTAX, and what `resolveConfig` throws; messages start with
 * `file:line:column`
 */
export function loadDaemonConfig(path: string, environment: Environment = process.env): DaemonConfig {
  return resolveDaemonConfig(readConfigFile(path), environment);
}

/** The switch's part of a configuration file, all of which is checked. Throws as {@link loadDaemonConfig}. */
export function loadConfig(path: string): SwitchConfig {
  return loadDaemonConfig(path, {}).switch;
}
