// A `train` run: the network with its loss, the optimiser, and the settings of the trainer.

import type { Run } from "../../grammar/ast.ts";
import { asReal } from "../ir/expr.ts";
import { define, shapeOf, source, type Graph, type Output, type Tensor, type TrainingGraph } from "../ir/graph.ts";
import { diagnostic, Fault, type Diagnostic } from "../report/diagnostic.ts";
import { augmentationOf } from "./augment.ts";
import { demandAlong } from "./dials.ts";
import { fault, finding, newEnv, within } from "./env.ts";
import { newWorld } from "./world.ts";
import { evaluate } from "./evaluating.ts";
import { distinct, guarded, parseTerm } from "./guard.ts";
import { build, graphOf, inputsOf, outputList, targetLayer } from "./instantiate.ts";
import { nearest } from "../report/spelling.ts";
import { clipOf, optimizerOf, scalingOf } from "./optimizer.ts";
import { settle } from "./pointwise.ts";
import { find } from "./module.ts";
import { type Program } from "./program.ts";
import {
  aided, blendSetting, dataOf, entriesOf, mirrorSetting, numberSetting, patienceSetting, precisionSetting, sizeSetting, spacingSetting, startSetting, validationSetting, wholeSetting, type Blend, type DataSettings, type Entries, type Entry, type Precision, type SpacingSetting, type Start,
} from "./settings.ts";
import { frozenIn } from "./freeze.ts";
import { memorySetting } from "./memory.ts";
import { sharesOf } from "./shares.ts";
import { sampleSettings, type SampleSettings } from "./samples.ts";
import { describe, list, realOf, showShape, tensorOf, whole, wholes, type Env, type Layer, type Value, type World } from "./values.ts";

/** What the command line and the data say about a run; it overrules the text. */
export interface RunOptions {
  readonly set?: Readonly<Record<string, string | Value>>;
  readonly channels?: number | undefined;
  readonly classes?: number | undefined;
  /** Labels of each region, where the data's targets are regions: a network has as many classes. */
  readonly regions?: readonly (readonly number[])[] | undefined;
  readonly patch?: readonly number[] | undefined;
  readonly batch?: number | undefined;
  readonly epochs?: number | undefined;
  readonly steps?: number | undefined;
  /** Steps of the whole run, which then has as many epochs as these make, maybe a fraction. */
  readonly total?: number | undefined;
  readonly seed?: number | undefined;
  /** For inference: of how many classes probabilities are wanted, as the one output `shares`, in the place of all others. */
  readonly shares?: number | undefined;
}

/** A run in plain values. */
export interface RunSettings {
  /** The run's name; empty when it has none. */
  readonly name: string;
  readonly network: string;
  readonly data: DataSettings | undefined;
  /** Of the network: those of the images, and one for a guide. */
  readonly channels: number;
  readonly classes: number;
  readonly patch: readonly number[];
  /** Patches of a step. */
  readonly batch: number;
  /** Parts in which a step works through its batch, one after the other. */
  readonly accumulate: number;
  readonly epochs: number;
  readonly steps: number;
  readonly seed: number;
  readonly clip: number | undefined;
  readonly optimizer: string | undefined;
  readonly window: readonly number[];
  /** Share of a window that its neighbour sees too. */
  readonly overlap: number;
  readonly blend: Blend;
  /** Axes of the patch along which inference sees every window mirrored too. */
  readonly mirror: readonly number[];
  readonly samples: SampleSettings;
  /** What images are resampled to. */
  readonly spacing: SpacingSetting;
  /** Whether the loss says what becomes of voxels without annotation: it uses something with `ignore` in its name. */
  readonly ignores: boolean;
  /** Whether the loss is one of regions, of which the background is none: it uses the name `regions`. */
  readonly regional: boolean;
  /** Whose weights the run begins with; undefined for random ones. */
  readonly start: Start | undefined;
  /** Epochs without a better score after which the run ends; undefined for never. */
  readonly patience: number | undefined;
  /** Epochs between validations; undefined for one after each. */
  readonly validateEvery: number | undefined;
  /** Bytes that training and validation may take together; undefined where the text does not say. */
  readonly memory: number | undefined;
  /** How a training step stores the values in between. */
  readonly precision: Precision;
}

export interface Prepared {
  readonly training: TrainingGraph | undefined;
  readonly settings: RunSettings | undefined;
  readonly findings: readonly Diagnostic[];
}

export interface PreparedGraph {
  readonly graph: Graph | undefined;
  readonly settings: RunSettings | undefined;
  readonly findings: readonly Diagnostic[];
}

/** The training graph of a run; the first `train` of the file when no name is given. */
export function prepareTraining(program: Program, runName: string | Run | undefined, options: RunOptions = {}): Prepared {
  const world = newWorld(true);
  const findings: Diagnostic[] = [];
  const made = guarded(world, findings, () => {
    const run = typeof runName === "object" ? runName : runOf(program, runName, ["train"]);
    const scene = open(run, program, world, options);
    for (const [name, entry] of scene.entries.dials) turn(name, entry, scene);
    return trainingOf(scene, world, program, options, findings);
  });
  findings.push(...world.findings);
  return { training: made?.training, settings: made?.settings, findings: distinct(findings) };
}

/** The network of a run for validation and inference: no training branches, dials at their defaults, its outputs. */
export function prepareInference(program: Program, runName: string | Run | undefined, options: RunOptions = {}): PreparedGraph {
  const world = newWorld(false);
  const findings: Diagnostic[] = [];
  const made = guarded(world, findings, () => {
    const run = typeof runName === "object" ? runName : runOf(program, runName, ["train", "infer"]);
    const scene = open(run, program, world, options);
    const { settings } = scene;
    const size = run.mode === "infer" ? settings.window : settings.patch;
    const inputs = inputsOf(scene.layer, [[settings.batch, settings.channels, ...size]], scene.env, run.target.span);
    const value = network(scene, world, program, inputs);
    const outputs = outputList(value, scene.env, run.target.span);
    const wanted = options.shares === undefined ? outputs : sharesOf(outputs, { batch: settings.batch, classes: options.shares, size }, { ...scene.env, world }, run.target.span);
    return { graph: graphOf(settings.network, world, inputs, wanted), settings };
  });
  findings.push(...world.findings);
  return { graph: made?.graph, settings: made?.settings, findings: distinct(findings) };
}

function runOf(program: Program, name: string | undefined, modes: readonly Run["mode"][]): Run {
  const runs = program.main.file.items.flatMap((i) => (i.kind === "run" && modes.includes(i.mode) ? [i] : []));
  const run = name === undefined ? runs[0] : runs.find((r) => r.name?.text === name);
  if (run) return run;
  const names = runs.flatMap((r) => (r.name ? [r.name.text] : []));
  const near = name === undefined ? undefined : nearest(name, names);
  throw new Fault(diagnostic("N0805", name === undefined ? `\`${program.main.path}\` has no \`train\`` : `\`${program.main.path}\` has no run \`${name}\``, {
    facts: names.length > 0 ? [`Its runs: ${names.join(", ")}.`] : [],
    hint: near ? `did you mean \`${near}\`?` : "a run begins `train name for Network(…) { … }`",
  }));
}

interface Scene {
  readonly run: Run;
  readonly env: Env;
  readonly entries: Entries;
  readonly layer: Layer;
  readonly settings: RunSettings;
  readonly set: Readonly<Record<string, string | Value>>;
}

const settingNames: ReadonlySet<string> = new Set(["patch", "batch", "epochs", "steps", "seed", "clip", "window", "overlap", "blend", "mirror", "start", "stop", "best", "loss", "optimizer", "target", "spacing", "accumulate", "freeze", "memory", "augment", "precision"]);

function open(run: Run, program: Program, world: World, options: RunOptions): Scene {
  const env = newEnv(program.main, world);
  const written = entriesOf(run, program.main, env);
  const { entries, set } = overridden(written, options.set ?? {}, run);
  const { layer, name } = targetLayer(run.target, env);
  const dataEntry = entries.settings.get("data");
  const data = dataEntry && dataSet(dataEntry, env);
  const patch = options.patch ?? sizeSetting(entries, "patch", env);
  const inference = inferEntries(run, program, name, env) ?? entries;
  /** What a run does not say of inference, the network's `infer` says. */
  const saying = (setting: string): Entries => (entries.settings.has(setting) ? entries : inference);
  // A patch from outside takes the window with it: weights may depend on the size.
  const resized = options.patch !== undefined || "patch" in (options.set ?? {});
  const window = sizeSetting(resized ? entries : saying("window"), "window", env) ?? patch;
  const size = patch ?? window;
  if (!size || !window) {
    throw fault(env, "N0805", `this run needs \`${run.mode === "train" ? "patch" : "window"}\``, run.target.span, "how large is a piece of an image?", {
      hint: "`patch = [128, 128, 128]`",
    });
  }
  const samples = sampleSettings(entries, env);
  // A single target is told from the background.
  const classes = wholeOf(set["classes"], env) ?? (samples.target === undefined ? options.classes : 2);
  const steps = options.steps ?? wholeSetting(entries, "steps", 250, env);
  const regional = lossMentions(/\bregions\b/, entries);
  const settings: RunSettings = {
    name: run.name?.text ?? "", network: name, data,
    channels: (options.channels ?? channelsOf(data) ?? 1) + (samples.guide ? 1 : 0),
    classes: classesOf(layer, { ...options, classes }, data, regional, env, run),
    patch: size, window,
    batch: options.batch ?? wholeSetting(entries, "batch", run.mode === "train" ? 2 : 1, env),
    accumulate: wholeSetting(entries, "accumulate", 1, env),
    epochs: options.epochs ?? (options.total === undefined ? wholeSetting(entries, "epochs", 1000, env) : options.total / steps),
    steps,
    seed: options.seed ?? wholeSetting(entries, "seed", 0, env),
    clip: numberSetting(entries, "clip", env),
    optimizer: undefined,
    overlap: overlapOf(saying("overlap"), env),
    blend: blendSetting(saying("blend"), env),
    mirror: mirrorSetting(saying("mirror"), size.length, env) ?? mirroredIn(entries, size, env),
    samples,
    spacing: spacingSetting(entries, env),
    ignores: lossMentions(/ignore/, entries),
    regional,
    start: startSetting(entries, env),
    patience: patienceSetting(entries, env),
    validateEvery: validationSetting(entries, env),
    memory: memorySetting(entries, env),
    precision: precisionSetting(entries, env),
  };
  world.dials.set("epochs", { name: "epochs", value: settings.epochs });
  world.dials.set("steps", { name: "steps", value: settings.steps });
  return { run, env, entries, layer, settings, set };
}

/** Axes along which training mirrors: so prediction does, where nothing else is said. */
function mirroredIn(entries: Entries, size: readonly number[], env: Env): readonly number[] {
  return augmentationOf(entries, { patch: [1, 1, ...size], guide: false }, { ...env, world: newWorld(false) }).mirrored;
}

function lossMentions(what: RegExp, { settings, aids }: Entries): boolean {
  return [settings.get("loss"), ...aids.values()].some((entry) => entry !== undefined && what.test(textOf(entry)));
}

function textOf({ term: { span } }: Entry): string {
  return span.file.text.slice(span.start, span.end);
}

/** `--set batch=1` is a setting of the run, anything else a parameter of the network. */
function overridden(entries: Entries, set: Readonly<Record<string, string | Value>>, run: Run): { entries: Entries; set: Readonly<Record<string, string | Value>> } {
  const settings = new Map(entries.settings);
  const rest: Record<string, string | Value> = {};
  for (const [name, value] of Object.entries(set)) {
    const { term, findings } = typeof value === "string" && settingNames.has(name) ? parseTerm(value, `--set ${name}`) : { term: undefined, findings: [] };
    if (findings.length > 0) throw new Fault(...findings);
    if (term) settings.set(name, { term, span: run.target.span });
    else rest[name] = value;
  }
  return { entries: { ...entries, settings }, set: rest };
}

function inferEntries(run: Run, program: Program, name: string, env: Env): Entries | undefined {
  const other = program.main.file.items.find((i): i is Run => i.kind === "run" && i !== run && i.mode === "infer" && targetName(i) === name);
  return other && entriesOf(other, program.main, env);
}

function overlapOf(entries: Entries, env: Env): number {
  const overlap = numberSetting(entries, "overlap", env) ?? 0.5;
  const span = entries.settings.get("overlap")?.term.span;
  if (span && !(overlap >= 0 && overlap < 1)) throw fault(env, "N0804", `\`overlap\` is at least 0 and less than 1, this is ${overlap}`, span, "");
  return overlap;
}

function targetName(run: Run): string | undefined {
  const head = run.target.kind === "call" ? run.target.head : run.target;
  return head.kind === "name" ? head.text : undefined;
}

function dataSet(entry: Entry, env: Env): DataSettings {
  const v = evaluate(entry.term, env);
  if (v.kind === "data") return dataOf(v.item, v.module, env);
  throw fault(env, "N0804", `\`data\` names a data set, this is ${describe(v)}`, entry.term.span, "e.g. `data Btcv { … }`");
}

function channelsOf(data: DataSettings | undefined): number | undefined {
  const channels = data?.settings["channels"];
  return typeof channels === "number" ? channels : Array.isArray(channels) ? channels.length : undefined;
}

/** The value of a `--set`, where it is a whole number. */
function wholeOf(given: string | Value | undefined, env: Env): number | undefined {
  const term = typeof given === "string" ? parseTerm(given, "--set").term : undefined;
  const v = term ? evaluate(term, env) : typeof given === "string" ? undefined : given;
  return v?.kind === "int" ? v.value : undefined;
}

function classesOf(layer: Layer, options: RunOptions, data: DataSettings | undefined, regional: boolean, env: Env, run: Run): number {
  const named = options.classes ?? (data && data.classes.length > 0 ? data.classes.length : undefined);
  // The background is no region.
  const asked = named === undefined || !regional || options.regions !== undefined ? named : named - 1;
  const own = layer.given.find((g) => g.name === "classes");
  const has = own?.value.kind === "int" ? own.value.value : undefined;
  if (!layer.item.ports.some((p) => p.name.text === "classes")) return asked ?? has ?? 2;
  if (has === undefined && asked === undefined) {
    throw fault(env, "N0805", `how many classes has \`${layer.item.name.text}\`?`, run.target.span, "neither the network nor a data set says", {
      hint: "give `classes = …`, or a `data` with class names",
    });
  }
  // Independent targets have no channel for the background.
  if (has !== undefined && asked !== undefined && has !== asked && has !== asked - 1) {
    throw fault(env, "N0802", `the network has ${has} classes, ${data ? `\`${data.name}\` names` : "the data has"} ${asked}`, own?.span ?? run.target.span,
      data ? `${data.classes.slice(0, 3).join(", ")}${data.classes.length > 3 ? ", …" : ""} (${asked})` : "", {
        hint: has === 1 ? "`target = …` in the run makes one class of the data the foreground" : undefined,
      });
  }
  return has ?? asked ?? 2;
}

function network(scene: Scene, world: World, program: Program, inputs: readonly Tensor[]): Value {
  const { layer, settings, env, run } = scene;
  const named = layer.given.some((g) => g.name === "classes") || !layer.item.ports.some((p) => p.name.text === "classes");
  const set = named || "classes" in scene.set ? scene.set : { ...scene.set, classes: whole(settings.classes) };
  return build(layer, set, inputs, { ...env, world }, run.target.span, program);
}

/** `dial temperature = …` in a run: the dial becomes that expression. */
function turn(name: string, entry: Entry, { env, settings }: Scene): void {
  const meaning = find(env.module, name);
  if (meaning?.kind !== "item" || meaning.item.kind !== "dial") {
    throw fault(env, "N0804", `there is no dial \`${name}\` here`, entry.span, "import it, or declare it: `dial name = 1`");
  }
  const e = realOf(evaluate(entry.term, env, true));
  if (!e) throw fault(env, "N0804", "a dial is turned to a number", entry.term.span, "");
  demandAlong(meaning.item, meaning.module, e, settings, entry.span, env);
  env.world.turned.set(name, e);
}

function trainingOf(scene: Scene, world: World, program: Program, options: RunOptions, findings: Diagnostic[]): { training: TrainingGraph; settings: RunSettings } {
  const { run, entries, settings } = scene;
  const batch = partOf(scene);
  const { span } = run.target;
  const seen = { patch: [batch, settings.channels, ...settings.patch], guide: settings.samples.guide };
  const augmentation = augmentationOf(entries, seen, scene.env);
  const inputs = inputsOf(scene.layer, [[batch, settings.channels, ...augmentation.load]], scene.env, span);
  const label = source("label", [batch, 1, ...augmentation.load], { span, path: "label" });
  const shown = inputs.slice(0, 1).map((image) => augmentation.apply(image, label));
  const value = network(scene, world, program, shown.map((one) => one.image));
  const names = [...inputs.map((t) => t.name), "label"];
  const env = lossEnv(scene, options.regions ?? eachClass(settings.classes), value, shown.flatMap((one) => [one.image, one.label]).map((t, i) => [names[i] ?? "", t]));
  const need = (name: string): Entry => entries.settings.get(name) ?? missing(name, scene);
  const loss = lossOf(need("loss"), env);
  const term = need("optimizer").term;
  const optimizer = optimizerOf(term, env);
  const clipTerm = entries.settings.get("clip")?.term;
  const clip = settings.clip === undefined || !clipTerm ? undefined : clipOf(settings.clip, program.main.library, clipTerm, env);
  const scaling = settings.precision === "half" ? scalingOf(program.main.library, term, env) : undefined;
  // Tried once, so that mistakes show now and every dial it reads is known.
  const tried = source("w", [1], { span: term.span, path: "w" });
  optimizer.update(tried, tried);
  const rate = optimizer.rate && define("rate", [], asReal(optimizer.rate), { span: term.span, path: "rate" });
  const dials = [...world.turned].map(([name, value]): Output => ({ name: `dial/${name}`, tensor: define(`dial/${name}`, [], asReal(value), { span: scene.entries.dials.get(name)?.span ?? run.target.span, path: `dial/${name}` }) }));
  const outputs: Output[] = [{ name: "loss", tensor: loss }, ...(rate ? [{ name: "rate", tensor: rate }] : []), ...dials];
  const { graph, learned } = frozenIn(graphOf(settings.network, world, [...inputs, label], outputs), entries, env);
  findings.push(...idleDials(graph, scene));
  const heads = outputList(value, scene.env, run.target.span);
  return { training: { graph, heads, loss, learned, parts: settings.accumulate, update: optimizer.update, clip, scaling }, settings: { ...settings, optimizer: optimizer.name } };
}

/** Patches of one part of a step; N0804 where the parts are not equal. */
function partOf({ settings: { batch, accumulate }, entries, env, run }: Scene): number {
  if (batch % accumulate === 0) return batch / accumulate;
  const span = entries.settings.get("accumulate")?.term.span ?? run.target.span;
  throw fault(env, "N0804", `a batch of ${batch} does not come in ${accumulate} equal parts`, span, "`batch` is all that a step sees; `accumulate` divides it", {
    hint: `\`batch = ${accumulate * Math.ceil(batch / accumulate)}\``,
  });
}

function missing(name: string, { env, run }: Scene): never {
  throw fault(env, "N0805", `this run needs \`${name}\``, run.target.span, "not given", {
    hint: name === "loss" ? "`loss = dice_ce(logits, label, batch = false)`" : "`optimizer = adamw(lr = 1e-3)`",
  });
}

/** Where no regions are declared, every class but the background is one. */
function eachClass(classes: number): readonly (readonly number[])[] {
  return Array.from({ length: classes }, (_, n) => [n + 1]);
}

/** Where the loss is evaluated: outputs, inputs, the label and `regions` by name, then what the run defines for itself. */
function lossEnv(scene: Scene, regions: readonly (readonly number[])[], value: Value, inputs: readonly (readonly [string, Tensor])[]): Env {
  const { env, run, entries } = scene;
  const outputs = value.kind === "net" ? [...value.outputs] : [["y", value] as const];
  const names: (readonly [string, Value])[] = [["regions", list(regions.map(wholes))], ...inputs.map(([name, t]) => [name, tensorOf(t)] as const), ...outputs];
  const inner = within({ ...env, place: { ...env.place, path: "loss", body: "loss" } }, names, run.target.span);
  return aided(entries, inner);
}

function lossOf(entry: Entry, env: Env): Tensor {
  const v = settle(evaluate(entry.term, env), "loss");
  if (v.kind === "tensor" && v.tensor.axes.length === 0) return v.tensor;
  const text = v.kind === "tensor" ? showShape(shapeOf(v.tensor)) : describe(v);
  throw fault(env, "N0801", `the loss must be one number, this is ${text}`, entry.span, "", {
    hint: "finish with a reduction, e.g. `y[] = mean[n, k](…)`",
  });
}

const clock: ReadonlySet<string> = new Set(["step", "epoch", "epochs", "steps"]);

function idleDials(graph: Graph, { env, entries, run, set }: Scene): readonly Diagnostic[] {
  return graph.dials.filter((d) => !clock.has(d.name) && !entries.dials.has(d.name) && !(d.name in set)).map((d) =>
    finding(env, "W0803", `\`${d.name}\` keeps its default while training`, { ...run.span, end: run.span.start + "train".length }, `it stays at ${d.value}`, {
      hint: `add \`dial ${d.name} = …\``,
    }));
}
