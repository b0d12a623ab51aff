/**
 * The ways into a VM, as handlers of an HTTP server: the listener of the guest access has them behind its checks, and
 * the API's unix socket as they are.
 *
 * A request that fails before the guest has answered gets a problem that names the hop, an upgrade too; a WebSocket
 * that is open ends with a close code.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ControlPlane } from '../../control/contract.ts';
import type { Event } from '../../resources/resources.ts';
import { answerProblem, refuseUpgrade } from './answer.ts';
import { closeWith, FAILED, GOING_AWAY } from './closing.ts';
import { Connections } from './connections.ts';
import { codeOf, guestProblem, invalid, shuttingDown } from './failure.ts';
import { MAX_MESSAGE, PING_MS } from './flow.ts';
import { waitOf } from './headers.ts';
import { HttpProxy } from './http-proxy.ts';
import { OpenSockets, type Slot } from './open-sockets.ts';
import { type Target, targetOf } from './target.ts';
import { IDLE_MS, joinTcp, type TcpSocketTimes, tcpSubprotocol } from './tcp-socket.ts';
import { checkUpgrade, joinWebSockets, openGuestSocket } from './ws-proxy.ts';

export interface GuestRoutes {
  /** Answers a request of a path of ours; false where it is none, and nothing was done */
  request(request: IncomingMessage, response: ServerResponse): boolean;
  /** The same for an upgrade; `socket` and `head` are as the server's event has them */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  /** Ends every WebSocket with 1001, and what is idle. Resolves once browsers have answered, after 2 s at most. */
  close(): Promise<void>;
}

export interface GuestRoutesOptions {
  readonly plane: ControlPlane;
  readonly log: Logger;
  /** Other times than the documented ones, for tests */
  readonly times?: Partial<TcpSocketTimes>;
}

/** A handshake that has begun */
interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly target: Target;
}

/** Events after which nothing of the VM's connections can be alive */
const GONE: Partial<Record<Event['type'], string>> = {
  'vm-removed': 'the VM was removed',
  'vm-down': 'the VM went down',
  'tap-absent': "the VM's TAP went away",
};

/**
 * Destroys `socket` when the browser ends it while nobody reads from it; data stays where it is.
 * Returns how to stop, after which it flows as before.
 */
function watchForEnd(socket: Duplex): () => Promise<void> {
  const look = () => {
    if (socket.readableLength === 0) socket.read(); // the end is only told to who reads
  };
  const end = () => socket.destroy();
  socket.on('readable', look).on('end', end);
  return async () => {
    socket.off('readable', look).off('end', end);
    await setImmediate(); // streams take a turn to notice
  };
}

class Routes implements GuestRoutes {
  readonly #plane: ControlPlane;
  readonly #log: Logger;
  readonly #times: TcpSocketTimes;
  readonly #connections: Connections;
  readonly #proxy: HttpProxy;
  readonly #sockets = new OpenSockets();
  /** Subprotocol the guest has chosen, for the handshake with the browser */
  readonly #chosen = new WeakMap<IncomingMessage, string>();
  readonly #server: WebSocketServer;
  readonly #unsubscribe: () => void;

  constructor({ plane, log, times }: GuestRoutesOptions) {
    this.#plane = plane;
    this.#log = log;
    this.#times = { pingMs: PING_MS, idleMs: IDLE_MS, ...times };
    this.#connections = new Connections(plane);
    this.#proxy = new HttpProxy(this.#connections);
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE,
      handleProtocols: (offered, request) => this.#chosen.get(request) ?? tcpSubprotocol(offered),
    });
    this.#unsubscribe = plane.events.subscribe((event) => this.#heard(event));
  }

  #heard({ type, vm }: Event): void {
    const reason = GONE[type];
    if (reason === undefined || vm === undefined) return;
    this.#connections.dropIdle(vm);
    this.#sockets.closeVm(vm, { code: FAILED, reason });
  }

  request(request: IncomingMessage, response: ServerResponse): boolean {
    try {
      const target = targetOf(request.url as string);
      if (target === undefined || target.kind === 'vm') return false;
      this.#answer(request, response, target).catch((error) => {
        answerProblem(response, this.#problem(error));
      });
    } catch (error) {
      answerProblem(response, this.#problem(error));
    }
    return true;
  }

  async #answer(request: IncomingMessage, response: ServerResponse, target: Target): Promise<void> {
    if (target.kind === 'http') {
      await this.#proxy.handle(request, response, target);
    } else {
      throw invalid('This path is for WebSockets', 'Ask for an upgrade.');
    }
  }

  #problem(error: unknown) {
    if (codeOf(error) === undefined) this.#log.error({ err: error }, 'bug in the way into VMs');
    return guestProblem(error);
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    try {
      const target = targetOf(request.url as string);
      if (target === undefined || target.kind === 'vm') return false;
      checkUpgrade(request);
      void this.#open({ request, socket, head, target });
    } catch (error) {
      socket.on('error', () => {});
      refuseUpgrade(socket, this.#problem(error));
    }
    return true;
  }

  async #open(upgrade: Upgrade): Promise<void> {
    const { socket, target } = upgrade;
    const abort = new AbortController();
    const slot: Slot = {
      vm: target.id,
      close: ({ code }) => {
        // A VM that goes down while it is waited for may come back: the dial decides.
        if (code === GOING_AWAY) abort.abort(shuttingDown());
      },
      terminate: () => socket.destroy(),
    };
    socket.on('error', () => {}); // its close follows
    socket.once('close', () => {
      this.#sockets.leave(slot);
      abort.abort();
    });
    let stream: Duplex | undefined;
    try {
      this.#sockets.enter(slot);
      stream = await this.#dial(upgrade, abort.signal);
      await this.#join(upgrade, stream, slot, abort.signal);
    } catch (error) {
      stream?.destroy();
      this.#sockets.leave(slot);
      const { reason } = abort.signal;
      refuseUpgrade(socket, this.#problem(codeOf(reason) === undefined ? error : reason));
    }
  }

  /** Opens the connection into the VM, and gives up when the browser does. */
  async #dial({ request, socket, target }: Upgrade, signal: AbortSignal): Promise<Duplex> {
    const waitMs = waitOf(request);
    const stopWatching = watchForEnd(socket);
    try {
      const options = { signal, ...(waitMs !== undefined && { waitMs }) };
      const stream = await this.#plane.dial(target.id, target.port, options);
      return stream.on('error', () => {}); // whoever has it at its close asks what it was
    } finally {
      await stopWatching();
    }
  }

  async #join(upgrade: Upgrade, stream: Duplex, slot: Slot, signal: AbortSignal): Promise<void> {
    const { request, socket, head, target } = upgrade;
    let guest: WebSocket | undefined;
    if (target.kind === 'http') {
      guest = await openGuestSocket(stream, request, target, signal);
      this.#chosen.set(request, guest.protocol);
    }
    signal.throwIfAborted();
    let opened = false;
    this.#server.handleUpgrade(request, socket, head, (browser: WebSocket) => {
      opened = true;
      slot.close = (closing) => closeWith(browser, closing);
      slot.terminate = () => browser.terminate();
      if (guest === undefined) joinTcp(browser, stream, this.#times);
      else joinWebSockets(browser, guest, stream, this.#times.pingMs);
    });
    if (!opened) stream.destroy(); // the browser has gone
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    this.#connections.dropIdle();
    await this.#sockets.close();
  }
}

/** Each of them may be handed on by itself. */
export function guestRoutes(options: GuestRoutesOptions): GuestRoutes {
  const routes = new Routes(options);
  return {
    request: (request, response) => routes.request(request, response),
    upgrade: (request, socket, head) => routes.upgrade(request, socket, head),
    close: () => routes.close(),
  };
}
