/** What the gateway's DNS did, since its thread began. */
export interface DnsCounts {
  /** Queries of guests, all of them */
  queries: number;
  /** Answered with an error of form, or refused for what they ask */
  unacceptable: number;
  /** Answered from our own names */
  local: number;
  /** Passed on to an upstream server */
  forwarded: number;
  /** Answered with what an upstream server said */
  answered: number;
  /** Given up: no upstream server had an answer in time */
  failed: number;
  /** Not passed on: the VM had too many on their way */
  refusedForVm: number;
  /** Not passed on: all VMs together had too many on their way */
  refusedForAll: number;
  /** Times an upstream server was silent for too long */
  timeouts: number;
  /** Messages from an upstream server's address that were no answer to our question */
  ignored: number;
  /** Answers too long for the guest's UDP */
  cut: number;
  /** TCP connections refused: the VM, or all VMs together, had too many */
  connectionsRefused: number;
}

export function noCounts(): DnsCounts {
  return {
    queries: 0,
    unacceptable: 0,
    local: 0,
    forwarded: 0,
    answered: 0,
    failed: 0,
    refusedForVm: 0,
    refusedForAll: 0,
    timeouts: 0,
    ignored: 0,
    cut: 0,
    connectionsRefused: 0,
  };
}
