// `netc predict`: labels images with trained networks.

import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { renderAll } from "../../compiler/report/render.ts";
import { nearest } from "../../compiler/report/spelling.ts";
import { adapterChoices } from "../../runtime/adapters/find.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { withClicks } from "../../runtime/infer/clicks.ts";
import { findCases, type Wanted } from "../../runtime/infer/inputs.ts";
import { isPredicted, predictCases, type Outputs, type Request } from "../../runtime/infer/predict.ts";
import type { Axis } from "../../runtime/infer/window.ts";
import type { Session } from "../../runtime/session.ts";
import type { Checkpoint } from "../../runtime/train/checkpoint.ts";
import { Interrupt } from "../../runtime/train/interrupt.ts";
import { durationText } from "../../runtime/train/progress.ts";
import { UsageError, type Values } from "../arguments.ts";
import { command as define, exit, type Command } from "../command.ts";
import { demandWritable } from "../run-folder.ts";
import { demandAlike, openStages, readStage, runsAt, takesClicks, type Stage } from "../stages.ts";
import { quietly, type Progress, type Terminal } from "../terminal.ts";
import { stageOf } from "../weights-stage.ts";

const flags = {
  run: { kind: "texts", holds: "DIR", text: "the folder that `netc train` wrote; several runs, or a folder of fold_0, fold_1 …, are averaged" },
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
  which: { kind: "choice", of: ["best", "latest", "final"], text: "the checkpoint; by default the best where there is one" },
  overlap: { kind: "number", text: "share of a window that its neighbour sees too, by default that of the run (0.5)" },
  blend: { kind: "choice", of: ["gaussian", "uniform"], text: "how windows are put together, by default as the run says (gaussian)" },
  mirror: { kind: "switch", text: "see every window mirrored along all axes too (8 times the work), whatever the run says" },
  "no-mirror": { kind: "switch", text: "see no window mirrored, whatever the run says" },
  batch: { kind: "integer", least: 1, text: "windows at a time, by default 1" },
  "save-probabilities": { kind: "switch", text: "also write CASE.npz with the array `probabilities` [classes, k, j, i]" },
  "keep-largest": { kind: "texts", holds: "CLASS", text: "keep only the largest connected part of a class, or of each with `all`" },
  continue: { kind: "switch", text: "leave out cases whose prediction is there and whole" },
  part: { kind: "text", holds: "I/N", text: "only the I-th of N parts of the cases, to share them among machines" },
  quiet: { kind: "switch", text: "say nothing but what is wrong, and the result", short: "q" },
  adapter: { kind: "choice", of: adapterChoices, text: "the device to compute on; by default the first that works" },
} as const;

type Given = Values<typeof flags>;

/** The command `predict`. */
export const command: Command = define({
  name: "predict",
  operands: { name: "IMAGE", least: 0, most: Infinity },
  flags,
  details: "Each label map lies on the grid of its image: same shape, spacing and orientation. Images that cannot be read are told of and\nleft out; the exit code is then 1. Ctrl-C ends after the case at hand (exit code 130); `--continue` goes on from there.",
  run: async ({ values, operands }, loud) => {
    const terminal = values.quiet ? quietly(loud) : loud;
    const { net, out } = values;
    const folders = values.run.flatMap(runsAt);
    if ((folders.length === 0) === (net === undefined)) throw new UsageError(net === undefined ? "the folder of a run is missing: `--run DIR`" : "`--run` and `--net` exclude each other");
    if ((net === undefined) !== (values.weights === undefined)) throw new UsageError("`--net FILE#run` and `--weights FILE` go together");
    if (out === undefined) throw new UsageError("a folder for the label maps is missing: `-o DIR`");
    const images = [...(values.images === undefined ? [] : [values.images]), ...operands];
    if (images.length === 0) throw new UsageError("images are missing: `-i DIR`");
    const overlap = values.overlap;
    if (overlap !== undefined && !(overlap >= 0 && overlap < 1)) throw new UsageError(`\`--overlap\` is at least 0 and less than 1, not ${overlap}`);
    if (values.mirror && values["no-mirror"]) throw new UsageError("`--mirror` and `--no-mirror` exclude each other");
    const [part, parts] = partOf(values.part);
    const stages = net === undefined
      ? folders.map((folder) => readStage(folder, values.which, values.coarse))
      : [stageOf({ net, weights: values.weights ?? "", data: values.data, set: values.set }, terminal)];
    demandAlike(stages);
    const [stage] = stages;
    if (stage === undefined) throw new Error("internal: no run");
    const outputs = { folder: out, probabilities: values["save-probabilities"], largest: largestOf(values["keep-largest"], stage) };
    const all = findCases(images, stage.record.channels);
    const own = all.filter((_, n) => n % parts === part - 1);
    const left = values.continue ? own.filter((one) => !isPredicted(one, outputs)) : own;
    const { requests, errors } = clicked(left, all, stages, values);
    demandWritable(out);
    if (left.length < own.length) terminal.say(`${own.length - left.length} of ${own.length} cases are there already`);
    const planned: Planned = { stages, requests, errors, of: left.length, outputs, values };
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

/** `2/4` as [2, 4]. */
function partOf(text: string | undefined): readonly [number, number] {
  const [, part, parts] = /^(\d+)\/(\d+)$/.exec(text ?? "1/1") ?? [];
  if (part !== undefined && parts !== undefined && Number(part) >= 1 && Number(part) <= Number(parts)) return [Number(part), Number(parts)];
  throw new UsageError(`\`--part\` is the number of a part and of all, not \`${text}\``, "for example `--part 1/4` to `--part 4/4` on four machines");
}

/** The label values of the classes or regions whose largest part is kept. */
function largestOf(names: readonly string[], { record: { classes, regions } }: Stage): Outputs["largest"] {
  const foreground = regions?.map(({ values }) => values) ?? classes.map((_, value) => [value]).slice(1);
  return [...new Set(names.flatMap((name) => {
    if (name === "all") return foreground;
    const chosen = foreground[classes.indexOf(name, 1) - 1];
    if (chosen !== undefined) return [chosen];
    const near = nearest(name, classes.slice(1));
    throw new UsageError(`there is no class \`${name}\` to keep the largest part of`, near === undefined ? `there are ${classes.slice(1).join(", ")}, and \`all\`` : `did you mean \`${near}\`?`);
  }))];
}

/** Gives the cases their clicks, where any of the runs takes one. */
function clicked(cases: readonly Wanted[], all: readonly Wanted[], stages: readonly Stage[], values: Given): ReturnType<typeof withClicks> {
  const given = { voxels: values.click, mm: values["click-mm"], file: values.clicks };
  const needed = stages.some(takesClicks);
  if (!needed && (given.voxels.length > 0 || given.mm.length > 0 || given.file !== undefined)) {
    throw new UsageError(`${values.run.join(" and ") || values.net} takes no clicks`, "a run takes them when its text says `guide = click()`");
  }
  return withClicks(cases, given, { needed, target: stages[0]?.record.samples?.target, all });
}

/** All that is known before a device is opened. */
interface Planned {
  readonly stages: readonly Stage[];
  readonly requests: readonly Request[];
  /** What is wrong with clicks; their cases are not among the requests. */
  readonly errors: readonly Diagnostic[];
  /** The number of cases, those without a usable click among them. */
  readonly of: number;
  readonly outputs: Outputs;
  readonly values: Given;
}

async function predictOn(device: Device, planned: Planned, terminal: Terminal, progress: Progress): Promise<number> {
  const { stages, requests, outputs, values } = planned;
  const sessions: Session[] = [];
  const interrupt = new Interrupt(process, () => progress.log("stopping after this case; once more leaves at once"), () => process.exit(exit.interrupted));
  try {
    const every: readonly Axis[] = [0, 1, 2];
    const predictors = await openStages(device, stages, {
      overlap: values.overlap, blend: values.blend, mirror: values.mirror ? every : values["no-mirror"] ? [] : undefined, batch: values.batch ?? 1, sessions,
      tell: (text) => progress.update(text),
    });
    for (const stage of stages) progress.log(`${stageText(stage)}, on ${device.name}`);
    let started = performance.now();
    let written = 0;
    const { warnings, errors } = await predictCases(predictors, requests, outputs, {
      progress: (name, done, of) => progress.update(`${name} (${written + 1} of ${requests.length}): window ${done} of ${of}`, done / of),
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

/** How long the case at hand will take, once that can be said. */
function report({ written, warnings, errors, interrupted }: { readonly written: number; readonly warnings: readonly Diagnostic[]; readonly errors: readonly Diagnostic[]; readonly interrupted: boolean }, { of, outputs }: Planned, terminal: Terminal): number {
  if (warnings.length + errors.length > 0) terminal.say(`\n${renderAll([...warnings, ...errors], terminal)}\n`);
  terminal.print(`${written} of ${of} case${of === 1 ? "" : "s"} predicted into ${outputs.folder}`);
  return interrupted ? exit.interrupted : errors.length > 0 ? exit.fault : exit.done;
}

/** `Fine, best weights of step 300, after Coarse, latest weights of step 100` */
function stageText({ folder, path, record, which, checkpoint, coarse }: Stage): string {
  return `${record.network}, ${folder === "" ? `weights of ${path}` : `${which} weights`}${stepText(checkpoint)}${coarse === undefined ? "" : `, after ${stageText(coarse)}`}`;
}

function stepText({ meta }: Checkpoint): string {
  return typeof meta["step"] === "number" ? ` of step ${meta["step"]}` : "";
}
