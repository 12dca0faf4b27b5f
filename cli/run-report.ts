// What a run's folder shows of it: `plan.json`, `slices.json`, and the pictures and page that are made of these and the log.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { writeAtomic } from "../runtime/files.ts";
import { curvesOf } from "../runtime/report/curves.ts";
import { reportPage, type CaseScores } from "../runtime/report/page.ts";
import { progressPicture } from "../runtime/report/plot.ts";
import type { SliceKeeper, SliceView } from "../runtime/report/slices.ts";
import { hasCheckpoint } from "../runtime/train/checkpoint.ts";
import { isStep, readLog, type Logged } from "../runtime/train/log.ts";
import type { PlanMemory } from "../runtime/train/memory.ts";
import { shareText } from "../runtime/train/progress.ts";
import type { Seen } from "../runtime/train/validate.ts";
import { read } from "./files.ts";
import { readRecord, type RunRecord } from "./run-folder.ts";
import { stamp } from "./transcript.ts";

/** What was planned before the first step; bytes. */
export interface PlanRecord {
  readonly format: 1;
  readonly device: { readonly name: string; readonly kind: string; readonly largestBinding: number; readonly free: number | null };
  readonly training: PlanMemory;
  /** Null where nothing is validated. */
  readonly validation: PlanMemory | null;
  /** Values that a step computes again to stay within its memory, and the share of operations that costs. */
  readonly again: { readonly values: number; readonly share: number };
}

/** Slices as they were predicted at a step. */
interface SlicesRecord {
  readonly step: number;
  readonly views: readonly SliceView[];
}

const planPath = (folder: string): string => join(folder, "plan.json");
const slicesPath = (folder: string): string => join(folder, "slices.json");

/** Writes `plan.json`. */
export function writePlan(folder: string, plan: PlanRecord): void {
  writeAtomic(planPath(folder), `${JSON.stringify(plan, null, 2)}\n`);
}

/** Writes `slices.json`. */
function writeSlices(folder: string, step: number, views: readonly SliceView[]): void {
  writeAtomic(slicesPath(folder), `${JSON.stringify({ step, views } satisfies SlicesRecord)}\n`);
}

/** Where the scores of whole held-out images are kept. */
export const summaryPath = (folder: string): string => join(folder, "validation", "summary.json");

/** Makes `report.html` and `progress.png` anew from what the folder holds; gives the path of the page. */
export function writeReport(folder: string, into: string = join(folder, "report.html")): string {
  const record = readRecord(folder);
  const log = readLog(folder);
  const plan = json<PlanRecord>(planPath(folder));
  const slices = json<SlicesRecord>(slicesPath(folder));
  const title = `${record.run === "" ? "" : `${record.run}: `}${record.network} on ${basename(record.data.folder)}`;
  writeAtomic(into, reportPage({
    title, state: stateOf(folder, record, log), total: record.total, steps: record.steps, classes: record.classes, log,
    memory: plan?.training, maxBinding: plan?.device.largestBinding, slices: slices?.views ?? [], slicesAt: slices?.step, validation: scoresOf(folder), facts: factsOf(record, plan, waitedOf(log)),
  }));
  writeAtomic(join(folder, "progress.png"), progressPicture(title, curvesOf(log, record.classes, record.steps)));
  return into;
}

/** Keeps the report of a run up to date, but not so often that a run of short epochs spends its time on it. */
export class Reporter {
  readonly #folder: string;
  readonly #keeper: SliceKeeper | undefined;
  readonly #step: () => number;
  /** The step of slices that are not written yet. */
  #fresh: number | undefined;
  #due = 0;

  constructor(folder: string, keeper: SliceKeeper | undefined, step: () => number) {
    this.#folder = folder;
    this.#keeper = keeper;
    this.#step = step;
  }

  /** Is shown every batch that is validated. */
  see(seen: Seen): void {
    this.#keeper?.see(seen);
  }

  /** A validation is over. */
  validated(): void {
    this.#fresh = this.#step();
    if (performance.now() >= this.#due) this.finish();
  }

  /** Writes what there is. */
  finish(): void {
    const began = performance.now();
    if (this.#keeper !== undefined && this.#fresh !== undefined) writeSlices(this.#folder, this.#fresh, this.#keeper.views());
    this.#fresh = undefined;
    writeReport(this.#folder);
    // No more than a twentieth of the time.
    this.#due = performance.now() + 20 * (performance.now() - began);
  }
}

/** What a process that was killed while it wrote has left. */
export function clearDrafts(folder: string): void {
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    if (/^\..+\.\d+\.tmp$|^checkpoint_final\.safetensors\.\d+\.tmp$/.test(name)) rmSync(join(folder, name), { force: true });
  }
}

/** A file's value; undefined where there is none or it is damaged, since a report shows what it can. */
function json<T>(path: string): T | undefined {
  try {
    return JSON.parse(read(path) ?? "null") as T | undefined ?? undefined;
  } catch {
    return undefined;
  }
}

function stateOf(folder: string, { total }: RunRecord, log: readonly Logged[]): string {
  const last = log.findLast(isStep);
  const when = last?.time === undefined ? "" : `, ${stamp(new Date(last.time * 1000))}`;
  const step = last?.step ?? 0;
  if (step >= total) return `Finished: ${total.toLocaleString("en")} steps${when}.`;
  const ended = hasCheckpoint(folder, "final");
  return `${ended ? "Ended early, as nothing got better" : "At"} ${ended ? "after " : ""}step ${step.toLocaleString("en")} of ${total.toLocaleString("en")}${when}.`;
}

/** The share of the steps' time in which the device waited for data; undefined where no step says. */
function waitedOf(log: readonly Logged[]): number | undefined {
  const told = log.filter(isStep).filter(({ wait }) => wait !== undefined);
  const seconds = told.reduce((sum, one) => sum + one.seconds, 0);
  return seconds === 0 ? undefined : told.reduce((sum, { wait = 0 }) => sum + wait, 0) / seconds;
}

function factsOf(record: RunRecord, plan: PlanRecord | undefined, waited: number | undefined): readonly (readonly [string, string])[] {
  const { training, heldOut } = record.data;
  const set = Object.entries(record.asked.set).map(([name, value]) => `${name}=${value}`).join("  ");
  return [
    ["network", `${record.network}, ${record.parameters.toLocaleString("en")} parameters`],
    ["text", `${record.file}${record.run === "" ? "" : `, run ${record.run}`}`],
    ...(set === "" ? [] : [["set", set] as const]),
    ["data", `${record.data.folder}: ${training.length} cases to learn from, ${heldOut.length} held out`],
    ["channels", record.channels.join(", ")], ["classes", record.classes.join(", ")],
    ["patch", `${record.patch.join(" x ")} (slices x rows x columns), ${record.batch} per step`],
    ["length", `${record.total.toLocaleString("en")} steps, ${record.steps.toLocaleString("en")} to an epoch`],
    ["seed", String(record.seed)],
    ...(record.start === undefined ? [] : [["start", `${record.start.how} from ${record.start.from}`] as const]),
    ...(plan === undefined ? [] : [["device", plan.device.name] as const]),
    ...(plan === undefined || plan.again.values === 0 ? [] : [["computed again", `${plan.again.values} values, ${(100 * plan.again.share).toFixed(1)} % more operations`] as const]),
    ...(waited === undefined ? [] : [["waiting for data", `${shareText(waited)} of the steps' time`] as const]),
    ["netc", record.netc],
  ];
}

/** Dice of the held-out cases from nnU-Net's summary.json; classes have their names there under `labels`. */
function scoresOf(folder: string): readonly CaseScores[] {
  const summary = json<Summary>(summaryPath(folder));
  return (summary?.metric_per_case ?? []).map(({ metrics, reference_file }) => ({
    name: basename(reference_file ?? "").replace(/\.(nii(\.gz)?|nrrd|mha|mhd)$/, ""),
    dice: Object.fromEntries(Object.entries(metrics ?? {}).map(([value, scores]) => [summary?.labels?.[value] ?? value, typeof scores.Dice === "number" ? scores.Dice : null])),
  }));
}

interface Summary {
  readonly labels?: Readonly<Record<string, string>>;
  readonly metric_per_case?: readonly { readonly metrics?: Readonly<Record<string, { readonly Dice?: number | null }>>; readonly reference_file?: string }[];
}
