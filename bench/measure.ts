/** Takes samples of several rigs in turn, so that what else the machine does falls on all of them alike. */
import type { Load, Sample } from './loads.ts';
import type { Pace } from './pace.ts';
import { cpuSeconds, machineSeconds } from './processes.ts';
import type { Progress } from './progress.ts';
import type { Rig, RigName } from './rig.ts';
import type { Holder, Row } from './row.ts';
import { median, ratioInterval, rounded, spread } from './statistics.ts';

/** Share of its veth figure that the bridge must reach over the TAPs: below it the TAPs' holder is what is measured. */
const HOLDER_MINIMUM = 0.6;

/** A ratio whose interval is wider than this share of it was taken in a run that something disturbed */
const NOISY = 0.4;

/** Peers are sampled when the round's number is no multiple of this: in every second, and not in the first */
const PEER_ROUNDS = 2;

export type Rigs = ReadonlyMap<RigName, Rig>;

interface TimedSample extends Sample {
  /** Processor time of the process that moves the frames, seconds; none where the kernel does */
  readonly cpu: number | undefined;
  /** The same of the whole machine: both ends of the load, the kernel, and what moves the frames */
  readonly machineCpu: number;
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
  /** 95 % interval of the ratio */
  readonly interval?: readonly [number, number];
  /** The interval is so wide that the machine was busy with something else */
  readonly noisy?: true;
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
  /** The samples themselves, by rig */
  readonly series: Readonly<Record<string, readonly number[]>>;
}

async function timed(load: Load, rig: Rig, pace: Pace): Promise<TimedSample> {
  const machineBefore = machineSeconds();
  const before = rig.pid === undefined ? undefined : cpuSeconds(rig.pid);
  const sample = await load.run(rig, pace);
  const cpu = rig.pid === undefined ? undefined : cpuSeconds(rig.pid) - before!;
  return { ...sample, cpu, machineCpu: machineSeconds() - machineBefore };
}

const values = (samples: readonly Sample[]): number[] => samples.map(({ value }) => value);
const middle = (samples: readonly Sample[]): number => median(values(samples));

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
  const perGigabyte = (seconds: (sample: TimedSample) => number) =>
    rounded(median(samples.map((sample) => seconds(sample) / sample.gigabytes!)));
  if (samples[0]!.gigabytes !== undefined) {
    figures.machineCpuPerGB = perGigabyte(({ machineCpu }) => machineCpu);
    if (samples[0]!.cpu !== undefined) figures.cpuPerGB = perGigabyte(({ cpu }) => cpu!);
  }
  figures.spread = rounded(spread(values(samples)));
  return figures;
}

function compared(samples: readonly Sample[], reference: RigName | undefined, series: Series) {
  if (reference === undefined) return {};
  const references = series.get(reference)!;
  const ratio = middle(samples) / middle(references);
  const [low, high] = ratioInterval(values(samples), values(references));
  return {
    reference,
    referenceValue: rounded(middle(references)),
    ratio: rounded(ratio),
    interval: [rounded(low), rounded(high)] as const,
    ...((high - low) / ratio > NOISY ? { noisy: true as const } : {}),
  };
}

export class Measurement {
  readonly #rigs: Rigs;
  readonly #samples: number;
  readonly #pace: Pace;
  readonly #progress: Progress;
  /** What the bridge reached over the TAPs relative to veths, by load */
  readonly #holderShares = new Map<string, number>();

  constructor(rigs: Rigs, samples: number, pace: Pace, progress: Progress) {
    this.#rigs = rigs;
    this.#samples = samples;
    this.#pace = pace;
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
        ...compared(samples, reference, series),
        samples: this.#samples,
        spread: rounded(spread(values(samples))),
        ...(share < HOLDER_MINIMUM ? { void: true, reason } : {}),
        rigs,
        series: Object.fromEntries(taken.map(([rig, all]) => [rig, values(all).map(rounded)])),
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
        // The first round is for code that is not yet compiled: the kernel's is.
        if (round === 0 && this.#rigs.get(rig)!.pid === undefined) continue;
        const sample = await this.#one(label, load, rig);
        if (round > 0) series.get(rig)!.push(sample);
      }
      if (round % PEER_ROUNDS === 0) continue;
      for (const rig of present) series.get(rig)!.push(...(await this.#tryOne(label, load, rig)));
    }
    return series;
  }

  async #one(label: string, load: Load, rigName: RigName): Promise<TimedSample> {
    const sample = await timed(load, this.#rigs.get(rigName)!, this.#pace);
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
