/** The packet rings that the captures of a datapath thread look at: mapped, and watched, as long as there is such a capture. */
import type { SnifferBinding } from '../capture/tap.ts';
import type { Sockets } from '../gateway/sockets.ts';
import { EPOLLIN } from '../sys/epoll.ts';
import { PacketRing } from '../sys/packet-ring.ts';

interface Watched {
  readonly ring: PacketRing;
  readonly token: number;
}

export class RingWatch {
  readonly #sockets: Sockets;
  readonly #ready: (ring: PacketRing, port: number) => void;
  /** By descriptor */
  readonly #watched = new Map<number, Watched>();

  /** @param ready told of a ring that has frames */
  constructor(sockets: Sockets, ready: (ring: PacketRing, port: number) => void) {
    this.#sockets = sockets;
    this.#ready = ready;
  }

  /** Watches these, and no others. One that cannot be mapped or watched is left out: its frames are lost, and counted. */
  follow(sniffers: readonly SnifferBinding[]): void {
    const wanted = new Map(sniffers.map((sniffer) => [sniffer.fd, sniffer.port]));
    for (const [fd, { ring, token }] of this.#watched) {
      if (wanted.delete(fd)) continue;
      this.#watched.delete(fd);
      this.#sockets.unwatch(token);
      ring.release();
    }
    for (const [fd, port] of wanted) {
      const ring = PacketRing.map(fd);
      if (ring === undefined) continue;
      const token = this.#sockets.watch(fd, EPOLLIN, { ready: () => this.#ready(ring, port) });
      if (token >= 0) this.#watched.set(fd, { ring, token });
      else ring.release();
    }
  }
}
