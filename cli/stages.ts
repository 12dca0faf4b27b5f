// The networks of a prediction, from the folders of their runs to sessions on a device: one, or a coarse one before a fine one.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { compile } from "../compiler/pipeline.ts";
import { diagnostic, Fault } from "../compiler/report/diagnostic.ts";
import { regionsText } from "../runtime/data/dataset.ts";
import type { Device } from "../runtime/device.ts";
import type { Predictor } from "../runtime/infer/case-slices.ts";
import { Engine } from "../runtime/infer/engine.ts";
import { sharesWanted, type Axis, type Blending } from "../runtime/infer/window.ts";
import { Session } from "../runtime/session.ts";
import { checkpointPath, hasCheckpoint, loadCheckpoint, type Checkpoint, type Which } from "../runtime/train/checkpoint.ts";
import { demandWeights, isMemory, loadWeights } from "../runtime/train/state.ts";
import { classOutput } from "../runtime/train/validate.ts";
import { diskReader, inferenceRun, loadFile, type Loaded } from "./compile.ts";
import { copyReader, hasRecord, readRecord, wantedOf, type RunRecord } from "./run-folder.ts";

/** A run whose weights are read; `coarse` says where it looks, when it crops. */
export interface Stage {
  readonly folder: string;
  readonly record: RunRecord;
  readonly which: Which;
  /** The file that the checkpoint was read from. */
  readonly path: string;
  readonly checkpoint: Checkpoint;
  readonly coarse: Stage | undefined;
}

/** The folders of the runs at a path: its own, or those of the folds in it, `fold_0` and so on. */
export function runsAt(folder: string): readonly string[] {
  if (hasRecord(folder) || !existsSync(folder)) return [folder];
  const folds = readdirSync(folder).filter((name) => /^fold_\d+$/.test(name)).map((name) => join(folder, name)).filter(hasRecord);
  return folds.length > 0 ? folds.sort((a, b) => a.localeCompare(b, "en", { numeric: true })) : [folder];
}

/** N1087 unless all runs see the same channels and name the same classes, so that their mean has a meaning. */
export function demandAlike(all: readonly Stage[]): void {
  const [first, ...others] = all;
  for (const other of others) {
    if (first === undefined) return;
    for (const what of ["channels", "classes", "regions"] as const) {
      if (JSON.stringify(first.record[what]) === JSON.stringify(other.record[what])) continue;
      if (what === "regions") throw misfit(`${first.folder} and ${other.folder} have different regions`, [first, other].map(({ folder, record: { regions } }) => `${folder} has ${regions === undefined ? "none" : regionsText(regions)}.`), "predict with one after the other, into two folders");
      throw misfit(`${first.folder} and ${other.folder} have different ${what}`, [`They are ${first.record[what].join(", ")} and ${other.record[what].join(", ")}.`], "predict with one after the other, into two folders");
    }
    if (first.record.samples?.target === other.record.samples?.target) continue;
    throw misfit(`${first.folder} and ${other.folder} seek different targets`, [`They are the labels ${first.record.samples?.target ?? "all"} and ${other.record.samples?.target ?? "all"}.`], "predict with one after the other, into two folders");
  }
}

/** Reads a run, and the coarse one it needs: `coarse`, or the one it was trained after. */
export function readStage(folder: string, which: Which | undefined, coarse: string | undefined): Stage {
  const record = readRecord(folder);
  const chosen = which ?? (hasCheckpoint(folder, "best") ? "best" : "latest");
  const { tensors, meta } = loadCheckpoint(folder, chosen);
  const checkpoint: Checkpoint = { meta, tensors: new Map([...tensors].filter(([name]) => !isMemory(name))) };
  const crops = record.samples?.crop !== undefined;
  if (!crops && coarse !== undefined) throw misfit(`${folder} does not crop`, [`It predicts whole images; ${coarse} would not be used.`], "leave `--coarse` away");
  const from = coarse ?? (record.coarse === undefined ? undefined : join(folder, record.coarse));
  if (crops && from === undefined) throw misfit(`${folder} needs a coarse run`, ["Its network looks at a cube around what another one finds."], "`--coarse DIR` names the folder of that run");
  const before = crops && from !== undefined ? readStage(from, which, undefined) : undefined;
  if (before !== undefined) demandMatch(folder, record, before);
  return { folder, record, which: chosen, path: checkpointPath(folder, chosen), checkpoint, coarse: before };
}

function demandMatch(folder: string, fine: RunRecord, { folder: other, record: coarse }: Stage): void {
  if (fine.channels.join() !== coarse.channels.join()) {
    throw misfit(`${folder} and ${other} saw different images`, [`The channels are ${fine.channels.join(", ")} and ${coarse.channels.join(", ")}.`], "train both on one data set");
  }
  if (coarse.regions !== undefined) throw misfit(`${other} finds regions`, [`They are ${regionsText(coarse.regions)}; what it writes is no mask of ${fine.classes.slice(1).join(", ")}.`], "train the coarse run on classes");
  if (!fine.classes.slice(1).some((name) => coarse.classes.includes(name, 1))) {
    throw misfit(`${other} does not find what ${folder} looks at`, [`It finds ${coarse.classes.slice(1).join(", ")}; wanted is ${fine.classes.slice(1).join(", ")}.`], "give both runs the same `target`");
  }
}

function misfit(headline: string, facts: readonly string[], hint: string): Fault {
  return new Fault(diagnostic("N1087", headline, { facts, hint }));
}

/** Whether the stage or one before it wants a click. */
export function takesClicks({ record, coarse }: Stage): boolean {
  return record.samples?.guide === true || (coarse !== undefined && takesClicks(coarse));
}

export interface StageOptions {
  /** Undefined for that of the run. */
  readonly overlap: number | undefined;
  readonly blend: Blending | undefined;
  readonly mirror: readonly Axis[] | undefined;
  readonly batch: number;
  readonly tell: (text: string) => void;
  /** Every session that is opened; the caller destroys them. */
  readonly sessions: Session[];
}

/** Compiles stages and those before them. Networks that are alike but for their weights share a session. */
export async function openStages(device: Device, all: readonly Stage[], options: StageOptions): Promise<readonly Predictor[]> {
  const engines = new Map<string, Opened>();
  const predictors: Predictor[] = [];
  for (const stage of all) predictors.push(await openStage(device, stage, options, engines));
  return predictors;
}

/** A network on the device, and how weights come into it. */
interface Opened {
  readonly session: Session;
  readonly engine: Engine;
}

async function openStage(device: Device, stage: Stage, options: StageOptions, engines: Map<string, Opened>): Promise<Predictor> {
  const coarse = stage.coarse === undefined ? undefined : await openStage(device, stage.coarse, options, engines);
  const { folder, record, path, checkpoint } = stage;
  const samples = record.samples ?? {};
  const batch = samples.crop === undefined ? options.batch : 1;
  const blend = options.blend ?? record.blend ?? "gaussian";
  const shares = samples.crop !== undefined || sharesWanted(blend);
  const copies = copyReader(folder, record.sources);
  const library = diskReader();
  // A run of an older netc may lack a file of the library that predictions need.
  const loaded = loadFile(record.file, (path) => copies(path) ?? (path.startsWith("std:") ? library(path) : undefined));
  const made = [record.run, record.asked.set, wantedOf(record), record.window, batch, shares, [...loaded.texts.values()]];
  const key = JSON.stringify(made);
  const { session, engine } = engines.get(key) ?? (await openNetwork(device, stage, loaded, { ...options, batch, shares }));
  engines.set(key, { session, engine });
  // Now, not after the cases before it.
  demandWeights(session.plan, path, checkpoint);
  return {
    run: engine.runner(() => loadWeights(session, path, checkpoint)), outputs: engine.outputs, window: record.window, batch,
    channels: record.channels, classes: record.classes, regions: record.regions, fingerprint: record.fingerprint,
    overlap: options.overlap ?? record.overlap, blend, mirror: options.mirror ?? axesOf(record), samples, coarse,
  };
}

async function openNetwork(device: Device, { record }: Stage, loaded: Loaded, options: StageOptions & { readonly shares: boolean }): Promise<Opened> {
  const { batch } = options;
  const { graph } = inferenceRun(loaded, record.run === "" ? undefined : record.run, {
    set: record.asked.set, ...wantedOf(record), patch: record.window, batch, shares: options.shares ? record.classes.length : undefined,
  });
  options.tell("planning kernels");
  const { plan } = compile(graph, device.profile);
  const output = classOutput(plan, record.classes.length);
  if (output === undefined) throw noClassOutput(record, plan.outputs.map(({ name, shape }) => `\`${name}\` [${shape.join(", ")}]`));
  const session = await Session.create(device, plan, { onCompiled: (done, of) => options.tell(`compiling kernels: ${done} of ${of}`) });
  options.sessions.push(session);
  return { session, engine: new Engine(session, output) };
}

function axesOf({ mirror = [] }: RunRecord): readonly Axis[] {
  return ([0, 1, 2] as const).filter((axis) => mirror.includes(axis));
}

function noClassOutput({ network, classes, window }: RunRecord, outputs: readonly string[]): Fault {
  return new Fault(diagnostic("N1066", `\`${network}\` has no output with a value for each of ${classes.length} classes at every voxel`, {
    facts: [`Wanted is [N, ${classes.length}, ${window.join(", ")}], or one channel less for independent targets; it gives ${outputs.join(", ")}.`],
    hint: "`out logits[0] = …` with as many channels as classes, on the grid of the image",
  }));
}
