// The end of a training run: its held-out cases predicted whole and scored, as `validation/summary.json`.

import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Diagnostic } from "../compiler/report/diagnostic.ts";
import { endingOf } from "../runtime/data/image.ts";
import type { Device } from "../runtime/device.ts";
import { writeAtomic } from "../runtime/files.ts";
import { evaluate } from "../runtime/infer/evaluate.ts";
import { isPredicted, predictCases, type Request } from "../runtime/infer/predict.ts";
import { summaryJson } from "../runtime/infer/summary.ts";
import type { Session } from "../runtime/session.ts";
import { meanOf, scoresOf } from "../runtime/train/metrics.ts";
import { readRecord } from "./run-folder.ts";
import { summaryPath } from "./run-report.ts";
import { openStages, readStage, takesClicks } from "./stages.ts";
import type { Progress } from "./terminal.ts";
import { prepareData } from "./training-data.ts";

/** How it ended. */
export interface FinalValidation {
  /** Mean Dice over cases and classes; null where nothing could be scored, undefined where something was left undone. */
  readonly mean: number | null | undefined;
  readonly cases: number;
  readonly findings: readonly Diagnostic[];
}

/** Forgets a validation of other weights. */
export function dropValidation(folder: string): void {
  rmSync(dirname(summaryPath(folder)), { recursive: true, force: true });
}

/**
 * Predicts the held-out cases of a run as `netc predict` would, and scores them. Undefined for a run that holds none out, or whose
 * network waits for a click. Goes on where it was stopped.
 */
export async function validateWhole(device: Device, folder: string, progress: Progress, interrupted: () => boolean): Promise<FinalValidation | undefined> {
  const record = readRecord(folder);
  const crops = record.samples?.crop !== undefined && record.coarse === undefined;
  if (record.data.heldOut.length === 0 || crops) return undefined;
  const stage = readStage(folder, undefined, undefined);
  if (takesClicks(stage)) return undefined;
  const { dataset } = prepareData.open(record.data.folder);
  const held = dataset.training.filter(({ name }) => record.data.heldOut.includes(name));
  const outputs = { folder: dirname(summaryPath(folder)), probabilities: false, largest: [] };
  const requests = held.map((one): Request => ({ ...one, output: `${one.name}${endingOf(one.images[0] ?? "") ?? ".nii.gz"}`, click: undefined }));
  const left = requests.filter((one) => !isPredicted(one, outputs));
  const findings: Diagnostic[] = [];
  const sessions: Session[] = [];
  try {
    const predictors = await openStages(device, [stage], { overlap: undefined, blend: undefined, mirror: undefined, batch: 1, sessions, tell: (text) => progress.update(text) });
    let done = 0;
    const { errors } = await predictCases(predictors, left, outputs, {
      progress: (name, windows, of) => progress.update(`held-out case ${name} (${done + 1} of ${left.length}): window ${windows} of ${of}`, (done + windows / of) / left.length),
      written: () => { done++; },
      interrupted,
    });
    findings.push(...errors);
    if (done < left.length) return { mean: undefined, cases: held.length, findings };
  } finally {
    for (const session of sessions) session.destroy();
  }
  const all = requests.map((one) => {
    progress.update(`scoring ${one.name}`);
    return evaluate(join(outputs.folder, one.output), one.label ?? "", { datasetJson: join(record.data.folder, "dataset.json") });
  });
  // A run with a target says nothing of the other classes.
  const target = record.samples?.target;
  const seen = <T>(values: readonly T[]): readonly T[] => (target === undefined ? values : values.filter((_, k) => k === 0 || k === target));
  const cases = all.flatMap((one) => one.cases).map((one) => ({ ...one, counts: seen(one.counts) }));
  writeAtomic(summaryPath(folder), `${summaryJson(cases, seen(all[0]?.scored ?? []))}\n`);
  return { mean: meanOf(cases.map(({ counts }) => meanOf(counts.slice(1).map((one) => scoresOf(one).dice)))), cases: held.length, findings };
}
