/** Takes samples of several rigs in turn, so that what else the machine does falls on all of them alike. */
import type { Load, Sample } from './loads.ts';
import { cpuSeconds } from './processes.ts';
import type { Rig, RigName } from './rig.ts';
import type { Holder, Row } from './row.ts';
import { median, rounded, spread } from './statistics.ts';

/** Share of its veth figure that the bridge must reach over the TAPs: below it the TAPs' holder is what is measured. */
const HOLDER_MINIMUM = 0.6;

/** Peers are sampled when the round's number is no multiple of this: in every second, and not in the first */
const PEER_ROUNDS = 2;

export type Rigs = ReadonlyMap<RigName, Rig>;
export type Progress = (message: string) => void;

interface TimedSample extends Sample {
  /** Processor time of the process that moves the frames, seconds; none where the kernel does */
  readonly cpu: number | undefined;
}

type SampledRow = Pick<Row, 'name' | 'load' | 'subjects' | 'reference' | 'beside' | 'peers'>;
type Series = ReadonlyMap<RigName, readonly TimedSample[]>;

/** One line of the results. */
export interface Result {
  readonly name: string;
  readonly unit: string;
  /** Median of the samples */
  readonly value: number;
  /** What it is compared with, measured in the same rounds; none for a figure that stands for itself */
  readonly reference?: RigName;
  readonly referenceValue?: number;
  /** `value / referenceValue` */
  readonly ratio?: number;
  readonly samples: number;
  /** Range of the samples relative to their median */
  readonly spread: number;
  /** The row says nothing, for `reason` */
  readonly void?: true;
  readonly reason?: string;
  /**
   * Each rig of the row, medians: its figure, its ratio to the reference, further figures of the same samples,
   * processor seconds per sample
   */
  readonly rigs: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

async function timed(load: Load, rig: Rig): Promise<TimedSample> {
  const before = rig.pid === undefined ? undefined : cpuSeconds(rig.pid);
  const sample = await load.run(rig);
  const cpu = rig.pid === undefined ? undefined : cpuSeconds(rig.pid) - before!;
  return { ...sample, cpu };
}

const middle = (samples: readonly Sample[]): number => median(samples.map(({ value }) => value));

function summary(
  samples: readonly TimedSample[],
  referenceValue: number | undefined,
): Record<string, number> {
  const value = middle(samples);
  const figures: Record<string, number> = { value: rounded(value) };
  if (referenceValue !== undefined) figures.ratio = rounded(value / referenceValue);
  for (const name of Object.keys(samples[0]!.detail)) {
    figures[name] = rounded(median(samples.map(({ detail }) => detail[name]!)));
  }
  if (samples[0]!.cpu !== undefined) figures.cpuSeconds = rounded(median(samples.map(({ cpu }) => cpu!)));
  figures.spread = rounded(spread(samples.map(({ value }) => value)));
  return figures;
}

function compared(value: number, reference: RigName | undefined, referenceValue: number | undefined) {
  if (reference === undefined || referenceValue === undefined) return {};
  return { reference, referenceValue: rounded(referenceValue), ratio: rounded(value / referenceValue) };
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
  async row(row: Row): Promise<Result[]> {
    const { name, load, subjects, reference, holder } = row;
    const series = await this.#sample(row);
    const referenceValue = reference === undefined ? undefined : middle(series.get(reference)!);
    const share = holder === undefined ? 1 : await this.#holderShare(row, holder, series);
    const reason = `the bridge reaches only ${rounded(share)} of its veth figure over these TAPs: their holder is the bottleneck`;
    const taken = [...series].filter(([, samples]) => samples.length > 0);
    const rigs = Object.fromEntries(taken.map(([rig, samples]) => [rig, summary(samples, referenceValue)]));
    return subjects.map(([suffix, subject]) => {
      const samples = series.get(subject)!;
      return {
        name: `${name}${suffix}`,
        unit: load.unit,
        value: rounded(middle(samples)),
        ...compared(middle(samples), reference, referenceValue),
        samples: this.#samples,
        spread: rounded(spread(samples.map(({ value }) => value))),
        ...(share < HOLDER_MINIMUM ? { void: true, reason } : {}),
        rigs,
      };
    });
  }

  async #sample({ name, load, subjects, reference, beside, peers = [] }: SampledRow): Promise<Series> {
    const needed = [...subjects.map(([, rig]) => rig), ...(reference ? [reference] : []), ...beside];
    const present = peers.filter((rig) => this.#rigs.has(rig));
    const series = new Map<RigName, TimedSample[]>([...needed, ...present].map((rig) => [rig, []]));
    for (let round = 0; round <= this.#samples; round++) {
      const label = `${name} ${round}/${this.#samples}`;
      for (const rig of needed) {
        const sample = await this.#one(label, load, rig);
        // The first round finds code not yet compiled and caches cold.
        if (round > 0) series.get(rig)!.push(sample);
      }
      if (round % PEER_ROUNDS === 0) continue;
      for (const rig of present) series.get(rig)!.push(...(await this.#tryOne(label, load, rig)));
    }
    return series;
  }

  async #one(label: string, load: Load, rigName: RigName): Promise<TimedSample> {
    const sample = await timed(load, this.#rigs.get(rigName)!);
    this.#progress(`${label} ${rigName}: ${rounded(sample.value)} ${load.unit}`);
    return sample;
  }

  /** A sample of somebody else's program, none when that fails: the row is about ours. */
  async #tryOne(label: string, load: Load, rigName: RigName): Promise<TimedSample[]> {
    try {
      return [await this.#one(label, load, rigName)];
    } catch (error) {
      this.#progress(`${label} ${rigName} failed: ${(error as Error).message}`);
      return [];
    }
  }

  async #holderShare(row: Row, { load, taps, veths }: Holder, series: Series): Promise<number> {
    const key = `${load.id} ${taps}`;
    const known = (from: Series) => from.has(taps) && from.has(veths);
    const share = (from: Series) => middle(from.get(taps)!) / middle(from.get(veths)!);
    if (row.load.id === load.id && known(series)) this.#holderShares.set(key, share(series));
    if (!this.#holderShares.has(key)) {
      const both = { name: 'TAP holder', load, subjects: [['', taps]], beside: [veths] } as const;
      this.#holderShares.set(key, share(await this.#sample(both)));
    }
    return this.#holderShares.get(key)!;
  }
}
