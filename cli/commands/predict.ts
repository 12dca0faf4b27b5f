// `netc predict`: labels images with a trained network.

import { compile } from "../../compiler/pipeline.ts";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { renderAll } from "../../compiler/report/render.ts";
import { adapterChoices } from "../../runtime/adapters/find.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { findCases, type Wanted } from "../../runtime/infer/inputs.ts";
import { predictCases } from "../../runtime/infer/predict.ts";
import { Session } from "../../runtime/session.ts";
import { checkpointPath, hasCheckpoint, loadCheckpoint, type Checkpoint, type Which } from "../../runtime/train/checkpoint.ts";
import { Interrupt } from "../../runtime/train/interrupt.ts";
import { durationText } from "../../runtime/train/progress.ts";
import { loadWeights } from "../../runtime/train/state.ts";
import { classOutput } from "../../runtime/train/validate.ts";
import { UsageError } from "../arguments.ts";
import { command as define, exit, type Command } from "../command.ts";
import { inferenceRun, loadFile } from "../compile.ts";
import { copyReader, demandWritable, readRecord, type RunRecord } from "../run-folder.ts";
import type { Progress, Terminal } from "../terminal.ts";

/** The command `predict`. */
export const command: Command = define({
  name: "predict",
  operands: { name: "IMAGE", least: 0, most: Infinity },
  flags: {
    run: { kind: "text", holds: "DIR", text: "the folder that `netc train` wrote" },
    images: { kind: "text", holds: "DIR", text: "a folder of images, CASE_0000.nii.gz and so on; or name files as operands", short: "i" },
    out: { kind: "text", holds: "DIR", text: "where the label maps go, CASE.nii.gz", short: "o" },
    which: { kind: "choice", of: ["best", "latest"], text: "the checkpoint; by default the best where there is one" },
    overlap: { kind: "number", text: "share of a window that its neighbour sees too, by default that of the run (0.5)" },
    batch: { kind: "integer", least: 1, text: "windows at a time, by default 1" },
    adapter: { kind: "choice", of: adapterChoices, text: "the device to compute on; by default the first that works" },
  },
  details: "Each label map lies on the grid of its image: same shape, spacing and orientation. Images that cannot be read are told of and\nleft out; the exit code is then 1.",
  run: async ({ values, operands }, terminal) => {
    const { run, out } = values;
    if (run === undefined) throw new UsageError("the folder of a run is missing: `--run DIR`");
    if (out === undefined) throw new UsageError("a folder for the label maps is missing: `-o DIR`");
    const images = [...(values.images === undefined ? [] : [values.images]), ...operands];
    if (images.length === 0) throw new UsageError("images are missing: `-i DIR`");
    const overlap = values.overlap;
    if (overlap !== undefined && !(overlap >= 0 && overlap < 1)) throw new UsageError(`\`--overlap\` is at least 0 and less than 1, not ${overlap}`);
    const record = readRecord(run);
    const which = values.which ?? (hasCheckpoint(run, "best") ? "best" : "latest");
    const checkpoint = loadCheckpoint(run, which);
    const cases = findCases(images, record.channels);
    demandWritable(out);
    const progress = terminal.progress();
    try {
      const device = await openDevice(values.adapter === undefined ? {} : { adapter: values.adapter });
      try {
        const network: Network = { folder: run, record, which, checkpoint, overlap: overlap ?? record.overlap, batch: values.batch ?? 1 };
        return await predictOn(device, network, cases, out, terminal, progress);
      } finally {
        device.close();
      }
    } finally {
      progress.done();
    }
  },
});

interface Network {
  readonly folder: string;
  readonly record: RunRecord;
  readonly which: Which;
  readonly checkpoint: Checkpoint;
  readonly overlap: number;
  readonly batch: number;
}

async function predictOn(device: Device, network: Network, cases: readonly Wanted[], out: string, terminal: Terminal, progress: Progress): Promise<number> {
  const { folder, record, which, checkpoint, overlap, batch } = network;
  const loaded = loadFile(record.file, copyReader(folder, record.sources));
  const { graph } = inferenceRun(loaded, record.run === "" ? undefined : record.run, {
    set: record.asked.set, channels: record.channels.length, classes: record.classes.length, patch: record.window, batch,
  });
  progress.update("planning kernels");
  const { plan } = compile(graph, device.profile);
  const output = classOutput(plan, record.classes.length);
  if (output === undefined) throw noClassOutput(record, plan.outputs.map(({ name, shape }) => `\`${name}\` [${shape.join(", ")}]`));
  const session = await Session.create(device, plan, { onCompiled: (done, of) => progress.update(`compiling kernels: ${done} of ${of}`) });
  const interrupt = new Interrupt(process, () => progress.log("stopping after this case; once more leaves at once"), () => process.exit(exit.interrupted));
  try {
    loadWeights(session, checkpointPath(folder, which), checkpoint);
    progress.log(`${record.network}, ${which} weights${stepText(checkpoint)}, on ${device.name}`);
    let started = performance.now();
    let written = 0;
    const { warnings, errors } = await predictCases({
      session, output, window: record.window, batch, channels: record.channels, classes: record.classes, fingerprint: record.fingerprint, overlap,
    }, cases, out, {
      progress: (name, done, of) => progress.update(`${name} (${written + 1} of ${cases.length}): window ${done} of ${of}`),
      written: (name, path) => {
        written++;
        progress.log(`${name}: ${path} in ${durationText((performance.now() - started) / 1000)}`);
        started = performance.now();
      },
      interrupted: () => interrupt.asked,
    });
    progress.done();
    if (warnings.length + errors.length > 0) terminal.say(`\n${renderAll([...warnings, ...errors], terminal)}\n`);
    terminal.print(`${written} of ${cases.length} case${cases.length === 1 ? "" : "s"} predicted into ${out}`);
    return interrupt.asked ? exit.interrupted : errors.length > 0 ? exit.fault : exit.done;
  } finally {
    interrupt.dispose();
    session.destroy();
  }
}

function stepText({ meta }: Checkpoint): string {
  return typeof meta["step"] === "number" ? ` of step ${meta["step"]}` : "";
}

function noClassOutput({ network, classes, window }: RunRecord, outputs: readonly string[]): Fault {
  return new Fault(diagnostic("N1066", `\`${network}\` has no output with a value for each of ${classes.length} classes at every voxel`, {
    facts: [`Wanted is [N, ${classes.length}, ${window.join(", ")}]; it gives ${outputs.join(", ")}.`],
    hint: "`out logits[0] = …` with as many channels as classes, on the grid of the image",
  }));
}
