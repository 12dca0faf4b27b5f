// `netc train`: learns the weights of a network from a folder of images and labels.

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Again } from "../../compiler/pipeline.ts";
import { compile, compileTraining } from "../../compiler/pipeline.ts";
import type { RunOptions, RunSettings } from "../../compiler/front/front.ts";
import { shapeOf, type Graph } from "../../compiler/ir/graph.ts";
import type { Launch } from "../../compiler/kernels/ranges.ts";
import type { Plan } from "../../compiler/plan/plan.ts";
import { diagnostic, Fault, type Diagnostic } from "../../compiler/report/diagnostic.ts";
import { renderAll } from "../../compiler/report/render.ts";
import { adapterChoices } from "../../runtime/adapters/find.ts";
import type { Samples } from "../../runtime/data/samples.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { bytesText } from "../../runtime/faults.ts";
import { SliceKeeper } from "../../runtime/report/slices.ts";
import { Session } from "../../runtime/session.ts";
import { checkpointPath, loadCheckpoint, type Wanted } from "../../runtime/train/checkpoint.ts";
import { Interrupt } from "../../runtime/train/interrupt.ts";
import type { Length } from "../../runtime/train/loop.ts";
import { memoryOf } from "../../runtime/train/memory.ts";
import { durationText, shareText } from "../../runtime/train/progress.ts";
import { Trainer, type Outcome } from "../../runtime/train/trainer.ts";
import { classOutput, validationSeed, type ValidationSetup } from "../../runtime/train/validate.ts";
import { readStart, type Starting } from "../../runtime/weights/start.ts";
import { UsageError, type Values } from "../arguments.ts";
import { command as define, exit, type Command } from "../command.ts";
import { inferenceRun, loadFile, parametersOf, trainingRun, type Loaded } from "../compile.ts";
import { advised, type Size } from "../fitting.ts";
import { dropValidation, validateWhole } from "../final-validation.ts";
import { introduction } from "../introduction.ts";
import { bytesAsked } from "../memory.ts";
import { changes, copySources, demandFree, demandWritable, hasRecord, readRecord, startedIn, version, wantedOf, writeRecord, type Asked, type RunRecord } from "../run-folder.ts";
import { clearDrafts, Reporter, summaryPath, writePlan, writeReport, type PlanRecord } from "../run-report.ts";
import { quietly, type Progress, type Terminal } from "../terminal.ts";
import { labelUse, prepareData, spatial, type TrainingData } from "../training-data.ts";
import { Transcript } from "../transcript.ts";
import { writtenIn } from "../written-in.ts";

const flags = {
  data: { kind: "text", holds: "DIR", text: "the data set: dataset.json, imagesTr and labelsTr, as nnU-Net lays them out" },
  out: { kind: "text", holds: "DIR", text: "the run's own folder, for checkpoints and the log", short: "o" },
  set: { kind: "pairs", text: "a parameter of the network or a setting of the run, e.g. `--set width=16`" },
  epochs: { kind: "integer", least: 1, text: "epochs of the run; the schedule spans them" },
  steps: { kind: "integer", least: 1, text: "steps of the whole run, in place of epochs; the schedule spans them" },
  batch: { kind: "integer", least: 1, text: "patches per step" },
  patch: { kind: "integers", least: 1, text: "size of a patch in voxels: slices, rows, columns" },
  seed: { kind: "integer", least: 0, text: "where all random choices begin" },
  memory: { kind: "text", holds: "4GiB", text: "what training may take of the device's memory; values are computed again to stay within" },
  resume: { kind: "switch", text: "go on with the run in `--out` from its latest checkpoint" },
  "validate-every": { kind: "integer", least: 0, text: "steps between validations, by default an epoch; 0 for none" },
  "save-every": { kind: "integer", least: 1, text: "steps between checkpoints, by default an epoch" },
  fold: { kind: "integer", least: 0, text: "the fold to hold out, counted from 0: of splits_final.json in the data set, else nnU-Net's five" },
  "hold-out": { kind: "integer", least: 0, text: "cases kept for validation; by default a fifth of ten or more, else none" },
  "no-final": { kind: "switch", text: "do not predict and score the held-out cases, whole, at the end" },
  quiet: { kind: "switch", text: "say nothing but what is wrong, and the result", short: "q" },
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
    if (values.steps !== undefined && values.epochs !== undefined) throw new UsageError("`--steps` and `--epochs` exclude each other", "both say how long the run is");
    if (values.fold !== undefined && values["hold-out"] !== undefined) throw new UsageError("`--fold` and `--hold-out` exclude each other");
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

async function trainOne(values: Given, data: string, place: Place, loud: Terminal): Promise<number> {
  const { out, before } = place;
  const transcript = new Transcript(values.quiet ? quietly(loud) : loud);
  const { terminal } = transcript;
  // Both before anything that takes time.
  const checkpoint = before && startedIn(out) ? loadCheckpoint(out, "latest") : undefined;
  demandWritable(out);
  const progress = terminal.progress();
  try {
    const plan = await planRun(values, data, place, checkpoint !== undefined, terminal, progress);
    return await withDevice(values, async (device) => {
      const code = await runOn(device, plan, checkpoint, transcript, progress);
      if (code !== exit.done || values["no-final"]) return code;
      transcript.open(out);
      return await finalOn(device, out, terminal, progress);
    });
  } catch (thrown) {
    if (thrown instanceof Fault) keepFindings(transcript, thrown);
    throw thrown;
  } finally {
    progress.done();
  }
}

/** The dispatcher says what went wrong; a run's log should tell it too. */
function keepFindings(transcript: Transcript, fault: Fault): void {
  try {
    transcript.keep(renderAll(fault.findings, { colour: false }));
  } catch {
    // A disk that is full may be the very thing that is told.
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
  const options: RunOptions = { set: asked.set, ...wantedOf(opened.dataset), patch: asked.patch, batch: asked.batch, seed: asked.seed, total: asked.steps, epochs: asked.epochs };
  const { training, settings, warnings } = trainingRun(loaded, run, options);
  const use = labelUse(settings, asked.set, opened.dataset);
  const patch = spatial(settings);
  return { asked, run, loaded, options, training, settings, use, patch, dataset: opened.dataset, warnings: [...loaded.warnings, ...warnings, ...opened.warnings] };
}

async function planRun(values: Given, folder: string, place: Place, goesOn: boolean, terminal: Terminal, progress: Progress): Promise<Planned> {
  const warn = (findings: readonly Diagnostic[]): void => {
    if (findings.length > 0) terminal.say(`${renderAll(findings, terminal)}\n`);
  };
  const { out, before, previous } = place;
  const { asked, run, loaded, options, training, settings, use, patch, dataset, warnings } = describe(values, folder, place);
  const start = settings.start === undefined || goesOn ? undefined : readStart(settings.start, learnedBy(training.graph), settings.patch.length);
  warn(warnings);
  const data = await prepareData.load(dataset, { ...use, patch, spacing: settings.spacing, ignores: settings.ignores, regional: settings.regional, seed: settings.seed, holdOut: values["hold-out"], fold: values.fold }, before, (text, share) => progress.update(text, share));
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
  const asked = { steps: values.steps, epochs: values.epochs, batch: values.batch, patch: values.patch, seed: values.seed, memory: values.memory };
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  // A new length in one unit replaces one in the other.
  const length = values.steps === undefined && values.epochs === undefined ? {} : { steps: values.steps, epochs: values.epochs };
  return { ...before, ...given, ...length, set: { ...before?.set, ...values.set } };
}

/** Bytes that all sessions may take together: what was asked for, else what the device has, if it says. */
function budgetOf({ asked, settings }: Planned, device: Device): number {
  return (asked.memory === undefined ? settings.memory : bytesAsked(asked.memory)) ?? device.room ?? Infinity;
}

async function withDevice<T>(values: Given, use: (device: Device) => Promise<T>): Promise<T> {
  const device = await openDevice(values.adapter === undefined ? {} : { adapter: values.adapter });
  try {
    return await use(device);
  } finally {
    device.close();
  }
}

async function runOn(device: Device, plan: Planned, checkpoint: ReturnType<typeof loadCheckpoint> | undefined, transcript: Transcript, progress: Progress): Promise<number> {
  const { loaded, settings, data, length, out, values, before } = plan;
  const { terminal } = transcript;
  progress.update("planning kernels");
  const started = performance.now();
  const validateEvery = values["validate-every"] ?? settings.steps * (settings.validateEvery ?? 1);
  let session: Session | undefined;
  let validation: ValidationSetup | undefined;
  try {
    const made = plansOf(device, plan, validateEvery > 0);
    session = await Session.create(device, made.step, { onCompiled: (done, of) => progress.update(`compiling kernels: ${done} of ${of}`, done / of) });
    if (made.watching !== undefined) validation = await validationOn(device, made.watching, plan, validateEvery, (done, of) => progress.update(`compiling kernels of validation: ${done} of ${of}`, done / of));
    const compiled = (performance.now() - started) / 1000;
    const record = recordOf(plan, parametersOf(made.step));
    if (before !== undefined) {
      const changed = changes(out, before, record, loaded.texts);
      if (changed !== undefined) terminal.say(`${renderAll([changed], terminal)}\n`);
    }
    const saveEvery = values["save-every"] ?? settings.steps;
    const meta = { netc: version(), network: settings.network, seed: settings.seed, channels: record.channels, classes: record.classes, patch: record.patch, fingerprint: data.fingerprint };
    const keeper = validation && new SliceKeeper(record.patch, validation.cases, data.labels);
    const reporter = new Reporter(out, keeper, () => trainer.step);
    const trainer: Trainer = new Trainer({
      session, validation, cases: data.training, sampling: { seed: settings.seed, batch: settings.batch, patch: record.patch, guide: settings.samples.guide },
      length, folder: out, validateEvery, saveEvery, classes: record.classes, meta, teller: progress,
      within: writtenIn(made.launches),
      patience: settings.patience === undefined ? undefined : settings.patience * settings.steps,
      watcher: reporter,
    });
    if (checkpoint === undefined && before !== undefined) terminal.say(`${out} has no checkpoint yet; the run begins again`);
    if (checkpoint === undefined) await trainer.begin(settings.seed, plan.start);
    else trainer.resume(checkpointPath(out, "latest"), checkpoint);
    progress.done();
    const memory = planRecord(device, made, session, validation);
    const introduced = introduction(device, plan, session, validation, memory, { compiled, validateEvery, again: made.again });
    if (values.quiet) transcript.keep(introduced);
    else terminal.say(`${introduced}\n`);
    if (trainer.finished) {
      const why = trainer.exhausted ? `${out} has ended at step ${trainer.step}, as nothing got better for ${settings.patience ?? 0} epochs; \`--set stop=none\` goes on` : `${out} has done ${trainer.step} of ${length.total} steps; \`--steps N\` sets a later end`;
      terminal.print(`nothing to do: ${why}`);
      return exit.done;
    }
    clearDrafts(out);
    dropValidation(out);
    writeRecord(out, { ...record, sources: copySources(out, loaded.texts) });
    writePlan(out, memory);
    transcript.open(out);
    return await go(trainer, reporter, plan, terminal, progress);
  } catch (thrown) {
    throw advised(thrown, settings, device, (size) => trialPlan(device, plan, size, validateEvery > 0), (text) => progress.update(text));
  } finally {
    validation?.session.destroy();
    session?.destroy();
  }
}

/** Scores the held-out cases, when the sessions of the training are gone. */
async function finalOn(device: Device, out: string, terminal: Terminal, progress: Progress): Promise<number> {
  if (existsSync(summaryPath(out))) return exit.done;
  const interrupt = new Interrupt(process, () => progress.log("stopping after this case; once more leaves at once"), () => process.exit(exit.interrupted));
  try {
    const found = await validateWhole(device, out, progress, () => interrupt.asked);
    progress.done();
    if (found === undefined) return exit.done;
    const { mean, cases, findings } = found;
    if (findings.length > 0) terminal.say(renderAll(findings, terminal));
    if (mean === undefined) terminal.print(`not all ${cases} held-out cases are predicted; the same command with \`--resume\` goes on`);
    else terminal.print(`Dice over ${cases} held-out case${cases === 1 ? "" : "s"}: ${mean === null ? "n/a" : mean.toFixed(3)}; by case and class in ${summaryPath(out)}`);
    writeReport(out);
    return interrupt.asked ? exit.interrupted : findings.length > 0 ? exit.fault : exit.done;
  } finally {
    interrupt.dispose();
  }
}

/** The plans of a run: a step, and a prediction where it validates. */
function plansOf(device: Device, plan: Planned, validates: boolean): { readonly step: Plan; readonly again: Again; readonly launches: readonly Launch[]; readonly watching: Plan | undefined } {
  const { loaded, run, options, settings } = plan;
  const watching = validates ? compile(inferenceRun(loaded, run, { ...options, patch: settings.patch, batch: settings.batch / settings.accumulate }).graph, device.profile).plan : undefined;
  const left = budgetOf(plan, device) - (watching?.bytes ?? 0);
  if (left <= 0) {
    throw new Fault(diagnostic("N0909", `validation alone takes ${bytesText(watching?.bytes ?? 0)}, more than the memory that is given`, {
      facts: ["It is there beside training, with patches and batches of the same size."], hint: "give more `--memory`, or train without validation: `--validate-every 0`",
    }));
  }
  try {
    const { plan: step, again, launches } = compileTraining(plan.training, device.profile, left);
    return { step, again, launches, watching };
  } catch (thrown) {
    const besides = watching === undefined ? "" : `Validation takes ${bytesText(watching.bytes)} besides, which \`--memory\` must hold too.`;
    throw thrown instanceof Fault && besides !== "" ? new Fault(...thrown.findings.map((one) => (one.code === "N0909" ? { ...one, facts: [...one.facts, besides] } : one))) : thrown;
  }
}

/** A step of another size; throws where there is none. */
function trialPlan(device: Device, plan: Planned, { patch, accumulate }: Size, validates: boolean): Plan {
  const { training, settings } = trainingRun(plan.loaded, plan.run, { ...plan.options, patch, set: { ...plan.options.set, accumulate: String(accumulate) } });
  return plansOf(device, { ...plan, training, settings }, validates).step;
}

function planRecord(device: Device, { again }: { readonly again: Again }, session: Session, validation: ValidationSetup | undefined): PlanRecord {
  return {
    format: 1, device: { name: device.name, kind: device.kind, largestBinding: device.profile.maxBinding, free: device.room ?? null },
    training: memoryOf(session.plan), validation: validation === undefined ? null : memoryOf(validation.session.plan),
    again: { values: again.values.reduce((n, { times }) => n + times, 0), share: again.otherwise === 0 ? 0 : again.flops / again.otherwise },
  };
}

async function go(trainer: Trainer, reporter: Reporter, { length, out, samples, coarse, settings }: Planned, terminal: Terminal, progress: Progress): Promise<number> {
  const interrupt = new Interrupt(process, () => progress.log("stopping after this step, or this batch of a validation; once more leaves at once"), () => process.exit(exit.interrupted));
  const started = performance.now();
  let outcome: Outcome;
  try {
    outcome = await trainer.run(() => interrupt.asked);
  } finally {
    interrupt.dispose();
    progress.done();
    reporter.finish();
  }
  const best = outcome.best === undefined ? "" : `; best pseudo-Dice (running mean) ${outcome.best.score.toFixed(3)} at step ${outcome.best.step}`;
  const took = durationText((performance.now() - started) / 1000);
  if (!outcome.finished) {
    terminal.print(`stopped after step ${outcome.step} of ${length.total}${outcome.step < length.total ? "" : ", before it was validated"}${best}\nsaved in ${out}; the same command with \`--resume\` goes on`);
    return exit.interrupted;
  }
  const how = outcome.step < length.total ? `ended after step ${outcome.step} of ${length.total}, as nothing got better for ${settings.patience ?? 0} epochs` : `trained ${length.total} steps in ${took}`;
  const ended = `${how}, ${shareText(outcome.waited)} of the steps' time waiting for data`;
  terminal.print(`${ended}${best}\nsaved in ${out}; next: \`netc predict --run ${out} -i IMAGES -o PREDICTIONS${samples.crop !== undefined && coarse === undefined ? " --coarse DIR" : ""}${samples.guide === true ? " --click CASE=i,j,k" : ""}\``);
  return exit.done;
}

async function validationOn(device: Device, plan: Plan, { settings, data, before }: Planned, every: number, onCompiled: (done: number, of: number) => void): Promise<ValidationSetup | undefined> {
  const classes = data.classes.length;
  const output = classOutput(plan, classes);
  if (output === undefined) return undefined;
  const cases = data.heldOut.length > 0 ? data.heldOut : data.training;
  const seed = validationSeed(before?.seed ?? settings.seed);
  const session = await Session.create(device, plan, { onCompiled });
  const [d = 1, h = 1, w = 1] = settings.patch;
  return { session, output, cases, classes, regions: data.regions, sampling: { seed, batch: settings.batch, patch: [d, h, w], guide: settings.samples.guide }, batches: Math.min(50, Math.ceil(every / 5)) };
}

function recordOf({ loaded, run, settings, samples, coarse, data, length, asked, before, start }: Planned, parameters: number): Omit<RunRecord, "sources"> {
  const patch = spatial(settings);
  // A cube is resized to the patch, whole.
  const window = samples.crop === undefined ? spatial({ ...settings, patch: settings.window }) : patch;
  return {
    format: 1, netc: version(), file: loaded.path, run: run ?? settings.name, network: settings.network, asked,
    channels: data.channels, classes: data.classes, regions: data.regions, patch, window, overlap: settings.overlap, blend: settings.blend, mirror: settings.mirror, batch: settings.batch, seed: settings.seed,
    total: length.total, steps: settings.steps, parameters,
    start: start === undefined ? before?.start : { how: start.how, from: start.path },
    data: { folder: data.folder, training: data.split.training, heldOut: data.split.heldOut },
    fingerprint: data.fingerprint, samples, coarse,
  };
}
