/** Takes samples of several rigs in turn, so that what else the machine does falls on all of them alike. */
import type { Row } from './l2.ts';
import type { Load, Sample } from './loads.ts';
import { cpuSeconds } from './processes.ts';
import type { Rig, RigName } from './rig.ts';
import { median, rounded, spread } from './statistics.ts';

/** Share of its veth figure that the bridge must reach over the TAPs: below it the TAPs' holder is what is measured. */
const HOLDER_MINIMUM = 0.6;

export type Rigs = ReadonlyMap<RigName, Rig>;
export type Progress = (message: string) => void;

interface TimedSample extends Sample {
  /** Processor time of the process that moves the frames, seconds; none where the kernel does */
  readonly cpu: number | undefined;
}

type Series = ReadonlyMap<RigName, readonly TimedSample[]>;

/** One line of the results. */
export interface Result {
  readonly name: string;
  readonly unit: string;
  /** Median of the samples */
  readonly value: number;
  /** What it is compared with, measured in the same rounds */
  readonly reference: RigName;
  readonly referenceValue: number;
  /** `value / referenceValue` */
  readonly ratio: number;
  readonly samples: number;
  /** Range of the samples relative to their median */
  readonly spread: number;
  /** The row says nothing, for `reason` */
  readonly void?: true;
  readonly reason?: string;
  /** Each rig of the row, medians: its figure, further ones of the same samples, processor seconds per sample */
  readonly rigs: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

async function timed(load: Load, rig: Rig): Promise<TimedSample> {
  const before = rig.pid === undefined ? undefined : cpuSeconds(rig.pid);
  const sample = await load.run(rig);
  const cpu = rig.pid === undefined ? undefined : cpuSeconds(rig.pid) - before!;
  return { ...sample, cpu };
}

function summary(samples: readonly TimedSample[]): Record<string, number> {
  const figures: Record<string, number> = { value: rounded(median(samples.map(({ value }) => value))) };
  for (const name of Object.keys(samples[0]!.detail)) {
    figures[name] = rounded(median(samples.map(({ detail }) => detail[name]!)));
  }
  if (samples[0]!.cpu !== undefined) figures.cpuSeconds = rounded(median(samples.map(({ cpu }) => cpu!)));
  figures.spread = rounded(spread(samples.map(({ value }) => value)));
  return figures;
}

export class Measurement {
  readonly #rigs: Rigs;
  readonly #samples: number;
  readonly #progress: Progress;
  /** What the bridge reached over the TAPs relative to veths, by load */
  readonly #holderShares = new Map<string, number>();

  constructor(rigs: Rigs, samples: number, progress: Progress) {
    this.#rigs = rigs;
    this.#samples = samples;
    this.#progress = progress;
  }

  /** Measures a row: one result for each of its subjects, all sampled in the same rounds. */
  async row({ name, load, subjects, reference, beside, holderLoad }: Row): Promise<Result[]> {
    const rigNames = [...subjects.map(([, rig]) => rig), reference, ...beside];
    const series = await this.#sample(name, load, rigNames);
    const values = (rig: RigName) => series.get(rig)!.map((sample) => sample.value);
    const referenceValue = median(values(reference));
    const share = holderLoad === undefined ? 1 : await this.#holderShare(holderLoad);
    const reason = `the bridge reaches only ${rounded(share)} of its veth figure over these TAPs: their holder is the bottleneck`;
    const rigs = Object.fromEntries([...series].map(([rig, samples]) => [rig, summary(samples)]));
    return subjects.map(([suffix, subject]) => ({
      name: `${name}${suffix}`,
      unit: load.unit,
      value: rounded(median(values(subject))),
      reference,
      referenceValue: rounded(referenceValue),
      ratio: rounded(median(values(subject)) / referenceValue),
      samples: this.#samples,
      spread: rounded(spread(values(subject))),
      ...(share < HOLDER_MINIMUM ? { void: true, reason } : {}),
      rigs,
    }));
  }

  async #sample(name: string, load: Load, rigNames: readonly RigName[]): Promise<Series> {
    const series = new Map<RigName, TimedSample[]>(rigNames.map((rig) => [rig, []]));
    for (let round = 0; round <= this.#samples; round++) {
      for (const rigName of rigNames) {
        const sample = await timed(load, this.#rigs.get(rigName)!);
        // The first round finds code not yet compiled and caches cold.
        if (round > 0) series.get(rigName)!.push(sample);
        this.#progress(`${name} ${round}/${this.#samples} ${rigName}: ${rounded(sample.value)} ${load.unit}`);
      }
    }
    this.#noteHolderShare(load, series);
    return series;
  }

  #noteHolderShare(load: Load, series: Series): void {
    const overTaps = series.get('bridge-tap');
    const overVeths = series.get('bridge');
    if (overTaps === undefined || overVeths === undefined) return;
    const middle = (samples: readonly TimedSample[]) => median(samples.map(({ value }) => value));
    this.#holderShares.set(load.id, middle(overTaps) / middle(overVeths));
  }

  async #holderShare(load: Load): Promise<number> {
    if (!this.#holderShares.has(load.id)) await this.#sample('TAP holder', load, ['bridge-tap', 'bridge']);
    return this.#holderShares.get(load.id)!;
  }
}
