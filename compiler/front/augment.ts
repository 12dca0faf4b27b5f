// What a run's `augment` does to the patches it learns from: ops that stand before the network.

import type { Op, Term } from "../../grammar/ast.ts";
import { apply, asReal, index, int, makeAxis, read } from "../ir/expr.ts";
import { define, shapeOf, source, type Tensor } from "../ir/graph.ts";
import type { Span } from "../source.ts";
import { assign, bindPorts, isTensorPort } from "./calls.ts";
import { fault, force, newEnv, newScope } from "./env.ts";
import { evaluate, givenOf } from "./evaluate.ts";
import { find, type Module } from "./module.ts";
import { callOp } from "./op.ts";
import { aided, type Entries, type Entry } from "./settings.ts";
import { describe, showShape, tensorOf, wholes, wholesOf, type Env, type Given, type Value } from "./values.ts";
import { bare } from "./walk.ts";

/** What the network is to see of a batch. */
export interface Seen {
  /** [N, C, \*patch]; the last channel is the map of a click where the run has a `guide`. */
  readonly patch: readonly number[];
  readonly guide: boolean;
}

/** What a run's `augment` means. */
export interface Augmentation {
  /** Extent of what is cut out of an image, so that patches can be turned; the patch where nothing asks for more. */
  readonly load: readonly number[];
  /** Axes of the patch along which samples are mirrored. */
  readonly mirrored: readonly number[];
  /** Image [N, C, \*load] and label [N, 1, \*load] as the network and its loss see them, [N, C, \*patch] and [N, 1, \*patch]. */
  readonly apply: (image: Tensor, label: Tensor) => { readonly image: Tensor; readonly label: Tensor };
}

/** A call of an op that waits for its image, and for its labels where it moves them too. */
interface Stage {
  readonly op: Op;
  readonly module: Module;
  readonly given: readonly Given[];
  readonly span: Span;
  readonly env: Env;
}

/**
 * By convention the first port of an op is the image and the second, where it has one, the labels, and so are its results. A
 * parameter `to` that nobody gives is the extent that is to come out, a parameter `load` the one that is to go in, and `mirrored`
 * lists the axes along which samples may come out mirrored.
 */
export function augmentationOf(entries: Entries, { patch, guide }: Seen, env: Env): Augmentation {
  const [batch = 1, channels = 1, ...size] = patch;
  const entry = entries.settings.get("augment");
  const place = { ...env.place, path: "augment", body: "augment" };
  const stages = entry === undefined ? [] : stagesOf(entry.term, entries.aids, aided(entries, { ...env, place }));
  const sized: { readonly stage: Stage; readonly to: readonly number[] }[] = [];
  const mirrored = new Set<number>();
  let load: readonly number[] = size;
  for (const stage of [...stages].reverse()) {
    const to = load;
    sized.unshift({ stage, to });
    const value = staticsOf(stage, [batch, channels, ...to]);
    for (const axis of wholesOf(value("mirrored") ?? wholes([])) ?? []) if (axis >= 0 && axis < size.length) mirrored.add(axis);
    load = wholesOf(value("load") ?? wholes(to)) ?? to;
  }
  const run = (image: Tensor, label: Tensor): { image: Tensor; label: Tensor } => {
    let now = { image, label };
    for (const { stage, to } of sized) now = applied(stage, now, to, guide);
    if (entry) demand(now, patch, label.axes[1]?.extent ?? 1, entry, env);
    return now;
  };
  return { load, mirrored: [...mirrored].sort((a, b) => a - b), apply: run };
}

/** The calls of a list, of lists within it, and of what names of lists stand for. */
function stagesOf(written: Term, aids: Entries["aids"], env: Env): readonly Stage[] {
  const term = bare(written);
  if (term.kind === "list") return term.items.flatMap((e) => stagesOf(e.term, aids, env));
  if (term.kind === "name") {
    if (term.text === "none") return [];
    const named = listNamed(term.text, aids, env);
    if (named) return stagesOf(named.term, named.aids, named.env);
  }
  const called = term.kind === "call" && term.head.kind === "name" ? term.head.text : undefined;
  if (called !== undefined && listNamed(called, aids, env)) throw notOne(written, env, `\`${called}\` is a list: without \`()\``);
  const head = evaluate(term.kind === "call" ? term.head : term, env);
  if (head.kind !== "function" || head.item.kind !== "op") throw notOne(written, env, `this is ${describe(head)}`);
  const { item: op, module } = head;
  const [image, label, ...more] = op.ports.filter((p) => isTensorPort(p) && p.value === undefined);
  if (image === undefined || more.length > 0 || op.results.length !== (label === undefined ? 1 : 2)) {
    throw notOne(written, env, `\`${op.name.text}\` is no op from an image to an image, or from both to both`);
  }
  return [{ op, module, given: givenOf(term.kind === "call" ? term.args : [], env), span: term.span, env }];
}

/** What a name of a list stands for: a definition of the run, or one at the top of a file. */
function listNamed(name: string, aids: Entries["aids"], env: Env): { readonly term: Term; readonly aids: Entries["aids"]; readonly env: Env } | undefined {
  const aid = aids.get(name);
  if (aid) return { term: aid.term, aids, env };
  const meaning = find(env.module, name);
  if (meaning?.kind !== "item" || meaning.item.kind !== "const") return undefined;
  return { term: meaning.item.value, aids: new Map(), env: newEnv(meaning.module, env.world, { place: env.place }) };
}

function notOne(term: Term, env: Env, why: string): Error {
  return fault(env, "N0804", "`augment` is a list of calls of ops, which get the image, or the image and the labels", term.span, why, {
    hint: "`augment = [rotate(30), noise(0.1), mirror()]`, `nnunet_augment` or `none`",
  });
}

/** The ports that get an image and labels. */
const portsOf = ({ op }: Stage): Op["ports"] => op.ports.filter((p) => isTensorPort(p) && p.value === undefined);

/** All that an op is given, what is to come out among it. */
function argumentsOf(stage: Stage, tensors: readonly Tensor[], to: readonly number[]): readonly Given[] {
  const { op, given, span } = stage;
  const one = (name: string | undefined, value: Value): Given => ({ name, value, span, term: undefined, env: undefined });
  const asks = op.ports.some((p) => p.name.text === "to" && !isTensorPort(p)) && !given.some((g) => g.name === "to");
  return [...portsOf(stage).flatMap((p, i) => { const t = tensors[i]; return t ? [one(p.name.text, tensorOf(t))] : []; }), ...given, ...(asks ? [one("to", wholes(to))] : [])];
}

/** The parameters of a stage by name, its defaults among them; `shape` is that of the image that is to come out. */
function staticsOf(stage: Stage, shape: readonly number[]): (name: string) => Value | undefined {
  const { op, module, span, env } = stage;
  const [batch = 1, , ...to] = shape;
  const stand = [shape, [batch, 1, ...to]].map((one) => source("image", one, { span, path: "augment" }));
  const inner: Env = { ...env, module, scope: newScope(undefined), axis: undefined, inOp: true, mark: undefined };
  bindPorts(op, assign(op, argumentsOf(stage, stand, to), env, span), inner, { env, span });
  return (name) => {
    const found = op.ports.some((p) => p.name.text === name && !isTensorPort(p)) ? inner.scope.names.get(name) : undefined;
    return found && force(found, inner, span);
  };
}

function applied(stage: Stage, { image, label }: { image: Tensor; label: Tensor }, to: readonly number[], guide: boolean): { image: Tensor; label: Tensor } {
  const { op, module, span, env } = stage;
  const call = (tensors: readonly Tensor[]): readonly Tensor[] => {
    const v = callOp(op, module, argumentsOf(stage, tensors, to), env, span);
    return (v.kind === "tuple" ? v.items : [v]).flatMap((x) => (x.kind === "tensor" ? [x.tensor] : []));
  };
  if (portsOf(stage).length === 2) {
    const [moved = image, along = label] = call([image, label]);
    return { image: moved, label: along };
  }
  if (!guide) return { image: call([image])[0] ?? image, label };
  // Intensities are none of the map of a click.
  const seen = (image.axes[1]?.extent ?? 1) - 1;
  const [changed] = call([channelsOf(image, seen)]);
  return { image: changed ? withLast(changed, image) : image, label };
}

/** The first channels of an image. */
function channelsOf(image: Tensor, count: number): Tensor {
  const axes = image.axes.map((a, i) => makeAxis(a.name, i === 1 ? count : a.extent));
  return define("seen", axes, read(image, axes.map(index)), image.origin);
}

/** `first`, and the last channel of `image` behind it. */
function withLast(first: Tensor, image: Tensor): Tensor {
  const axes = image.axes.map((a) => makeAxis(a.name, a.extent));
  const at = axes.map(index);
  const count = first.axes[1]?.extent ?? 0;
  const [, channel = int(0)] = at;
  return define("image", axes, asReal(apply("select", apply("lt", channel, int(count)), read(first, at, "zero"), read(image, at))), image.origin);
}

/** A finding where something else comes out than the network is to see; labels have `kinds` channels. */
function demand({ image, label }: { image: Tensor; label: Tensor }, patch: readonly number[], kinds: number, { term }: Entry, env: Env): void {
  const [batch = 1, , ...size] = patch;
  const wanted: readonly (readonly [string, Tensor, readonly number[]])[] = [["image", image, patch], ["labels", label, [batch, kinds, ...size]]];
  for (const [what, tensor, shape] of wanted) {
    const got = shapeOf(tensor);
    if (got.length === shape.length && got.every((n, i) => n === shape[i])) continue;
    throw fault(env, "N0804", `\`augment\` makes ${what === "image" ? "an image" : "labels"} of ${showShape(got)}, the patch is ${showShape(shape)}`, term.span, "", {
      hint: "an op with a parameter `to` is told what is to come out, and says by `load` how much it wants",
    });
  }
}
