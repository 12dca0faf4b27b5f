// `netc predict`: labels images with a trained network.

import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { renderAll } from "../../compiler/report/render.ts";
import { adapterChoices } from "../../runtime/adapters/find.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { withClicks } from "../../runtime/infer/clicks.ts";
import { findCases } from "../../runtime/infer/inputs.ts";
import { predictCases, type Request } from "../../runtime/infer/predict.ts";
import type { Session } from "../../runtime/session.ts";
import type { Checkpoint } from "../../runtime/train/checkpoint.ts";
import { Interrupt } from "../../runtime/train/interrupt.ts";
import { durationText } from "../../runtime/train/progress.ts";
import { UsageError } from "../arguments.ts";
import { command as define, exit, type Command } from "../command.ts";
import { demandWritable } from "../run-folder.ts";
import { openStage, readStage, takesClicks, type Stage } from "../stages.ts";
import type { Progress, Terminal } from "../terminal.ts";
import { stageOf } from "../weights-stage.ts";

/** The command `predict`. */
export const command: Command = define({
  name: "predict",
  operands: { name: "IMAGE", least: 0, most: Infinity },
  flags: {
    run: { kind: "text", holds: "DIR", text: "the folder that `netc train` wrote" },
    net: { kind: "text", holds: "FILE#run", text: "instead of `--run`: a run of a .net file, for weights that were not trained here" },
    weights: { kind: "text", holds: "FILE", text: "with `--net`: a safetensors file with netc's or official names" },
    data: { kind: "text", holds: "DIR", text: "with `--net`: the data set whose channels, classes and intensities the weights learned" },
    set: { kind: "pairs", text: "with `--net`: a parameter of the network, e.g. `--set classes=14`" },
    images: { kind: "text", holds: "DIR", text: "a folder of images, CASE_0000.nii.gz and so on; or name files as operands", short: "i" },
    out: { kind: "text", holds: "DIR", text: "where the label maps go, CASE.nii.gz", short: "o" },
    coarse: { kind: "text", holds: "DIR", text: "the run whose mask tells a cropping one where to look, by default the one trained before it" },
    click: { kind: "texts", holds: "CASE=I,J,K", text: "where to look in a case: a voxel of its file, counted from 0; once per case" },
    "click-mm": { kind: "texts", holds: "CASE=X,Y,Z", text: "the same in millimetres: x to the right, y to the front, z up" },
    clicks: { kind: "text", holds: "FILE", text: "clicks of many cases: CSV with case,i,j,k or case,x,y,z, or JSON; or a folder of label maps to draw them from" },
    which: { kind: "choice", of: ["best", "latest"], text: "the checkpoint; by default the best where there is one" },
    overlap: { kind: "number", text: "share of a window that its neighbour sees too, by default that of the run (0.5)" },
    batch: { kind: "integer", least: 1, text: "windows at a time, by default 1" },
    adapter: { kind: "choice", of: adapterChoices, text: "the device to compute on; by default the first that works" },
  },
  details: "Each label map lies on the grid of its image: same shape, spacing and orientation. Images that cannot be read are told of and\nleft out; the exit code is then 1.",
  run: async ({ values, operands }, terminal) => {
    const { run, net, out } = values;
    if ((run === undefined) === (net === undefined)) throw new UsageError(run === undefined ? "the folder of a run is missing: `--run DIR`" : "`--run` and `--net` exclude each other");
    if ((net === undefined) !== (values.weights === undefined)) throw new UsageError("`--net FILE#run` and `--weights FILE` go together");
    if (out === undefined) throw new UsageError("a folder for the label maps is missing: `-o DIR`");
    const images = [...(values.images === undefined ? [] : [values.images]), ...operands];
    if (images.length === 0) throw new UsageError("images are missing: `-i DIR`");
    const overlap = values.overlap;
    if (overlap !== undefined && !(overlap >= 0 && overlap < 1)) throw new UsageError(`\`--overlap\` is at least 0 and less than 1, not ${overlap}`);
    const stage = run === undefined
      ? stageOf({ net: net ?? "", weights: values.weights ?? "", data: values.data, set: values.set }, terminal)
      : readStage(run, values.which, values.coarse);
    const given = { voxels: values.click, mm: values["click-mm"], file: values.clicks };
    const needed = takesClicks(stage);
    if (!needed && (given.voxels.length > 0 || given.mm.length > 0 || given.file !== undefined)) {
      throw new UsageError(`${run ?? net} takes no clicks`, "a run takes them when its text says `guide = click()`");
    }
    const cases = findCases(images, stage.record.channels);
    const { requests, errors } = withClicks(cases, given, { needed, target: stage.record.samples?.target });
    demandWritable(out);
    const planned: Planned = { stage, requests, errors, of: cases.length, out, overlap, batch: values.batch ?? 1 };
    if (requests.length === 0) return report({ written: 0, warnings: [], errors, interrupted: false }, planned, terminal);
    const progress = terminal.progress();
    try {
      const device = await openDevice(values.adapter === undefined ? {} : { adapter: values.adapter });
      try {
        return await predictOn(device, planned, terminal, progress);
      } finally {
        device.close();
      }
    } finally {
      progress.done();
    }
  },
});

/** All that is known before a device is opened. */
interface Planned {
  readonly stage: Stage;
  readonly requests: readonly Request[];
  /** What is wrong with clicks; their cases are not among the requests. */
  readonly errors: readonly Diagnostic[];
  /** The number of cases, those without a usable click among them. */
  readonly of: number;
  readonly out: string;
  readonly overlap: number | undefined;
  readonly batch: number;
}

async function predictOn(device: Device, planned: Planned, terminal: Terminal, progress: Progress): Promise<number> {
  const { stage, requests, out, overlap, batch } = planned;
  const sessions: Session[] = [];
  const interrupt = new Interrupt(process, () => progress.log("stopping after this case; once more leaves at once"), () => process.exit(exit.interrupted));
  try {
    const predictor = await openStage(device, stage, { overlap, batch, sessions, tell: (text) => progress.update(text) });
    progress.log(`${stageText(stage)}, on ${device.name}`);
    let started = performance.now();
    let written = 0;
    const { warnings, errors } = await predictCases(predictor, requests, out, {
      progress: (name, done, of) => progress.update(`${name} (${written + 1} of ${requests.length}): window ${done} of ${of}`),
      written: (name, path) => {
        written++;
        progress.log(`${name}: ${path} in ${durationText((performance.now() - started) / 1000)}`);
        started = performance.now();
      },
      interrupted: () => interrupt.asked,
    });
    progress.done();
    return report({ written, warnings, errors: [...planned.errors, ...errors], interrupted: interrupt.asked }, planned, terminal);
  } finally {
    interrupt.dispose();
    for (const session of sessions) session.destroy();
  }
}

function report({ written, warnings, errors, interrupted }: { readonly written: number; readonly warnings: readonly Diagnostic[]; readonly errors: readonly Diagnostic[]; readonly interrupted: boolean }, { of, out }: Planned, terminal: Terminal): number {
  if (warnings.length + errors.length > 0) terminal.say(`\n${renderAll([...warnings, ...errors], terminal)}\n`);
  terminal.print(`${written} of ${of} case${of === 1 ? "" : "s"} predicted into ${out}`);
  return interrupted ? exit.interrupted : errors.length > 0 ? exit.fault : exit.done;
}

/** `Fine, best weights of step 300, after Coarse, latest weights of step 100` */
function stageText({ folder, path, record, which, checkpoint, coarse }: Stage): string {
  return `${record.network}, ${folder === "" ? `weights of ${path}` : `${which} weights`}${stepText(checkpoint)}${coarse === undefined ? "" : `, after ${stageText(coarse)}`}`;
}

function stepText({ meta }: Checkpoint): string {
  return typeof meta["step"] === "number" ? ` of step ${meta["step"]}` : "";
}
