// Decides which definitions are stored and which are written into their readers, by a cost of arithmetic and traffic.

import { apply, bool, int, number, reduceIdentity, type Axis, type Expr, type Read } from "../ir/expr.ts";
import { sizeOf, type Tensor } from "../ir/graph.ts";
import { ordered } from "../ir/order.ts";
import { mapReads, readsOf, substitute, tensorsOf } from "../ir/rewrite.ts";
import { simplifyNode, within } from "../ir/simplify.ts";
import type { Definition } from "./kernel.ts";
import { Nest, type Nested } from "./nest.ts";
import { bodiesOf } from "./strategies/scatter.ts";

/** What a load or a store of an element costs, in additions. */
const traffic = 6;
/** What a launch costs, in additions. */
const launch = 200_000;
/** A reduction this short may be computed again inside another. */
const shortReduction = 16;
/** Reads that a kernel may have before its producers are stored instead. */
const widest = 64;

/** How definitions are grouped. */
export interface Fusing {
  /** What a strategy wants in memory, besides the roots. */
  readonly mustStore: ReadonlySet<Tensor>;
  /** Bindings that no kernel that can be helped exceeds, of which a tensor needs `bindingsOf`. */
  readonly maxBindings: number;
  readonly bindingsOf: (t: Tensor) => number;
  /** What is computed inside its readers, by each of them: see `Nest`. */
  readonly nested: Nested;
  readonly isCard: boolean;
}

/** Groups all definitions that the roots need. */
export function fuse(roots: readonly Tensor[], { mustStore, maxBindings, bindingsOf, nested, isCard }: Fusing): readonly Definition[] {
  const order = ordered(roots);
  const results = new Set(roots);
  const stored = new Map<Tensor, string>();
  const compared = new Set(order.flatMap((t) => (t.body ? comparedIn(t.body) : [])));
  for (const t of order) {
    if (!t.body) continue;
    if (results.has(t)) stored.set(t, "it is a result");
    else if (mustStore.has(t)) stored.set(t, "it holds the parts of a sum in two steps");
    else if (compared.has(t)) stored.set(t, "it is compared for equality, which takes the very same bits");
    else if (t.type === "wide") stored.set(t, "terms are added to it in any order");
  }
  const nest = new Nest(order, stored, nested, isCard);
  decide(order, stored, nest);
  const made = new Map<Tensor, Definition>();
  const open = order.filter((t) => stored.has(t));
  for (let root = open.pop(); root; root = open.pop()) {
    const kernel = { ...write(root, stored), covered: nest.coveredBy(root) };
    const candidate = isTooWide(kernel, maxBindings, bindingsOf) ? heaviest(root, stored) : undefined;
    if (candidate) {
      // Those who had it written in already may keep it so.
      stored.set(candidate, `\`${root.name}\` would read too much at once`);
      open.push(root, candidate);
    } else made.set(root, kernel);
  }
  return order.flatMap((t) => made.get(t) ?? []);
}

/** Reals that are compared for equality: the largest of a pool with all of it, say. Computed twice they might differ in their last bit. */
function comparedIn(body: Expr): readonly Tensor[] {
  const found: Tensor[] = [];
  const seen = new Set<Expr>();
  const visit = (e: Expr): void => {
    if (!e.reads || seen.has(e)) return;
    seen.add(e);
    e.parts.forEach(visit);
    if (e.kind !== "apply" || (e.fn !== "eq" && e.fn !== "ne") || e.args[0]?.type !== "real") return;
    for (const a of e.args) if (a.kind === "read") found.push(a.tensor);
  };
  visit(body);
  return found;
}

function isTooWide(kernel: Definition, maxBindings: number, bindingsOf: (t: Tensor) => number): boolean {
  return bindingsNeeded([kernel], bindingsOf) > maxBindings || (readsOf(kernel.body).length > widest && kernel.inlined.length > 0);
}

/** How many bindings definitions need together for what they read and write. */
export function bindingsNeeded(kernels: readonly Pick<Definition, "root" | "body">[], bindingsOf: (t: Tensor) => number): number {
  const tensors = new Set<Tensor>();
  for (const { root, body } of kernels) {
    tensors.add(root);
    for (const t of tensorsOf(body)) tensors.add(t);
  }
  let needed = 0;
  for (const t of tensors) needed += bindingsOf(t);
  return needed;
}

/** Of the producers written into a kernel, the one with the most tensors behind it. */
function heaviest(root: Tensor, stored: ReadonlyMap<Tensor, string>): Tensor | undefined {
  let best: { tensor: Tensor; count: number } | undefined;
  const behind = (t: Tensor): Set<Tensor> => {
    const all = new Set<Tensor>();
    for (const r of t.body ? readsOf(t.body) : []) {
      if (stored.has(r.tensor) || !r.tensor.body) all.add(r.tensor);
      else {
        const inner = behind(r.tensor);
        if (!best || inner.size > best.count) best = { tensor: r.tensor, count: inner.size };
        for (const x of inner) all.add(x);
      }
    }
    return all;
  };
  behind(root);
  return best?.tensor;
}

/** Goes from the results back to the sources, so that the readers of a definition are settled before it is. */
function decide(order: readonly Tensor[], stored: Map<Tensor, string>, nest: Nest): void {
  // How often each definition would be evaluated if it were written into its readers, and whether some reader forbids it.
  const evaluations = new Map<Tensor, number>();
  const insideReduction = new Set<Tensor>();
  for (const t of [...order].reverse()) {
    if (!t.body) continue;
    const times = evaluations.get(t) ?? 0;
    const why = stored.has(t) || nest.takes(t) ? undefined : whyStored(t, t.body, times, insideReduction.has(t));
    if (why !== undefined) stored.set(t, why);
    const points = stored.has(t) ? bodiesOf(t) : times;
    count(t.body, points, (tensor, n, nested) => {
      evaluations.set(tensor, (evaluations.get(tensor) ?? 0) + n);
      if (nested || (insideReduction.has(t) && !stored.has(t))) insideReduction.add(tensor);
    });
  }
}

/** Why storing a definition costs less than writing it into its readers; undefined where it does not. */
function whyStored(t: Tensor, body: Expr, times: number, nested: boolean): string | undefined {
  const { work, long } = weigh(body);
  if (long && nested) return "a long sum stands in no other";
  if (long && times > sizeOf(t)) return `a long sum would be taken ${(times / sizeOf(t)).toFixed(1)} times`;
  const inline = times * work;
  const store = sizeOf(t) * (work + traffic) + times * traffic + launch;
  const told = (n: number): string => n.toPrecision(3).replace("+", "");
  return inline <= store ? undefined : `written into its readers it costs ${told(inline)} additions, stored ${told(store)}`;
}

/** Calls back for every read with how often it is evaluated; `nested` when that is inside a reduction. */
function count(body: Expr, points: number, each: (t: Tensor, n: number, nested: boolean) => void): void {
  const visit = (e: Expr, over: ReadonlyMap<Axis, number>, seen: Set<Expr>): void => {
    if (!e.reads || seen.has(e)) return;
    seen.add(e);
    if (e.kind === "read") {
      let n = points;
      let nested = false;
      for (const [axis, extent] of over) {
        if (!e.free.includes(axis)) continue;
        n *= extent;
        nested = true;
      }
      if (e.tensor.body) each(e.tensor, n, nested);
      for (const i of e.at) visit(i, over, seen);
    } else if (e.kind === "reduce") {
      const inner = new Map(over);
      for (const a of e.over) inner.set(a, a.extent);
      for (const w of e.where) visit(w, inner, seen);
      visit(e.body, inner, seen);
    } else if (e.kind === "apply") for (const a of e.args) visit(a, over, seen);
    else if (e.kind === "draw") visit(e.at, over, seen);
  };
  visit(body, new Map(), new Set());
}

const dear = new Set(["exp", "log", "erf", "pow", "sin", "cos", "tanh"]);

/** Additions that one element costs, loads included, and whether it holds a reduction too long to repeat. */
function weigh(body: Expr): { work: number; long: boolean } {
  let work = 0;
  let long = false;
  const visit = (e: Expr, times: number, seen: Set<Expr>): void => {
    if (seen.has(e)) return;
    seen.add(e);
    if (e.kind === "reduce") {
      const length = e.over.reduce((n, a) => n * a.extent, 1);
      if (length > shortReduction) long = true;
      work += length;
      visit(e.body, times * length, new Set());
      return;
    }
    if (e.kind === "read") work += times * traffic;
    else if (e.kind === "apply" && e.type === "real") work += times * (dear.has(e.fn) ? 12 : e.fn === "div" || e.fn === "sqrt" || e.fn === "rsqrt" ? 4 : 1);
    if (e.kind === "apply") for (const a of e.args) visit(a, times, seen);
  };
  visit(body, 1, new Set());
  return { work, long };
}

/** Writes the unstored definitions into their reader. */
function write(root: Tensor, stored: ReadonlyMap<Tensor, string>): Omit<Definition, "covered"> {
  const inlined = new Set<string>();
  const memo = new Map<Expr, Expr>();
  const expand = (e: Expr): Expr =>
    mapReads(e, (r) => {
      const body = r.tensor.body;
      if (!body || stored.has(r.tensor)) return r;
      const known = memo.get(r);
      if (known) return known;
      inlined.add(r.tensor.name);
      const made = expand(viewed(r, body));
      memo.set(r, made);
      return made;
    });
  return { root, body: expand(root.body as Expr), inlined: [...inlined], why: stored.get(root) ?? "" };
}

/** What a read of an unstored definition stands for, with what its view says of the outside. */
function viewed(r: Read, body: Expr): Expr {
  const extent = (k: number): number => (r.tensor.axes[k] as Axis).extent;
  const at = r.outside !== "edge" ? r.at
    : r.at.map((e, k) => simplifyNode(apply("min", simplifyNode(apply("max", e, int(0))), int(extent(k) - 1))));
  const inside = substitute(body, new Map(r.tensor.axes.map((a, i) => [a, at[i] as Expr])));
  if (r.outside === "never" || r.outside === "edge") return inside;
  const test = r.at.map((e, k) => within(e, extent(k))).reduce((a, b) => apply("and", a, b), bool(true));
  return apply("select", test, inside, number(r.outside === "zero" ? 0 : reduceIdentity("max"), r.type));
}
