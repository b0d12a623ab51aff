/** One line of the demo: what was tried, whether it held, and its figure. */
export interface DemoLine {
  readonly name: string;
  readonly ok: boolean;
  /** What was seen, for people */
  readonly seen: string;
  /** The figure alone, for programs; absent where there is none */
  readonly value?: number;
  readonly unit?: string;
}
