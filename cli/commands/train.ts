// `netc train`: learns the weights of a network from a folder of images and labels.

import { join } from "node:path";
import type { Again } from "../../compiler/passes/recompute.ts";
import { compile, compileTraining } from "../../compiler/pipeline.ts";
import type { RunOptions, RunSettings } from "../../compiler/front/front.ts";
import { shapeOf, type Graph } from "../../compiler/ir/graph.ts";
import type { Diagnostic } from "../../compiler/report/diagnostic.ts";
import { renderAll } from "../../compiler/report/render.ts";
import { adapterChoices } from "../../runtime/adapters/find.ts";
import type { Samples } from "../../runtime/data/samples.ts";
import { bytesText } from "../../runtime/faults.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { checkpointPath, loadCheckpoint, type Wanted } from "../../runtime/train/checkpoint.ts";
import { Interrupt } from "../../runtime/train/interrupt.ts";
import type { Length } from "../../runtime/train/loop.ts";
import { durationText } from "../../runtime/train/progress.ts";
import { Trainer, type Outcome } from "../../runtime/train/trainer.ts";
import { classOutput, validationSeed, type ValidationSetup } from "../../runtime/train/validate.ts";
import { readStart, type Starting } from "../../runtime/weights/start.ts";
import { UsageError, type Values } from "../arguments.ts";
import { command as define, exit, type Command } from "../command.ts";
import { inferenceRun, loadFile, parametersOf, trainingRun, type Loaded } from "../compile.ts";
import { againText, bytesAsked } from "../memory.ts";
import { changes, copySources, demandFree, demandWritable, hasRecord, readRecord, startedIn, version, writeRecord, type Asked, type RunRecord } from "../run-folder.ts";
import { table, type Progress, type Terminal } from "../terminal.ts";
import { labelUse, prepareData, spatial, type TrainingData } from "../training-data.ts";

const flags = {
  data: { kind: "text", holds: "DIR", text: "the data set: dataset.json, imagesTr and labelsTr, as nnU-Net lays them out" },
  out: { kind: "text", holds: "DIR", text: "the run's own folder, for checkpoints and the log", short: "o" },
  set: { kind: "pairs", text: "a parameter of the network or a setting of the run, e.g. `--set width=16`" },
  steps: { kind: "integer", least: 1, text: "steps of the whole run; the schedule spans them" },
  batch: { kind: "integer", least: 1, text: "patches per step" },
  patch: { kind: "integers", least: 1, text: "size of a patch in voxels: slices, rows, columns" },
  seed: { kind: "integer", least: 0, text: "where all random choices begin" },
  memory: { kind: "text", holds: "4GiB", text: "what training may take of the device's memory; values are computed again to stay within" },
  resume: { kind: "switch", text: "go on with the run in `--out` from its latest checkpoint" },
  "validate-every": { kind: "integer", least: 0, text: "steps between validations, by default an epoch; 0 for none" },
  "save-every": { kind: "integer", least: 1, text: "steps between checkpoints, by default an epoch" },
  "hold-out": { kind: "integer", least: 0, text: "cases kept for validation; by default a fifth of ten or more, else none" },
  adapter: { kind: "choice", of: adapterChoices, text: "the device to compute on; by default the first that works" },
} as const;

type Given = Values<typeof flags>;

/** The command `train`. */
export const command: Command = define({
  name: "train",
  operands: { name: "FILE RUN", least: 1, most: Infinity },
  flags,
  details: [
    "FILE is a .net file with a `train` run; RUN names one, by default it is the first. Several are trained one after the other, each",
    "into a folder of its name below `--out`; one that crops remembers the run before it as its coarse one.",
    "Channels and classes come from dataset.json. Ctrl-C ends the run after the step and saves it (exit code 130);",
    "the same command with `--resume` goes on from there as if nothing had happened.",
  ].join("\n"),
  run: async ({ values, operands }, terminal) => {
    const { data, out } = values;
    if (data === undefined) throw new UsageError("a data set is missing: `--data DIR`");
    if (out === undefined) throw new UsageError("a folder for the run is missing: `--out DIR`");
    const places = placesOf(operands, out, values.resume);
    for (const { out: folder, before } of places) if (before === undefined) demandFree(folder);
    // Of several, the last must not fail when the first has trained for hours.
    if (places.length > 1) for (const place of places) describe(values, data, place);
    for (const place of places) {
      if (places.length > 1) terminal.say(`${place.run ?? ""}, into ${place.out}`);
      const code = await trainOne(values, data, place, terminal);
      if (code !== exit.done) return code;
    }
    return exit.done;
  },
});

/** A run and its folder. */
interface Place {
  readonly file: string;
  readonly run: string | undefined;
  readonly out: string;
  /** The record of the run that is gone on with. */
  readonly before: RunRecord | undefined;
  /** The run trained before it, seen from its folder. */
  readonly previous: string | undefined;
}

function placesOf([file = "", ...names]: readonly string[], out: string, resume: boolean): readonly Place[] {
  const twice = names.find((name, n) => names.indexOf(name) !== n);
  if (twice !== undefined) throw new UsageError(`the run \`${twice}\` is named twice`);
  if (names.length < 2) return [{ file, run: names[0], out, before: resume ? readRecord(out) : undefined, previous: undefined }];
  return names.map((run, n) => {
    const folder = join(out, run);
    // A stop leaves the runs after it unbegun.
    const before = resume && (n === 0 || hasRecord(folder)) ? readRecord(folder) : undefined;
    return { file, run, out: folder, before, previous: n === 0 ? undefined : join("..", names[n - 1] ?? "") };
  });
}

async function trainOne(values: Given, data: string, place: Place, terminal: Terminal): Promise<number> {
  const { out, before } = place;
  // Both before anything that takes time.
  const checkpoint = before && startedIn(out) ? loadCheckpoint(out, "latest") : undefined;
  demandWritable(out);
  const progress = terminal.progress();
  try {
    const plan = planRun(values, data, place, checkpoint !== undefined, terminal, progress);
    return await withDevice(values, (device) => runOn(device, plan, checkpoint, terminal, progress));
  } finally {
    progress.done();
  }
}

/** A run that is ready for a device. */
interface Planned {
  readonly loaded: Loaded;
  readonly run: string | undefined;
  readonly options: RunOptions;
  readonly settings: RunSettings;
  readonly samples: Samples;
  /** The folder of the coarse run, seen from this run's. */
  readonly coarse: string | undefined;
  readonly training: ReturnType<typeof trainingRun>["training"];
  readonly data: TrainingData;
  readonly length: Length;
  readonly out: string;
  readonly asked: Asked;
  readonly values: Given;
  readonly before: RunRecord | undefined;
  /** Weights of another run to begin with; undefined for random ones, and for a run that goes on. */
  readonly start: Starting | undefined;
}

/** What a place says before its images are read. */
function describe(values: Given, folder: string, { file, run: named, before }: Place) {
  const asked = mergeAsked(values, before?.asked);
  const run = named ?? (before?.run === "" ? undefined : before?.run);
  const loaded = loadFile(file);
  const opened = prepareData.open(folder);
  const { channels, classes } = opened.dataset;
  const options: RunOptions = { set: asked.set, channels: channels.length, classes: classes.length, patch: asked.patch, batch: asked.batch, seed: asked.seed, total: asked.steps };
  const { training, settings, warnings } = trainingRun(loaded, run, options);
  const use = labelUse(settings, asked.set, opened.dataset);
  const patch = spatial(settings);
  return { asked, run, loaded, options, training, settings, use, patch, dataset: opened.dataset, warnings: [...loaded.warnings, ...warnings, ...opened.warnings] };
}

function planRun(values: Given, folder: string, place: Place, goesOn: boolean, terminal: Terminal, progress: Progress): Planned {
  const warn = (findings: readonly Diagnostic[]): void => {
    if (findings.length > 0) terminal.say(`${renderAll(findings, terminal)}\n`);
  };
  const { out, before, previous } = place;
  const { asked, run, loaded, options, training, settings, use, patch, dataset, warnings } = describe(values, folder, place);
  const start = settings.start === undefined || goesOn ? undefined : readStart(settings.start, learnedBy(training.graph), settings.patch.length);
  warn(warnings);
  const data = prepareData.load(dataset, { ...use, patch, seed: settings.seed, holdOut: values["hold-out"] }, before, (text) => progress.update(text));
  warn(data.warnings);
  const total = Math.round(settings.epochs * settings.steps);
  const length = { total, steps: settings.steps, epochs: total / settings.steps };
  const coarse = use.samples.crop === undefined ? undefined : (previous ?? before?.coarse);
  return { loaded, run, options, settings, samples: use.samples, coarse, training, data, length, out, asked, values, before, start };
}

/** What a network learns and keeps, as a checkpoint names it. */
function learnedBy({ weights, states }: Graph): readonly Wanted[] {
  return [...weights, ...states].map(({ path, tensor }) => ({ name: path, shape: shapeOf(tensor) }));
}

/** Flags of the first start hold for a resumed run too, unless they are given anew. */
function mergeAsked(values: Given, before: Asked | undefined): Asked {
  if (values.memory !== undefined) bytesAsked(values.memory);
  const asked = { steps: values.steps, batch: values.batch, patch: values.patch, seed: values.seed, memory: values.memory };
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  return { ...before, ...given, set: { ...before?.set, ...values.set } };
}

/** Bytes that all sessions may take together: what was asked for, else what the device has, if it says. */
function budgetOf({ asked }: Planned, device: Device): number {
  return asked.memory === undefined ? (device.room ?? Infinity) : bytesAsked(asked.memory);
}

async function withDevice<T>(values: Given, use: (device: Device) => Promise<T>): Promise<T> {
  const device = await openDevice(values.adapter === undefined ? {} : { adapter: values.adapter });
  try {
    return await use(device);
  } finally {
    device.close();
  }
}

async function runOn(device: Device, plan: Planned, checkpoint: ReturnType<typeof loadCheckpoint> | undefined, terminal: Terminal, progress: Progress): Promise<number> {
  const { loaded, run, options, settings, data, length, out, values, before } = plan;
  progress.update("planning kernels");
  const started = performance.now();
  const validateEvery = values["validate-every"] ?? settings.steps;
  const watching = validateEvery > 0 ? compile(inferenceRun(loaded, run, { ...options, patch: settings.patch, batch: settings.batch }).graph, device.profile).plan : undefined;
  const { plan: step, again } = compileTraining(plan.training, device.profile, budgetOf(plan, device) - (watching?.bytes ?? 0));
  const onCompiled = (done: number, of: number): void => progress.update(`compiling kernels: ${done} of ${of}`);
  const session = await Session.create(device, step, { onCompiled });
  let validation: ValidationSetup | undefined;
  try {
    if (watching !== undefined) validation = await validationOn(device, watching, plan, validateEvery);
    const compiled = (performance.now() - started) / 1000;
    const record = recordOf(plan, parametersOf(step));
    if (before !== undefined) {
      const changed = changes(out, before, record, loaded.texts);
      if (changed !== undefined) terminal.say(`${renderAll([changed], terminal)}\n`);
    }
    const saveEvery = values["save-every"] ?? settings.steps;
    const meta = { netc: version(), network: settings.network, seed: settings.seed, channels: record.channels, classes: record.classes, patch: record.patch, fingerprint: data.fingerprint };
    const trainer = new Trainer({
      session, validation, cases: data.training, sampling: { seed: settings.seed, batch: settings.batch, patch: record.patch, guide: settings.samples.guide },
      length, folder: out, validateEvery, saveEvery, classes: record.classes, meta, teller: progress,
    });
    if (checkpoint === undefined && before !== undefined) terminal.say(`${out} has no checkpoint yet; the run begins again`);
    if (checkpoint === undefined) await trainer.begin(settings.seed, plan.start);
    else trainer.resume(checkpointPath(out, "latest"), checkpoint);
    progress.done();
    terminal.say(`${introduction(device, plan, session, validation, { compiled, validateEvery, again })}\n`);
    if (trainer.step >= length.total) {
      terminal.print(`nothing to do: ${out} has done ${trainer.step} of ${length.total} steps; \`--steps N\` sets a later end`);
      return exit.done;
    }
    writeRecord(out, { ...record, sources: copySources(out, loaded.texts) });
    return await go(trainer, plan, terminal, progress);
  } finally {
    validation?.session.destroy();
    session.destroy();
  }
}

async function go(trainer: Trainer, { length, out, samples, coarse }: Planned, terminal: Terminal, progress: Progress): Promise<number> {
  const interrupt = new Interrupt(process, () => progress.log("stopping after this step; once more leaves at once"), () => process.exit(exit.interrupted));
  const started = performance.now();
  let outcome: Outcome;
  try {
    outcome = await trainer.run(() => interrupt.asked);
  } finally {
    interrupt.dispose();
    progress.done();
  }
  const best = outcome.best === undefined ? "" : `; best pseudo-Dice (running mean) ${outcome.best.score.toFixed(3)} at step ${outcome.best.step}`;
  const took = durationText((performance.now() - started) / 1000);
  if (outcome.step < length.total) {
    terminal.print(`stopped after step ${outcome.step} of ${length.total}${best}\nsaved in ${out}; the same command with \`--resume\` goes on`);
    return exit.interrupted;
  }
  terminal.print(`trained ${length.total} steps in ${took}${best}\nsaved in ${out}; next: \`netc predict --run ${out} -i IMAGES -o PREDICTIONS${samples.crop !== undefined && coarse === undefined ? " --coarse DIR" : ""}${samples.guide === true ? " --click CASE=i,j,k" : ""}\``);
  return exit.done;
}

async function validationOn(device: Device, plan: Parameters<typeof Session.create>[1], { settings, data, before }: Planned, every: number): Promise<ValidationSetup | undefined> {
  const classes = data.classes.length;
  const output = classOutput(plan, classes);
  if (output === undefined) return undefined;
  const cases = data.heldOut.length > 0 ? data.heldOut : data.training;
  const seed = validationSeed(before?.seed ?? settings.seed);
  const session = await Session.create(device, plan);
  const [d = 1, h = 1, w = 1] = settings.patch;
  return { session, output, cases, classes, sampling: { seed, batch: settings.batch, patch: [d, h, w], guide: settings.samples.guide }, batches: Math.min(50, Math.ceil(every / 5)) };
}

function introduction(device: Device, { settings, samples, data, length, start }: Planned, session: Session, validation: ValidationSetup | undefined, { compiled, validateEvery, again }: { readonly compiled: number; readonly validateEvery: number; readonly again: Again }): string {
  const { plan } = session;
  const watched = data.heldOut.length > 0 ? `${data.heldOut.length} held out` : "none held out";
  const patches = validation === undefined ? 0 : validation.batches * validation.sampling.batch;
  const source = data.heldOut.length > 0 ? `${patches} patches of the held-out cases` : `${patches} other patches of the training cases, as none are held out`;
  return table([
    ["device", `${device.name}${device.software ? ", a software device" : ""}`],
    ["network", `${settings.network}, ${parametersOf(plan).toLocaleString("en")} parameters, ${data.classes.length} classes`],
    ["data", `${data.name}: ${data.training.length} training case${data.training.length === 1 ? "" : "s"}, ${watched}`],
    ...samplesRow(samples, data),
    ["patches", `${settings.patch.join(" x ")} (slices x rows x columns), ${settings.batch} per step`],
    ["memory", `${bytesText(plan.bytes)} for training${validation === undefined ? "" : `, ${bytesText(validation.session.plan.bytes)} for validation`}`],
    ...(again.values.length === 0 ? [] : [["computed again", againText(again)]]),
    ["compiled", `${plan.shaders.length} kernels in ${durationText(compiled)}`],
    ["run", `${length.total} steps, ${settings.steps} to an epoch, seed ${settings.seed}`],
    ...(start === undefined ? [] : [["start", `${start.how} from ${start.path}: ${start.tensors.size} tensors${start.how === "upkern" ? `, resized: ${start.resized.length}` : ""}`]]),
    ["validation", validation === undefined ? "none" : `pseudo-Dice every ${validateEvery} steps on ${source}`],
  ]);
}

function samplesRow({ crop, guide, drop, target }: Samples, { classes }: TrainingData): readonly (readonly [string, string])[] {
  const said = [
    ...(target === undefined ? [] : [`${classes[1]} alone (${target})`]),
    ...(drop === undefined ? [] : [`no parts below ${drop.extent} voxels along an axis or ${drop.voxels} in all`]),
    ...(crop === undefined ? [] : [`cubes of ${crop.factor} long axes, at least ${crop.least} mm`]),
    ...(guide === true ? ["the map of a click as last channel"] : []),
  ];
  return said.length === 0 ? [] : [["samples", said.join("; ")]];
}

function recordOf({ loaded, run, settings, samples, coarse, data, length, asked, before, start }: Planned, parameters: number): Omit<RunRecord, "sources"> {
  const patch = spatial(settings);
  // A cube is resized to the patch, whole.
  const window = samples.crop === undefined ? spatial({ ...settings, patch: settings.window }) : patch;
  return {
    format: 1, netc: version(), file: loaded.path, run: run ?? settings.name, network: settings.network, asked,
    channels: data.channels, classes: data.classes, patch, window, overlap: settings.overlap, blend: settings.blend, batch: settings.batch, seed: settings.seed,
    total: length.total, steps: settings.steps, parameters,
    start: start === undefined ? before?.start : { how: start.how, from: start.path },
    data: { folder: data.folder, training: data.split.training, heldOut: data.split.heldOut },
    fingerprint: data.fingerprint, samples, coarse,
  };
}
