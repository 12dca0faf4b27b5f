// Puts definitions over the same points into one launch, where they share loads or follow one another point by point.

import { apply, index, reduce, type Axis, type Expr, type Reduce } from "../ir/expr.ts";
import { sizeOf, type Tensor } from "../ir/graph.ts";
import { mapReads, outermost, partsOf, readsOf, tensorsOf, withParts } from "../ir/rewrite.ts";
import { bindingsNeeded } from "./fuse.ts";
import { isOwnPoint, longAxes, pointsOf, type Definition, type Group, type Result } from "./kernel.ts";
import { spread } from "./spread.ts";

/** Below so many terms in all, a launch costs more than what it does. */
const small = 1 << 18;
/** Results that one launch has at most. */
const most = 6;
/** Values that one invocation keeps at most where it must take all points of an axis. */
const mostCovered = 64;
/** How many launches back a partner is looked for. */
const window = 48;
/** The same for a value of more than so many elements: moved far, it would lie in memory for long. */
const near = 4;
const large = 1 << 14;
/** Values that one invocation computes at most where it takes all points of an axis that some results lack. */
const mostSpread = 32;
/** Terms from which on a sum was taken in parts, if it was, to give every lane something to do. */
const inParts = 1024;
/** Points of an axis that one invocation takes all of, at most, where each is a sum, and else. */
const few = 8;
const many = 16;
/** Reads that a launch may have in all. */
const widest = 160;

/** What joining must know besides the definitions. */
export interface Rules {
  /** The tensors that must be complete before one without a launch is read, and those whose memory a definition takes over. */
  readonly behind: ReadonlyMap<Tensor, readonly Tensor[]>;
  readonly overwrites: ReadonlyMap<Tensor, readonly Tensor[]>;
  /** The part of a step that a definition belongs to; the update does not always run when the rest does. */
  readonly phase: (t: Tensor) => "forward" | "backward" | "update" | undefined;
  /** Whether somebody else needs a tensor in memory. */
  readonly isKept: (t: Tensor) => boolean;
  /** Invocations that keep the adapter busy, and points of long sums that do. */
  readonly lanes: number;
  readonly pointsOfLong: number;
  /** Elements that a definition with others beside it has at most. */
  readonly largest: number;
  readonly maxBindings: number;
  readonly bindingsOf: (t: Tensor) => number;
}

interface Launch extends Group {
  /** The definitions as they were, with reads of each other. */
  readonly members: readonly Definition[];
  readonly reads: ReadonlySet<Tensor>;
  readonly writes: ReadonlySet<Tensor>;
  readonly overwritten: ReadonlySet<Tensor>;
  /** Sums that stand in no other, and their terms in all. */
  readonly sums: readonly Reduce[];
  readonly terms: number;
}

/** The definitions, which come in the order they run in, as launches in the order these run in. */
export function join(definitions: readonly Definition[], rules: Rules): readonly Group[] {
  const launches: Launch[] = [];
  const soon = readSoon(definitions);
  for (const d of definitions) {
    const one = alone(d, rules);
    if (!placed(one, launches, rules, soon)) launches.push(one);
  }
  return withoutUnread(launches, rules);
}

/** Those that somebody reads a few definitions later. */
function readSoon(definitions: readonly Definition[]): ReadonlySet<Tensor> {
  const made = new Map<Tensor, number>();
  const soon = new Set<Tensor>();
  definitions.forEach((d, i) => {
    for (const { tensor } of readsOf(d.body)) if (i - (made.get(tensor) ?? -Infinity) <= near) soon.add(tensor);
    made.set(d.root, i);
  });
  return soon;
}

/** Each definition in a launch of its own. */
export function apart(definitions: readonly Definition[]): readonly Group[] {
  return definitions.map((d) => ({ axes: longAxes(d.root), results: [d], covered: d.covered, joined: [] }));
}

function alone(d: Definition, rules: Rules): Launch {
  return launchOf(longAxes(d.root), [d], [d], d.covered, [], rules);
}

function launchOf(axes: readonly Axis[], members: readonly Definition[], results: readonly Result[], covered: readonly Axis[], joined: readonly string[], rules: Rules): Launch {
  const reads = new Set<Tensor>();
  for (const { body } of results) {
    for (const t of tensorsOf(body)) {
      reads.add(t);
      for (const part of rules.behind.get(t) ?? []) reads.add(part);
    }
  }
  const sums = results.flatMap((r) => outermost(r.body));
  return {
    axes, members, results, covered, joined, reads, sums, terms: termsOf(axes, sums),
    writes: new Set(results.map((r) => r.root)),
    overwritten: new Set(results.flatMap((r) => rules.overwrites.get(r.root) ?? [])),
  };
}

const meets = (a: ReadonlySet<Tensor>, b: ReadonlySet<Tensor>): boolean => {
  for (const t of a) if (b.has(t)) return true;
  return false;
};

/** Whether the second of two launches must stay behind the first. */
const follows = (first: Launch, second: Launch): boolean =>
  meets(second.reads, first.writes) || meets(first.reads, second.overwritten) || meets(second.reads, first.overwritten);

/** Joins a launch to one before, moved up to it, or with that one moved down. */
function placed(one: Launch, launches: Launch[], rules: Rules, soon: ReadonlySet<Tensor>): boolean {
  let canRise = true;
  const reach = one.members.some((d) => sizeOf(d.root) > large) ? near : window;
  for (let i = launches.length - 1; i >= Math.max(0, launches.length - reach); i--) {
    const partner = launches[i] as Launch;
    const canSink = canRise || ((areOverAlike(partner, one) || mayReach(partner, one)) && launches.slice(i + 1).every((between) => !follows(partner, between)));
    if (canRise || canSink) {
      const made = joinTwo(partner, one, rules, soon);
      if (made && canRise) {
        launches[i] = made;
        return true;
      }
      if (made) {
        launches.splice(i, 1);
        launches.push(made);
        return true;
      }
    }
    if (follows(partner, one)) canRise = false;
  }
  return false;
}

const areOverAlike = (a: Launch, b: Launch): boolean => a.axes.length === b.axes.length && a.axes.every((x, k) => x.extent === b.axes[k]?.extent);

/** Whether one has an axis more than the other, or is read at all points of one. */
const mayReach = (a: Launch, b: Launch): boolean => a.axes.length !== b.axes.length && meets(b.reads, a.writes);

/** The two as one launch; undefined where that is impossible or does not pay. */
function joinTwo(a: Launch, b: Launch, rules: Rules, soon: ReadonlySet<Tensor>): Launch | undefined {
  const [d] = b.members;
  const [first] = a.members;
  if (!d || !first || a.writes.size >= most || d.root.type === "wide" || first.root.type === "wide") return undefined;
  if (sizeOf(d.root) > rules.largest) return undefined;
  if (!mayMeet(rules.phase(d.root), rules.phase(first.root), sizeOf(d.root) <= large || soon.has(d.root))) return undefined;
  return (areOverAlike(a, b) ? pointByPoint(a, b, d, rules) : undefined) ?? (meets(b.reads, a.writes) ? allPoints(a, b, d, rules) : undefined);
}

/** Over the same points, one each. */
function pointByPoint(a: Launch, b: Launch, d: Definition, rules: Rules): Launch | undefined {
  const [loops, own] = [a.sums, b.sums];
  const isSmall = a.terms + b.terms <= small;
  // An element-wise value beside a long sum shares nothing that counts, unless it follows it.
  if (!isSmall && !meets(b.reads, a.writes) && (own.length === 0 !== (loops.length === 0) || !meets(b.reads, a.reads))) return undefined;
  const renames = new Map(b.axes.map((x, k): [Axis, Axis] => [x, a.axes[k] as Axis]));
  const isAlike = own.length > 0 && loops.length > 0 && alongside(own, loops, renames);
  // Two nests of loops in one launch share nothing but its start.
  if (own.length > 0 && loops.length > 0 && !isAlike && !isSmall) return undefined;
  const followed = followedBy(a.results, a.axes, [{ ...d, body: renamed(d.body, renames) }]);
  if (!followed) return undefined;
  const results = [...a.results, ...followed.results];
  const before = new Set(a.results.flatMap((r) => readsOf(r.body)));
  const common = followed.results.flatMap((r) => readsOf(r.body)).filter((r) => before.has(r));
  if (!followed.of && (common.length === 0 || own.length === 0 !== (loops.length === 0)) && !isSmall) return undefined;
  // What one invocation must take together grows with every result.
  const covered = [...new Set([...a.covered, ...d.covered.map((x) => renames.get(x) ?? x)])];
  if (covered.length > 0 && pointsOf({ axes: covered }) * results.length > mostCovered) return undefined;
  if (covered.length > 0 && results.some((r) => r.at)) return undefined;
  const why = followed.of ? `it reads \`${followed.of.name}\` only at its own point` : common.length > 0 ? `both read \`${common[0]?.tensor.name ?? ""}\`` : "both are small";
  return fitting(a, b, d, { axes: a.axes, results, covered, joined: [...a.joined, why] }, rules);
}

/** Over the points that both have, where an invocation takes all points of an axis that one of them lacks, or that sums of the second run over. */
function allPoints(a: Launch, b: Launch, d: Definition, rules: Rules): Launch | undefined {
  if (a.covered.length + d.covered.length > 0) return undefined;
  const made = spread(a.axes, a.results, d, a.sums.length === 0 ? many : few);
  if (!made || a.results.length * made.times + made.places > mostSpread || made.isLeft) return undefined;
  const { axes, times, renames } = made;
  const isSmall = a.terms + b.terms <= small;
  if (pointsOf({ axes }) < (a.terms / pointsOf(a) > inParts ? rules.pointsOfLong : rules.lanes) && !isSmall) return undefined;
  const first = made.first();
  const own = made.second().map((r) => ({ ...r, body: renamed(r.body, renames), at: r.at?.map((e) => renamed(e, renames)) }));
  const followed = followedBy(first, axes, own.map(({ at, ...r }) => (at ? { ...r, at } : r)));
  if (!followed?.of || own.some((r) => outermost(r.body).length > 0)) return undefined;
  const why = `one invocation takes all that it reads of \`${followed.of.name}\``;
  const joined = a.results.flatMap((_, i) => Array.from({ length: times }, (__, n) => (n === 0 ? a.joined[i - 1] ?? "" : `it is \`${a.results[i]?.root.name ?? ""}\` at another point`)));
  return fitting(a, b, d, { axes, results: [...first, ...followed.results], covered: [], joined: [...joined.slice(1), ...own.map(() => why)] }, rules);
}

/** Values with the results that they read written in, and one of these; undefined where they read one at other points. */
function followedBy(results: readonly Result[], axes: readonly Axis[], all: readonly Result[]): { readonly results: readonly Result[]; readonly of: Tensor | undefined } | undefined {
  const roots = new Set(results.map((r) => r.root));
  let of: Tensor | undefined;
  let isOff = false;
  const made = all.map((d) => ({ ...d, body: mapReads(d.body, (r) => {
    if (!roots.has(r.tensor)) return r;
    const value = results.find((x) => x.root === r.tensor && (x.at ? r.at.every((e, k) => e === x.at?.[k]) : isOwnPoint(r, axes)))?.body;
    if (value === undefined) isOff = true;
    of ??= r.tensor;
    // What others find in memory.
    return value === undefined ? r : r.tensor.half ? apply("half", value) : value;
  }) }));
  return isOff ? undefined : { results: made, of };
}

/** A launch of both, if it is within bounds. */
function fitting(a: Launch, b: Launch, d: Definition, { axes, results, covered, joined }: Group, rules: Rules): Launch | undefined {
  if (!readsOwnPoints(results, axes, [...a.overwritten, ...b.overwritten])) return undefined;
  if (bindingsNeeded(results, rules.bindingsOf) > rules.maxBindings) return undefined;
  if (new Set(results.flatMap((r) => readsOf(r.body))).size > widest) return undefined;
  return launchOf(axes, [...a.members, d], results, covered, joined, rules);
}

/** Whether definitions of these parts may share a launch. A large value of the backward pass that is not read soon would only wait in the forward pass. */
function mayMeet(a: ReturnType<Rules["phase"]>, b: ReturnType<Rules["phase"]>, isBrief: boolean): boolean {
  return a === b || (isBrief && a !== "update" && b !== "update");
}

/** Whether all results read what the launch overwrites only where they write. */
function readsOwnPoints(results: readonly Result[], axes: readonly Axis[], overwritten: readonly Tensor[]): boolean {
  if (overwritten.length === 0) return true;
  return results.every((r) => readsOf(r.body).every((x) =>
    !overwritten.includes(x.tensor) || isOwnPoint(x, axes)));
}

function termsOf(axes: readonly Axis[], sums: readonly Reduce[]): number {
  return pointsOf({ axes }) * sums.reduce((n, s) => n + s.over.reduce((m, x) => m * x.extent, 1), 1);
}

/** Gives the axes of these sums the names of loops that run over the same extents; false where one has no such loops. */
function alongside(sums: readonly Reduce[], loops: readonly Reduce[], renames: Map<Axis, Axis>): boolean {
  return sums.every((s) => {
    const like = loops.find((l) => l.over.length === s.over.length && l.over.every((x, k) => x.extent === s.over[k]?.extent));
    if (!like) return false;
    s.over.forEach((x, k) => renames.set(x, like.over[k] as Axis));
    return true;
  });
}

/** The expression with axes, also those that reductions bind, in place of others. */
function renamed(e: Expr, by: ReadonlyMap<Axis, Axis>, memo = new Map<Expr, Expr>()): Expr {
  const known = memo.get(e);
  if (known) return known;
  const parts = partsOf(e);
  const next = parts.map((p) => renamed(p, by, memo));
  let made = e;
  if (e.kind === "axis") made = index(by.get(e.axis) ?? e.axis);
  else if (e.kind === "reduce") made = reduce(e.by, e.over.map((x) => by.get(x) ?? x), next.slice(0, -1), next[next.length - 1] as Expr);
  else if (next.some((p, i) => p !== parts[i])) made = withParts(e, next);
  memo.set(e, made);
  return made;
}

/** Leaves out what nobody reads any more, since those who did are in the same launch. */
function withoutUnread(launches: readonly Launch[], rules: Rules): readonly Group[] {
  const read = new Set(launches.flatMap((l) => [...l.reads]));
  return launches.map(({ axes, results, covered, joined }) => {
    const needed = results.map((r) => read.has(r.root) || rules.isKept(r.root));
    if (needed.every(Boolean) || !needed.some(Boolean)) return { axes, results, covered, joined };
    return { axes, results: results.filter((_, i) => needed[i]), covered, joined: joined.filter((_, i) => needed[i + 1]) };
  });
}
