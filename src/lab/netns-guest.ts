/**
 * A guest without a virtual machine: a network namespace whose eth0 is one end of a veth, the other end standing
 * where a VM's TAP would. It vanishes with this process, and starts in milliseconds.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createNamespace, inNamespace } from '../sys/netns.ts';
import { type RouteSocket, withRouteSocket } from '../sys/rtnetlink.ts';
import type { Guest } from './guest.ts';
import { type Outcome, runIn, spawnIn } from './process.ts';

const READY_TIMEOUT_MS = 10_000;
const RUN_TIMEOUT_MS = 30_000;

/** Addresses of a guest's interface. */
export interface GuestAddresses {
  /** The kernel's choice when not given */
  readonly mac?: string;
  /** IPv4 address, dotted quad */
  readonly ip: string;
  /** Prefix length of its subnet, bits */
  readonly prefix: number;
  /** No default route when not given */
  readonly gateway?: string;
}

export interface NetnsGuestOptions extends GuestAddresses {
  readonly name: string;
  /** Namespace in which the guest's link ends; ours when not given */
  readonly hostNamespace?: string;
  /** Name of the link's end there, as a TAP would be named, e.g. `fc-vm-02018` */
  readonly interfaceName: string;
  /** Serves the pages every guest serves (default: false) */
  readonly services?: boolean;
}

/** A guest whose namespace others may enter. */
export interface NetnsGuest extends Guest {
  readonly namespace: string;
}

const SERVICES = `
  const { createServer } = require('node:http');
  const [name, address] = process.argv.slice(1);
  const pages = {
    6080: { '/': ['text/html', '<!doctype html><title>' + name + '</title><h1>' + name + '</h1><p>' + address + '</p>'] },
    8080: { '/health': ['application/json', JSON.stringify({ status: 'ok', name, address })] },
  };
  let missing = 0;
  for (const [port, content] of Object.entries(pages)) {
    missing++;
    createServer((request, response) => {
      const [type, body] = content[request.url] ?? [];
      response.writeHead(body === undefined ? 404 : 200, { 'content-type': type ?? 'text/plain' });
      response.end((body ?? 'not found') + '\\n');
    }).listen(Number(port), () => --missing === 0 && process.stdout.write('up\\n'));
  }
`;

/** Runs `work` with a route socket of the namespace at `namespace`, ours when undefined. */
export function withRoutes<T>(namespace: string | undefined, work: (routes: RouteSocket) => T): T {
  return inNamespace(namespace, () => withRouteSocket(work));
}

/** Index of an interface that must be there. */
export function indexOf(routes: RouteSocket, name: string): number {
  const link = routes.linkByName(name);
  if (link === undefined) throw new Error(`no interface ${name}`);
  return link.index;
}

/** Gives a guest's interface its addresses and brings it and the loopback up. */
export function configureGuest(
  namespace: string,
  interfaceName: string,
  { mac, ip, prefix, gateway }: GuestAddresses,
): void {
  withRoutes(namespace, (routes) => {
    const index = indexOf(routes, interfaceName);
    routes.changeLink(indexOf(routes, 'lo'), { up: true });
    if (mac !== undefined) routes.changeLink(index, { mac });
    routes.changeLink(index, { up: true });
    routes.addAddress(index, `${ip}/${prefix}`);
    if (gateway !== undefined) routes.addRoute({ destination: 'default', gateway, index });
  });
}

class VethGuest implements NetnsGuest {
  readonly name: string;
  readonly namespace: string;
  readonly #services: ChildProcess | undefined;
  readonly #unplug: () => void;
  readonly #up: Promise<void>;
  #console = '';
  #stopped: Promise<void> | undefined;

  constructor(name: string, namespace: string, services: ChildProcess | undefined, unplug: () => void) {
    this.name = name;
    this.namespace = namespace;
    this.#services = services;
    this.#unplug = unplug;
    this.#up = services === undefined ? Promise.resolve() : this.#watch(services);
    this.#up.catch(() => {}); // told to whoever awaits ready()
  }

  get pid(): number {
    return this.#services?.pid ?? process.pid;
  }

  #watch(services: ChildProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      const listen = (text: string) => {
        this.#console += text;
        if (this.#console.startsWith('up\n')) resolve();
      };
      services.stdout?.setEncoding('utf8').on('data', listen);
      services.stderr?.setEncoding('utf8').on('data', listen);
      services.on('error', reject);
      services.on('close', () => reject(new Error(`guest ${this.name} has ended: ${this.#console}`)));
    });
  }

  async ready(timeoutMs: number = READY_TIMEOUT_MS): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const give = () => reject(new Error(`guest ${this.name} is not up after ${timeoutMs} ms`));
      timer = setTimeout(give, timeoutMs);
    });
    await Promise.race([this.#up, late]).finally(() => clearTimeout(timer));
  }

  run(command: string, timeoutMs: number = RUN_TIMEOUT_MS): Promise<Outcome> {
    if (this.#stopped) return Promise.reject(new Error(`guest ${this.name} has ended`));
    return runIn(this.namespace, ['sh', '-c', command], { timeoutMs });
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const services = this.#services;
    if (services !== undefined && services.exitCode === null && services.signalCode === null) {
      const ended = once(services, 'close');
      services.kill('SIGKILL');
      await ended;
    }
    this.#unplug();
  }

  console(): string {
    return this.#console;
  }
}

/** Makes a guest and plugs its link in. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN. */
export async function startNetnsGuest(options: NetnsGuestOptions): Promise<NetnsGuest> {
  const { name, hostNamespace, interfaceName, ip, services = false } = options;
  const namespace = createNamespace();
  try {
    withRoutes(hostNamespace, (routes) => {
      routes.createVeth(interfaceName, 'eth0', namespace.path);
      routes.changeLink(indexOf(routes, interfaceName), { up: true });
    });
    configureGuest(namespace.path, 'eth0', options);
    const program = services
      ? spawnIn(namespace.path, [process.execPath, '-e', SERVICES, name, ip], {
          stdio: ['ignore', 'pipe', 'pipe'],
        })
      : undefined;
    const unplug = () => {
      // The namespace goes when its last process has been reaped, some time later: the link must be gone now.
      withRoutes(namespace.path, (routes) => {
        const link = routes.linkByName('eth0');
        if (link !== undefined) routes.deleteLink(link.index);
      });
      namespace.close();
    };
    return new VethGuest(name, namespace.path, program, unplug);
  } catch (error) {
    namespace.close();
    throw error;
  }
}
