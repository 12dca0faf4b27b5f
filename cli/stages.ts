// The networks of a prediction, from the folders of their runs to sessions on a device: one, or a coarse one before a fine one.

import { join } from "node:path";
import { compile } from "../compiler/pipeline.ts";
import { diagnostic, Fault } from "../compiler/report/diagnostic.ts";
import type { Device } from "../runtime/device.ts";
import type { Predictor } from "../runtime/infer/predict.ts";
import { Session } from "../runtime/session.ts";
import { checkpointPath, hasCheckpoint, loadCheckpoint, type Checkpoint, type Which } from "../runtime/train/checkpoint.ts";
import { loadWeights } from "../runtime/train/state.ts";
import { classOutput } from "../runtime/train/validate.ts";
import { inferenceRun, loadFile } from "./compile.ts";
import { copyReader, readRecord, type RunRecord } from "./run-folder.ts";

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

/** Reads a run, and the coarse one it needs: `coarse`, or the one it was trained after. */
export function readStage(folder: string, which: Which | undefined, coarse: string | undefined): Stage {
  const record = readRecord(folder);
  const chosen = which ?? (hasCheckpoint(folder, "best") ? "best" : "latest");
  const checkpoint = loadCheckpoint(folder, chosen);
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
  readonly batch: number;
  readonly tell: (text: string) => void;
  /** Every session that is opened; the caller destroys them. */
  readonly sessions: Session[];
}

/** Compiles a stage and those before it, and loads their weights. */
export async function openStage(device: Device, stage: Stage, options: StageOptions): Promise<Predictor> {
  const coarse = stage.coarse === undefined ? undefined : await openStage(device, stage.coarse, options);
  const { folder, record, path, checkpoint } = stage;
  const samples = record.samples ?? {};
  const batch = samples.crop === undefined ? options.batch : 1;
  const loaded = loadFile(record.file, copyReader(folder, record.sources));
  const { graph } = inferenceRun(loaded, record.run === "" ? undefined : record.run, {
    set: record.asked.set, channels: record.channels.length, classes: record.classes.length, patch: record.window, batch,
  });
  options.tell("planning kernels");
  const { plan } = compile(graph, device.profile);
  const output = classOutput(plan, record.classes.length);
  if (output === undefined) throw noClassOutput(record, plan.outputs.map(({ name, shape }) => `\`${name}\` [${shape.join(", ")}]`));
  const session = await Session.create(device, plan, { onCompiled: (done, of) => options.tell(`compiling kernels: ${done} of ${of}`) });
  options.sessions.push(session);
  loadWeights(session, path, checkpoint);
  return {
    session, output, window: record.window, batch, channels: record.channels, classes: record.classes, fingerprint: record.fingerprint,
    overlap: options.overlap ?? record.overlap, blend: record.blend, samples, coarse,
  };
}

function noClassOutput({ network, classes, window }: RunRecord, outputs: readonly string[]): Fault {
  return new Fault(diagnostic("N1066", `\`${network}\` has no output with a value for each of ${classes.length} classes at every voxel`, {
    facts: [`Wanted is [N, ${classes.length}, ${window.join(", ")}], or one channel less for independent targets; it gives ${outputs.join(", ")}.`],
    hint: "`out logits[0] = …` with as many channels as classes, on the grid of the image",
  }));
}
