/** News of network interfaces: what appeared, changed or went, as the kernel multicasts it (RTNLGRP_LINK). */
import { type Link, parseLink, RTM_DELLINK, RTM_NEWLINK } from './link.ts';
import { NETLINK_ROUTE, NetlinkSocket } from './netlink.ts';

const RTMGRP_LINK = 1;

/**
 * `new` also tells of a change; `removed` of an interface deleted or moved to another namespace. After
 * `overrun` news were lost: list the links again.
 */
export type LinkEvent =
  | { readonly type: 'new' | 'removed'; readonly link: Link }
  | { readonly type: 'overrun' };

const EVENT_TYPES: Readonly<Record<number, 'new' | 'removed'>> = {
  [RTM_NEWLINK]: 'new',
  [RTM_DELLINK]: 'removed',
};

/** Hears of the links of the network namespace that the thread was in when it was made. */
export class LinkMonitor {
  readonly #socket = new NetlinkSocket(NETLINK_ROUTE, RTMGRP_LINK);

  /** Readable, for epoll, when there is news */
  get fd(): number {
    return this.#socket.fd;
  }

  /** The news so far, oldest first; never waits. */
  read(): LinkEvent[] {
    const events: LinkEvent[] = [];
    for (;;) {
      const received = this.#socket.receive('read link events');
      if (received === 'empty') return events;
      if (received === 'overrun') {
        events.push({ type: 'overrun' });
        continue;
      }
      for (const message of received) {
        const type = EVENT_TYPES[message.type];
        const link = type && parseLink(message);
        if (link) events.push({ type, link });
      }
    }
  }

  close(): void {
    this.#socket.close();
  }
}
