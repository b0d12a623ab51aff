/**
 * News of the interfaces the switch uses, per network namespace: one monitor each, for as long as somebody in that
 * namespace wants to know.
 */
import { type Link, LinkMonitor } from '../sys/rtnetlink.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Engine } from './engine.ts';
import { within, withLinks } from './namespace.ts';
import { explaining } from './system-errors.ts';

/** Who wants to know of an interface: a port. */
export interface LinkListener {
  /** Index of the interface in use, undefined while there is none: it may be renamed, and is then as good as gone */
  readonly index: number | undefined;
  /** Told of the interface that appeared or changed, or `undefined` when the one of that name went */
  hear(link: Link | undefined): void;
}

interface NamespaceWatch {
  readonly monitor: LinkMonitor;
  readonly listeners: Map<string, LinkListener>;
  /** Ends the watching; resolves once it has begun */
  readonly stop: Promise<() => Promise<void>>;
}

/** Tells whoever had the interface under another name that it is gone. */
function hearRenamed(link: Link, named: LinkListener | undefined, listeners: Iterable<LinkListener>): void {
  for (const listener of listeners) {
    if (listener !== named && listener.index === link.index) listener.hear(undefined);
  }
}

/** No interface's name */
const ANY_INTERFACE = '';

export class LinkWatch {
  readonly #engine: Engine;
  readonly #log: Logger;
  readonly #seen: (name: string, present: boolean) => void;
  readonly #watches = new Map<string | undefined, NamespaceWatch>();

  /** @param seen told of every interface of our own namespace that appears, changes or goes, while that is watched */
  constructor(engine: Engine, log: Logger, seen: (name: string, present: boolean) => void) {
    this.#engine = engine;
    this.#log = log;
    this.#seen = seen;
  }

  /** Begins to tell a listener of the interface called `name` in a namespace. */
  async add(namespace: string | undefined, name: string, listener: LinkListener): Promise<void> {
    let watch = this.#watches.get(namespace);
    if (watch === undefined) {
      const monitor = within(namespace, () => explaining('CAP_NET_ADMIN', () => new LinkMonitor()));
      const stop = this.#engine.watch(monitor.fd, () => this.#hear(namespace, started));
      const started: NamespaceWatch = { monitor, listeners: new Map(), stop };
      this.#watches.set(namespace, started);
      watch = started;
    }
    watch.listeners.set(name, listener);
    await watch.stop;
  }

  /** Keeps the news of our own namespace coming, whether or not a port is in it. */
  addOwn(): Promise<void> {
    return this.add(undefined, ANY_INTERFACE, { index: undefined, hear: () => {} });
  }

  removeOwn(): Promise<void> {
    return this.remove(undefined, ANY_INTERFACE);
  }

  async remove(namespace: string | undefined, name: string): Promise<void> {
    const watch = this.#watches.get(namespace);
    if (watch === undefined || !watch.listeners.delete(name) || watch.listeners.size > 0) return;
    this.#watches.delete(namespace);
    await (await watch.stop)();
    watch.monitor.close();
  }

  /** News that cannot be read are no reason to end: what they are about is looked at again with the next. */
  #hear(namespace: string | undefined, watch: NamespaceWatch): void {
    try {
      this.#read(namespace, watch);
    } catch (error) {
      this.#log.error({ err: error, namespace }, 'news of interfaces could not be read');
    }
  }

  #read(namespace: string | undefined, { monitor, listeners }: NamespaceWatch): void {
    if (this.#watches.get(namespace)?.monitor !== monitor) return;
    for (const event of monitor.read()) {
      if (event.type === 'overrun') {
        this.#listAgain(namespace, listeners);
        return;
      }
      const { link, type } = event;
      if (namespace === undefined) this.#seen(link.name, type !== 'removed');
      const named = listeners.get(link.name);
      named?.hear(type === 'removed' ? undefined : link);
      if (named?.index !== link.index) hearRenamed(link, named, listeners.values());
    }
  }

  /** News were lost: what is there now says all that matters. */
  #listAgain(namespace: string | undefined, listeners: Map<string, LinkListener>): void {
    const links = withLinks(namespace, (socket) => socket.links());
    if (namespace === undefined) for (const { name } of links) this.#seen(name, true);
    for (const [name, listener] of listeners) listener.hear(links.find((link) => link.name === name));
  }
}
