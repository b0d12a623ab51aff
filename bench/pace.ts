/** How long the loads run: the same everywhere in one run, so that its figures are of one kind. */
export interface Pace {
  /** Length of a sample of bulk traffic; below 1 the loads are only shown to work */
  readonly seconds: number;
}

export const FULL: Pace = { seconds: 2 };
export const QUICK: Pace = { seconds: 1 };
/** For tests of the bench itself: the figures mean nothing */
export const SMOKE: Pace = { seconds: 0.2 };

/** A duration or number that is meant for the full pace. */
export const scaled = (full: number, { seconds }: Pace): number => Math.ceil((full * seconds) / FULL.seconds);
