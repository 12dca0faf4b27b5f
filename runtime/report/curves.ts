// What a run's log says, as curves: few enough points to draw, whatever the run's length.

import { isStep, isValidation, type Logged, type StepEntry } from "../train/log.ts";
import { Smoothed } from "../train/progress.ts";
import type { Chart, Series } from "./chart.ts";

/** More points than this cannot be told apart. */
const most = 600;

/** The curves of a run; those that it has nothing to say of are missing. */
export interface Curves {
  readonly loss?: Chart;
  readonly dice?: Chart;
  readonly rate?: Chart;
  readonly dials: readonly Chart[];
  readonly seconds?: Chart;
}

/** Curves over steps, of which `steps` make an epoch; class names begin with the background. */
export function curvesOf(log: readonly Logged[], classes: readonly string[], steps: number): Curves {
  const done = log.filter(isStep);
  const smooth = new Smoothed(0.95);
  const smoothed = done.map(({ loss }) => {
    smooth.add(loss);
    return smooth.value ?? loss;
  });
  const of = (read: (entry: StepEntry, n: number) => number | undefined): readonly (number | null)[] => thinned(done.map((entry, n) => read(entry, n) ?? null));
  const at = thinned(done.map(({ step }) => step));
  const over = (title: string, series: readonly Series[], more: Partial<Chart> = {}): Chart => ({ title, at, steps, series, ...more });
  const dials = [...new Set(done.flatMap(({ dials }) => Object.keys(dials ?? {})))];
  if (done.length === 0) return { dials: [] };
  const charts = {
    loss: over("Loss", [{ name: "step", colour: "faint", values: of(({ loss }) => loss) }, { name: "running mean", colour: "accent", values: of((_, n) => smoothed[n]) }], { logarithmic: true }),
    dials: dials.map((dial) => over(dial, [{ name: dial, colour: "accent", values: of((entry) => entry.dials?.[dial]) }])),
    seconds: over("Seconds per step", [{ name: "seconds", colour: "accent", values: of(({ seconds }) => seconds) }], { least: 0 }),
  };
  const rated = done.some(({ rate }) => rate !== undefined) ? { rate: over("Learning rate", [{ name: "rate", colour: "accent", values: of(({ rate }) => rate) }], { least: 0, logarithmic: true }) } : {};
  return { ...charts, ...rated, ...diceOf(log, classes, steps) };
}

function diceOf(log: readonly Logged[], classes: readonly string[], steps: number): Pick<Curves, "dice"> {
  const validations = log.filter(isValidation);
  if (validations.length === 0) return {};
  const at = thinned(validations.map(({ step }) => step));
  const one = (name: string, n: number): Series => ({ name, colour: n + 1, values: thinned(validations.map(({ dice }) => dice[name] ?? null)) });
  return {
    dice: {
      title: "Pseudo-Dice", at, steps, least: 0, most: 1,
      series: [
        ...classes.slice(1).map(one),
        { name: "mean", colour: "soft", values: thinned(validations.map(({ mean }) => mean)) },
        { name: "running mean", colour: "ink", values: thinned(validations.map(({ score }) => score)) },
      ],
    },
  };
}

/** The values themselves, or where there are too many some of them, evenly spread, the last among them. */
function thinned<T>(values: readonly T[]): readonly T[] {
  if (values.length <= most) return values;
  return Array.from({ length: most }, (_, n) => Math.ceil(((n + 1) * values.length) / most) - 1).flatMap((at) => values.slice(at, at + 1));
}
