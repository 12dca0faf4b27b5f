// Keeps a step within a budget of memory: values are given up early, and clones of their definitions make them again later.

import { read, type Axis, type Expr } from "../ir/expr.ts";
import { flopsOf } from "../ir/flops.ts";
import { define, shapeOf, sizeOf, type Tensor } from "../ir/graph.ts";
import { mapReads, tensorsOf } from "../ir/rewrite.ts";
import { replaceable } from "../plan/lives.ts";
import { assign, type Life } from "../plan/memory.ts";
import { bytesOf, type Storage } from "../plan/storage.ts";
import { Player, type Timeline, type Value } from "../plan/timeline.ts";
import { diagnostic, Fault } from "../report/diagnostic.ts";
import { choose, type Choice } from "./keep.ts";

/** A stored definition: its value with everything that is not stored written in. */
interface Definition {
  /** Axes of the root along which one invocation takes all points. */
  readonly covered: readonly Axis[];
  readonly root: Tensor;
  readonly body: Expr;
}

/** What is made more than once, and what that costs. */
export interface Again {
  readonly values: readonly { readonly tensor: Tensor; readonly times: number; readonly flops: number }[];
  /** Scalar operations that a step does again, and all others; both 0 where nothing is done again. */
  readonly flops: number;
  readonly otherwise: number;
}

/**
 * Definitions in the order in which they run, and an order with clones in which all memory takes `budget` bytes at most. A
 * clone is the same expression over the same axes as a tensor of its own, so it makes the same bits: a draw names its site,
 * and whoever reads what a step overwrites is never cloned behind that. Where everything fits nothing changes.
 */
export function recompute<D extends Definition>(order: readonly D[], storage: Storage, budget: number): { readonly kernels: readonly D[]; readonly again: Again } {
  if (budget === Infinity) return { kernels: order, again: { values: [], flops: 0, otherwise: 0 } };
  const values = valuesOf(order, storage);
  const choice = fitting(values, budget - storage.bytes);
  if (!choice) throw impossible(order, values, storage, budget);
  return { kernels: cloned(order, choice.timeline), again: summary(order, choice.timeline) };
}

/** A choice whose transient values lie in `room` bytes; undefined where none is found. */
function fitting(values: readonly Value[], room: number): Choice | undefined {
  let choice = choose(values, room);
  for (let target = room; choice.timeline.peak <= target;) {
    // Values of many sizes that share buffers take a little more than what lives at once.
    const missing = packed(values, choice.timeline) - room;
    if (missing <= 0) return choice;
    target -= missing;
    choice = choose(values, target, choice.cuts);
  }
  return undefined;
}

function valuesOf(order: readonly Definition[], { own, atEnd, overwrites }: Storage): readonly Value[] {
  const number = new Map(order.map((d, i) => [d.root, i]));
  const overwritten = new Map(order.flatMap((d, i) => (overwrites.get(d.root) ?? []).map((t): [Tensor, number] => [t, i])));
  return order.map((d) => {
    const { root, body, covered } = d;
    const tensors = tensorsOf(body);
    const fixed = own.has(root);
    return {
      bytes: fixed ? 0 : bytesOf(root),
      reads: tensors.flatMap((t) => (own.has(t) ? [] : number.get(t) ?? [])),
      over: fixed ? [] : (replaceable([d]).get(root) ?? []).flatMap((t) => (own.has(t) || atEnd.has(t) ? [] : number.get(t) ?? [])),
      price: flopsOf(root, body, covered) + sizeOf(root),
      fixed,
      until: tensors.reduce((n, t) => Math.min(n, overwritten.get(t) ?? Infinity), Infinity),
      atEnd: atEnd.has(root),
    };
  });
}

/** Bytes of the buffers that transient values share. */
function packed(values: readonly Value[], { makings }: Timeline): number {
  const latest = new Map<number, number>();
  const lives: Life[] = [];
  for (const { value, first, last } of makings) {
    const { bytes, reads, over = [] } = values[value] as Value;
    if (bytes === 0) continue;
    const apart = reads.flatMap((r) => latest.get(r) ?? []);
    const [taken] = over.flatMap((u) => {
      const k = latest.get(u);
      return k !== undefined && lives[k]?.last === first ? [k] : [];
    });
    const before = taken === undefined ? undefined : lives[taken];
    if (taken === undefined || !before) latest.set(value, lives.push({ bytes, first, last, apart }) - 1);
    else {
      lives[taken] = { ...before, last, apart: [...before.apart, ...apart.filter((k) => k !== taken)] };
      latest.set(value, taken);
    }
  }
  return assign(lives).bytes.reduce((a, b) => a + b, 0);
}

/** The definitions in the order of their makings; each reads the latest making of what it reads. */
function cloned<D extends Definition>(order: readonly D[], { makings }: Timeline): readonly D[] {
  const latest = new Map<Tensor, Tensor>();
  return makings.map(({ value }) => {
    const given = order[value] as D;
    const body = mapReads(given.body, (r) => {
      const now = latest.get(r.tensor) ?? r.tensor;
      return now === r.tensor ? r : read(now, r.at, r.outside);
    });
    if (!latest.has(given.root)) {
      latest.set(given.root, given.root);
      return body === given.body ? given : { ...given, body };
    }
    const root = define(`${given.root.name}_again`, given.root.axes, body, given.root.origin, given.root.half);
    latest.set(given.root, root);
    return { ...given, root, body };
  });
}

function summary(order: readonly Definition[], { makings }: Timeline): Again {
  const times = new Map<number, number>();
  for (const { value } of makings) times.set(value, (times.get(value) ?? 0) + 1);
  const flops = order.map((d) => flopsOfAll([d]));
  const again = [...times].filter(([, n]) => n > 1).map(([i, n]) => ({ tensor: (order[i] as Definition).root, times: n - 1, flops: (n - 1) * (flops[i] as number) }));
  return {
    values: again.sort((a, b) => bytesOf(b.tensor) - bytesOf(a.tensor)),
    flops: again.reduce((n, a) => n + a.flops, 0),
    otherwise: flops.reduce((a, b) => a + b, 0),
  };
}

/** Scalar operations of some definitions. */
export function flopsOfAll(definitions: readonly Definition[]): number {
  return definitions.reduce((n, { root, body, covered }) => n + flopsOf(root, body, covered), 0);
}

const mib = (bytes: number): string => `${Math.ceil(bytes / 1048576).toLocaleString("en")} MiB`;

/** Says how much would be enough, found by halving, and what takes it. */
function impossible(order: readonly Definition[], values: readonly Value[], storage: Storage, budget: number): Fault {
  const everything = new Player(values, Infinity).timeline(new Map());
  let enough = { room: packed(values, everything), timeline: everything };
  let low = Math.max(1, budget - storage.bytes, ...values.map((v) => v.bytes));
  while (low < 0.97 * enough.room) {
    const middle = Math.sqrt(low * enough.room);
    const choice = fitting(values, middle);
    if (choice) enough = { room: packed(values, choice.timeline), timeline: choice.timeline };
    else low = middle;
  }
  const total = storage.bytes + enough.room;
  const { makings, live, peak } = enough.timeline;
  const at = live.indexOf(peak);
  const largest = makings.flatMap((m) => (m.first <= at && at <= m.last ? [(order[m.value] as Definition).root] : []))
    .filter((t) => !storage.own.has(t)).sort((a, b) => bytesOf(b) - bytesOf(a)).slice(0, 4);
  const span = largest[0]?.origin.span;
  return new Fault(diagnostic("N0909", `a step does not fit into ${mib(budget)}`, {
    labels: span && largest[0] ? [{ span, text: largest[0].origin.path }] : [],
    facts: [
      `With all computed again that helps, ${mib(total)} are needed: ${mib(storage.bytes)} for weights, gradients, the optimiser, inputs and outputs, the rest for values in between.`,
      `The largest of these when most is needed: ${largest.map((t) => `${t.name} [${shapeOf(t).join(", ")}] of ${t.origin.path || "the step"}, ${mib(bytesOf(t))}`).join("; ")}.`,
    ],
    hint: `\`--memory ${Math.ceil(total / 1048576)}MiB\` would do for the step; a smaller patch or batch needs less`,
  }));
}
