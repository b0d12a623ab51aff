/** SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once. */
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const STATUS: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143 };

/** Resolves with the first signal that asks the process to end. */
export function endSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of SIGNALS) {
      process.once(signal, () => {
        for (const again of SIGNALS) process.once(again, () => process.exit(STATUS[again]));
        resolve(signal);
      });
    }
  });
}
