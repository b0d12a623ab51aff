/** What the API may ask of the daemon. `Daemon` (daemon.ts) is it; tests of the API have others. */
import type { Duplex } from 'node:stream';
import type { Capture, CaptureOptions } from '../index.ts';
import type { Explanation } from '../resources/explanation.ts';
import type {
  Diagnosis,
  Drop,
  Event,
  FdbEntry,
  Flow,
  Forward,
  ForwardRequest,
  Generation,
  Health,
  Lease,
  Network,
  Reached,
  Reloaded,
  Vm,
  VmRequest,
} from '../resources/resources.ts';

export interface DialOptions {
  /**
   * How long a VM that does not answer yet is waited for, `ms`; where absent, as forwards do (30 s) until the port has
   * answered once since the VM's carrier came, and one second from then on
   */
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
}

/** Events as they happen, the last of them kept for those who come later. */
export interface EventSource {
  /** Name of this run of the daemon; sequence numbers of another run mean nothing */
  readonly run: string;
  /** Sequence number of the newest event, 0 before the first */
  readonly last: number;
  /** Kept events after `sequence`, oldest first; those before are gone if the first is not `sequence` + 1 */
  since(sequence: number): readonly Event[];
  /** Calls `heard` with each event from now on, until the returned function is called. */
  subscribe(heard: (event: Event) => void): () => void;
}

/** What is captured; see CaptureOptions of the library. */
export type CaptureRequest = Omit<CaptureOptions, 'mayCome'>;

export interface ControlPlane {
  readonly events: EventSource;
  networks(): Network[];
  vms(): Vm[];
  /** Throws VM_UNKNOWN, as do all that name a VM. */
  vm(id: string): Vm;
  /** Makes the VM what `request` says, durably; the same request again changes nothing. */
  putVm(id: string, request: VmRequest): Promise<{ readonly vm: Vm; readonly created: boolean }>;
  deleteVm(id: string): Promise<void>;
  addForward(id: string, request: ForwardRequest): Promise<Forward[]>;
  removeForward(id: string, spec: string, options: { readonly reset: boolean }): Promise<void>;
  flows(id: string): Promise<Flow[]>;
  /** Begins a capture, of VMs whose TAP is yet to come, too. Throws FILTER_INVALID, CAPTURE_LIMIT. */
  capture(request: CaptureRequest): Promise<Capture>;
  fdb(): FdbEntry[];
  drops(): Drop[];
  leases(): Lease[];
  /** The VM was restored from a snapshot: its flows end on both sides, forwards stay. */
  newGeneration(id: string): Promise<Generation>;
  /**
   * Opens a connection to a TCP port of the guest, from the gateway.
   * @throws TapswitchError VM_UNKNOWN; TAP_DOWN, GUEST_SILENT, PORT_REFUSED for a VM that had answered at this port, or
   * where `waitMs` is 0; VM_NOT_READY with that hop where it was waited for in vain; FLOW_LIMIT; SWITCH_CLOSED
   */
  dial(id: string, port: number, options?: DialOptions): Promise<Duplex>;
  /** Resolves once a TCP port of the guest answers. Throws as {@link dial}. */
  wait(id: string, port: number, options: DialOptions): Promise<Reached>;
  /** Why the VM, or a TCP port of it, does not answer; takes under three seconds and changes nothing. */
  diagnose(id: string, port: number | undefined): Promise<Diagnosis>;
  /** What the switch would do with a flow; changes nothing. Throws VM_UNKNOWN, EXPLAIN_INVALID. */
  explain(flow: string): Promise<Explanation>;
  health(): Health;
  /** Reads the configuration file again and applies what changed. Throws as loading it does; nothing is changed then. */
  reload(): Promise<Reloaded>;
}
