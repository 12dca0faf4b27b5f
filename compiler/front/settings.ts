// What a `train`, an `infer` or a `data` says, as plain values for the trainer.

import type { Body, Item, Run, Statement, Term } from "../../grammar/ast.ts";
import type { Span } from "../source.ts";
import { fault, lazy, newEnv, newScope } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import { nearest } from "../report/spelling.ts";
import type { Module, Written } from "./module.ts";
import { settle } from "./pointwise.ts";
import { describe, show, type Env, type Value } from "./values.ts";
import { bare } from "./walk.ts";

/** A word with arguments, as in `clip(-160, 240)`, or a plain value. */
export type Setting = number | boolean | string | readonly Setting[] | Word;

export interface Word {
  readonly name: string;
  readonly args: readonly Setting[];
  readonly named: Readonly<Record<string, Setting>>;
}

/** A data set as the language describes it. */
export interface DataSettings {
  readonly name: string;
  readonly classes: readonly string[];
  readonly settings: Readonly<Record<string, Setting>>;
}

/** The words each setting takes; a setting that is absent takes plain values. */
const vocabulary: Readonly<Record<string, readonly string[]>> = {
  start: ["load", "upkern", "none"],
  stop: ["patience", "none"],
  best: ["validate", "none"],
  blend: ["gaussian", "uniform"],
  mirror: ["all", "none"],
  precision: ["half", "single"],
  prepare: ["clip", "standardize_intensity", "standardize", "rescale", "percentiles"],
  split: ["folds", "all"],
  guide: ["click"],
  crop: ["long_axis"],
  drop: ["small"],
};

const ofRun: Readonly<Record<Run["mode"], readonly string[]>> = {
  train: ["data", "patch", "batch", "epochs", "steps", "loss", "optimizer", "clip", "seed", "window", "overlap", "augment", "start", "stop", "best", "precision", "blend", "mirror", "target", "guide", "crop", "drop", "spacing", "accumulate", "freeze", "memory"],
  infer: ["data", "window", "overlap", "blend", "mirror", "batch", "target", "guide", "crop"],
};

const ofData: readonly string[] = ["images", "labels", "folder", "classes", "channels", "spacing", "prepare", "split"];

/** A statement of a run with the run it stands in; `like` may have brought it from another. */
export interface Entry {
  readonly term: Term;
  readonly span: Span;
}

/** The statements of a run, those of the run it is `like` first. */
export interface Entries {
  readonly settings: ReadonlyMap<string, Entry>;
  readonly dials: ReadonlyMap<string, Entry>;
  /** Definitions that other statements of the run use. */
  readonly aids: ReadonlyMap<string, Entry>;
}

/** All that a run says, `like` followed; unknown settings are findings. */
export function entriesOf(run: Run, module: Written, env: Env, seen: readonly Run[] = []): Entries {
  const settings = new Map<string, Entry>();
  const dials = new Map<string, Entry>();
  const aids = new Map<string, Entry>();
  if (run.like) {
    const { like } = run;
    const runs = module.file.items.flatMap((i) => (i.kind === "run" && i.name ? [i] : []));
    const other = runs.find((r) => r.name?.text === like.text);
    if (!other) {
      const near = nearest(like.text, runs.flatMap((r) => (r.name ? [r.name.text] : [])));
      throw fault(env, "N0803", `there is no run \`${like.text}\``, like.span, near ? `did you mean \`${near}\`?` : "");
    }
    if (other === run || seen.includes(other)) throw fault(env, "N0502", `\`${like.text}\` is like itself`, like.span, "");
    const base = entriesOf(other, module, env, [...seen, run]);
    for (const [k, v] of base.settings) settings.set(k, v);
    for (const [k, v] of base.dials) dials.set(k, v);
    for (const [k, v] of base.aids) aids.set(k, v);
  }
  for (const s of run.body.statements) enter(s, run, { settings, dials, aids }, env);
  return { settings, dials, aids };
}

interface Open {
  readonly settings: Map<string, Entry>;
  readonly dials: Map<string, Entry>;
  readonly aids: Map<string, Entry>;
}

function enter(s: Statement, run: Run, open: Open, env: Env): void {
  if (s.kind === "turn") {
    open.dials.set(s.name.text, { term: s.value, span: s.name.span });
    return;
  }
  if (s.kind !== "define" || s.target.kind !== "one" || s.target.binders) {
    throw fault(env, "N0803", "a run is made of settings, `name = value`", s.span, "not a setting");
  }
  const { text, span } = s.target.name;
  const entry = { term: s.value, span };
  if (ofRun[run.mode].includes(text)) open.settings.set(text, entry);
  else if (mentioned(text, run.body, s)) open.aids.set(text, entry);
  else throw unknownSetting(text, span, ofRun[run.mode], `\`${run.mode}\` has no setting \`${text}\``, env);
}

/** The surroundings of a setting, with what the run defines for itself. */
export function aided(entries: Entries, env: Env): Env {
  const scope = newScope(env.scope);
  const made: Env = { ...env, scope };
  for (const [name, entry] of entries.aids) scope.names.set(name, lazy(name, entry.span, () => settle(evaluate(entry.term, made), name)));
  return made;
}

function mentioned(name: string, body: Body, self: Statement): boolean {
  const pattern = new RegExp(`\\b${name}\\b`);
  return body.statements.some((s) => s !== self && pattern.test(s.value.span.file.text.slice(s.value.span.start, s.value.span.end)));
}

function unknownSetting(text: string, span: Span, known: readonly string[], headline: string, env: Env): Error {
  const near = nearest(text, known);
  return fault(env, "N0803", headline, span, near ? `did you mean \`${near}\`?` : "not known", {
    facts: [`The settings: ${known.join(", ")}.`], edit: near ? { span, text: near } : undefined,
  });
}

/** The value of a setting: words stay words, everything else is evaluated. */
export function settingOf(name: string, term: Term, env: Env): Setting {
  const words = vocabulary[name];
  const t = bare(term);
  if (words) {
    if (t.kind === "list") return t.items.map((e) => settingOf(name, e.term, env));
    const head = t.kind === "call" ? t.head : t;
    if (head.kind === "name" && words.includes(head.text)) return word(head.text, t, env);
    if (head.kind === "name") {
      const near = nearest(head.text, words);
      throw fault(env, "N0804", `\`${name}\` does not know \`${head.text}\``, head.span, near ? `did you mean \`${near}\`?` : "", {
        facts: [`It knows: ${words.join(", ")}.`], edit: near ? { span: head.span, text: near } : undefined,
      });
    }
  }
  return plain(evaluate(term, env), term.span, env);
}

function word(name: string, t: Term, env: Env): Word {
  const args = t.kind === "call" ? t.args : [];
  const value = (a: (typeof args)[number]): Setting => plain(evaluate(a.value, env, true), a.span, env);
  return {
    name,
    args: args.filter((a) => !a.name).map(value),
    named: Object.fromEntries(args.flatMap((a) => (a.name ? [[a.name.text, value(a)]] : []))),
  };
}

function plain(v: Value, span: Span, env: Env): Setting {
  switch (v.kind) {
    case "int": case "float": case "bool": case "text": return v.value;
    case "list": return v.items.map((x) => plain(x, span, env));
    case "none": return "none";
    default: throw fault(env, "N0804", `a setting is a plain value, this is ${describe(v)}`, span, "");
  }
}

/** A data set's settings. */
export function dataOf(item: Extract<Item, { kind: "data" }>, module: Module, outer: Env): DataSettings {
  const env = newEnv(module, outer.world);
  const settings: Record<string, Setting> = {};
  for (const s of item.body.statements) {
    if (s.kind !== "define" || s.target.kind !== "one" || s.target.binders) throw fault(env, "N0803", "a data set is made of settings, `name = value`", s.span, "");
    const { text, span } = s.target.name;
    if (!ofData.includes(text)) throw unknownSetting(text, span, ofData, `\`data\` has no setting \`${text}\``, env);
    settings[text] = settingOf(text, s.value, env);
  }
  const { classes } = settings;
  const names = Array.isArray(classes) ? classes.map((c) => String(c)) : [];
  return { name: item.name.text, classes: names, settings };
}

/** Where a run's first weights come from: a run's folder or a file; `upkern` resizes kernels on the way. */
export interface Start {
  readonly how: "load" | "upkern";
  readonly from: string;
}

/** The setting `start`; undefined where it is absent or `none`. */
export function startSetting(entries: Entries, env: Env): Start | undefined {
  const entry = entries.settings.get("start");
  if (!entry) return undefined;
  const v = settingOf("start", entry.term, env);
  if (typeof v === "object" && "name" in v) {
    const [from, ...more] = v.args;
    if (v.name === "none" && v.args.length === 0 && Object.keys(v.named).length === 0) return undefined;
    if ((v.name === "load" || v.name === "upkern") && typeof from === "string" && from !== "" && more.length === 0 && Object.keys(v.named).length === 0) {
      return { how: v.name, from };
    }
  }
  throw fault(env, "N0804", "`start` says which run or file the weights come from", entry.term.span, "", { hint: '`start = load("runs/first")`, `upkern("runs/k3")` or `none`' });
}

/** The setting `stop`: epochs without a better score after which a run ends; undefined where it is absent. */
export function patienceSetting(entries: Entries, env: Env): number | undefined {
  return epochsSetting(entries, "stop", undefined, "`stop = patience(20)`: after 20 epochs without a better pseudo-Dice", env);
}

/** The setting `best`: epochs between validations, each of which may find the best weights; undefined where it is absent. */
export function validationSetting(entries: Entries, env: Env): number | undefined {
  return epochsSetting(entries, "best", "every", "`best = validate(every = 20)`: every 20 epochs", env);
}

/** A word with one number of epochs, plain or under its name. */
function epochsSetting(entries: Entries, setting: string, name: string | undefined, hint: string, env: Env): number | undefined {
  const entry = entries.settings.get(setting);
  if (!entry) return undefined;
  const v = settingOf(setting, entry.term, env);
  if (typeof v === "object" && "name" in v) {
    if (v.name === "none" && v.args.length === 0 && Object.keys(v.named).length === 0) return undefined;
    const given = [...v.args, ...Object.entries(v.named).flatMap(([key, value]) => (key === (name ?? "epochs") ? [value] : [undefined]))];
    const [epochs] = given;
    if (given.length === 1 && typeof epochs === "number" && Number.isInteger(epochs) && epochs > 0) return epochs;
  }
  throw fault(env, "N0804", `\`${setting}\` is a whole number of epochs, at least 1`, entry.term.span, "", { hint });
}

/**
 * How what windows say of a voxel is put together: `gaussian` spreads them evenly and weighs their probabilities, `uniform` sets
 * them at equal steps, the last flush with the border, and adds up their logits.
 */
export type Blend = "gaussian" | "uniform";

/** The setting `blend`; a gaussian where it is absent. */
export function blendSetting(entries: Entries, env: Env): Blend {
  const entry = entries.settings.get("blend");
  const v = entry && settingOf("blend", entry.term, env);
  return typeof v === "object" && "name" in v && v.name === "uniform" ? "uniform" : "gaussian";
}

/** How values between definitions are stored. */
export type Precision = "single" | "half";

/** The setting `precision`; single where it is absent. */
export function precisionSetting(entries: Entries, env: Env): Precision {
  const entry = entries.settings.get("precision");
  if (!entry) return "single";
  const v = settingOf("precision", entry.term, env);
  if (typeof v === "object" && "name" in v && v.args.length === 0) return v.name === "half" ? "half" : "single";
  throw fault(env, "N0804", "`precision` is `half` or `single`", entry.term.span, "");
}

/** The setting `mirror`, as the axes of a patch of `rank` axes along which windows are mirrored too; undefined where it is absent. */
export function mirrorSetting(entries: Entries, rank: number, env: Env): readonly number[] | undefined {
  const entry = entries.settings.get("mirror");
  if (!entry) return undefined;
  const v = settingOf("mirror", entry.term, env);
  const every = Array.from({ length: rank }, (_, axis) => axis);
  if (Array.isArray(v) && v.every((axis) => typeof axis === "number" && every.includes(axis)) && new Set(v).size === v.length) return every.filter((axis) => v.includes(axis));
  const word = typeof v === "object" && "name" in v ? v.name : v;
  if (word === "all") return every;
  if (word === "none") return [];
  throw fault(env, "N0804", "`mirror` says along which axes windows are mirrored", entry.term.span, "", { hint: `\`mirror = all\`, \`none\`, or axes from 0 to ${rank - 1}, e.g. \`[${every.slice(1).join(", ")}]\`` });
}

/** What images are resampled to: the data set's own median (nnU-Net's rule), nothing, or millimetres along each axis of the patch. */
export type SpacingSetting = "median" | "none" | readonly number[];

/** The setting `spacing`; the median where it is absent. */
export function spacingSetting(entries: Entries, env: Env): SpacingSetting {
  const entry = entries.settings.get("spacing");
  if (!entry) return "median";
  const t = bare(entry.term);
  if (t.kind === "name" && t.text === "median") return t.text;
  const v = evaluate(entry.term, env, true);
  if (v.kind === "none") return "none";
  const steps = v.kind === "list" ? v.items.flatMap((x) => ((x.kind === "int" || x.kind === "float") && x.value > 0 ? [x.value] : [])) : [];
  if (v.kind === "list" && steps.length > 0 && steps.length === v.items.length) return steps;
  throw fault(env, "N0804", `\`spacing\` is millimetres along each axis of the patch, this is ${show(v)}`, entry.term.span, "", { hint: "`spacing = [2, 1.5, 1.5]`, `spacing = median` or `spacing = none`" });
}

/** A setting that is a whole number of at least one; `otherwise` where it is absent. */
export function wholeSetting(entries: Entries, name: string, otherwise: number, env: Env): number {
  const entry = entries.settings.get(name);
  if (!entry) return otherwise;
  const v = evaluate(entry.term, env);
  if (v.kind === "int" && v.value >= (name === "seed" ? 0 : 1)) return v.value;
  throw fault(env, "N0804", `\`${name}\` is a whole number${name === "seed" ? "" : " of at least 1"}, this is ${show(v)}`, entry.term.span, "");
}

/** A setting that is a number; undefined where it is absent. */
export function numberSetting(entries: Entries, name: string, env: Env): number | undefined {
  const entry = entries.settings.get(name);
  if (!entry) return undefined;
  const v = evaluate(entry.term, env, true);
  if (v.kind === "int" || v.kind === "float") return v.value;
  throw fault(env, "N0804", `\`${name}\` is a number, this is ${describe(v)}`, entry.term.span, "");
}

/** A setting that is a size, such as `patch`; undefined where it is absent. */
export function sizeSetting(entries: Entries, name: string, env: Env): readonly number[] | undefined {
  const entry = entries.settings.get(name);
  if (!entry) return undefined;
  const v = evaluate(entry.term, env);
  if (v.kind === "list" && v.items.length > 0 && v.items.every((x) => x.kind === "int" && x.value > 0)) {
    return v.items.map((x) => (x.kind === "int" ? x.value : 0));
  }
  throw fault(env, "N0804", `\`${name}\` is one number per axis, this is ${show(v)}`, entry.term.span, "e.g. `[128, 128, 128]`");
}
