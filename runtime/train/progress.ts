// How a run is getting on, in words: smoothed loss, scores, step time and the time that is left.

/** The mean of the values seen, the last ones counting most. */
export class Smoothed {
  readonly #keep: number;
  #sum = 0;
  #weight = 0;

  /** `keep` is the share of the old mean that a new value leaves. */
  constructor(keep: number) {
    this.#keep = keep;
  }

  add(value: number): void {
    this.#sum = this.#keep * this.#sum + value;
    this.#weight = this.#keep * this.#weight + 1;
  }

  /** Undefined before the first value. */
  get value(): number | undefined {
    return this.#weight === 0 ? undefined : this.#sum / this.#weight;
  }
}

/** A score of one class; null where there was nothing to score. */
export interface ClassScore {
  readonly name: string;
  readonly dice: number | null;
}

/** What a progress line tells. */
export interface Standing {
  readonly step: number;
  readonly total: number;
  readonly loss: number | undefined;
  readonly scores: readonly ClassScore[];
  readonly secondsPerStep: number | undefined;
}

/** One line: `step 120/400  loss 0.512  bone 0.71  muscle 0.44  1.9 s/step  9 min left`. */
export function progressLine({ step, total, loss, scores, secondsPerStep }: Standing): string {
  return [
    `step ${step}/${total}`,
    ...(loss === undefined ? [] : [`loss ${loss.toFixed(4)}`]),
    ...(scores.length === 0 ? [] : [scoreText(scores)]),
    ...(secondsPerStep === undefined ? [] : [`${durationText(secondsPerStep)}/step`]),
    ...(secondsPerStep === undefined || step >= total ? [] : [`${durationText(secondsPerStep * (total - step))} left`]),
  ].join("  ");
}

/** `bone 0.712  liver n/a` */
export function scoreText(scores: readonly ClassScore[]): string {
  return scores.map(({ name, dice }) => `${name} ${dice === null ? "n/a" : dice.toFixed(3)}`).join("  ");
}

/** A share in percent, two digits of it: `0.4 %`, `12 %`. */
export function shareText(share: number): string {
  const percent = 100 * share;
  return `${percent < 0.05 ? "0" : percent.toFixed(percent < 9.95 ? 1 : 0)} %`;
}

/** A length of time for people, two digits of it: `35 ms`, `1.9 s`, `12 min`, `3 h 20 min`. */
export function durationText(seconds: number): string {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.round(hours / 24)} days`;
}
