/**
 * News of the interfaces the switch uses, per network namespace: one monitor each, for as long as somebody in that
 * namespace wants to know.
 */
import { type Link, LinkMonitor } from '../sys/rtnetlink.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Engine } from './engine.ts';
import { within, withLinks } from './namespace.ts';
import { explaining } from './system-errors.ts';

/** Called with an interface that appeared or changed, or with `undefined` when the one of that name went. */
export type LinkListener = (link: Link | undefined) => void;

interface Subscription {
  readonly listener: LinkListener;
  /** Index of the interface in use, undefined while there is none: it may be renamed, and is then as good as gone */
  readonly index: () => number | undefined;
}

interface NamespaceWatch {
  readonly monitor: LinkMonitor;
  readonly listeners: Map<string, Subscription>;
  /** Ends the watching; resolves once it has begun */
  readonly stop: Promise<() => Promise<void>>;
}

export class LinkWatch {
  readonly #engine: Engine;
  readonly #log: Logger;
  readonly #watches = new Map<string | undefined, NamespaceWatch>();

  constructor(engine: Engine, log: Logger) {
    this.#engine = engine;
    this.#log = log;
  }

  /** Begins to tell a listener of the interface called `name` in a namespace. */
  async add(namespace: string | undefined, name: string, subscription: Subscription): Promise<void> {
    let watch = this.#watches.get(namespace);
    if (watch === undefined) {
      const monitor = within(namespace, () => explaining('CAP_NET_ADMIN', () => new LinkMonitor()));
      const stop = this.#engine.watch(monitor.fd, () => this.#hear(namespace, started));
      const started: NamespaceWatch = { monitor, listeners: new Map(), stop };
      this.#watches.set(namespace, started);
      watch = started;
    }
    watch.listeners.set(name, subscription);
    await watch.stop;
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
      for (const [name, { listener, index }] of listeners) {
        if (link.name === name) listener(type === 'removed' ? undefined : link);
        else if (link.index === index()) listener(undefined);
      }
    }
  }

  /** News were lost: what is there now says all that matters. */
  #listAgain(namespace: string | undefined, listeners: Map<string, Subscription>): void {
    const links = withLinks(namespace, (socket) => socket.links());
    for (const [name, { listener }] of listeners) listener(links.find((link) => link.name === name));
  }
}
