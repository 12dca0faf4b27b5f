// Kernel to loops: every value is computed once, in the outermost scope where its axes are bound.

import { affine, build, coefficient, inOrder, picked, scaled, without, type Affine } from "../ir/affine.ts";
import { apply, conjuncts, index, int, real, reduceIdentity, type Axis, type Expr, type Read, type Reduce } from "../ir/expr.ts";
import { sizeOf, type Tensor } from "../ir/graph.ts";
import { interval } from "../ir/interval.ts";
import { invariant } from "../report/diagnostic.ts";
import { flatOf, simplifyNode, within } from "../ir/simplify.ts";
import { substitute } from "../ir/rewrite.ts";
import type { Mates, Place } from "./mates.ts";
import { hasFours } from "./vector.ts";
import { isVector, type Local, type Statement, type Value } from "./loops.ts";

interface Scope {
  readonly binds: ReadonlySet<Axis>;
  readonly statements: Statement[];
  readonly memo: Map<Expr, Value>;
  /** Conditions that hold inside. */
  readonly holds: ReadonlySet<Expr>;
}

/** Lowers expressions into a growing tree of scopes. */
export class Lowering {
  #scopes: Scope[];
  #names = 0;
  readonly #groups = new Map<Reduce, readonly Reduce[]>();
  /** Fours loaded so far, and where they can be seen. */
  readonly #fetched: { readonly from: Tensor; readonly at: Expr; readonly row: Value; readonly scope: Scope }[] = [];
  /** What the invocations of a subgroup have loaded for each other, likewise. */
  readonly #spread: { readonly from: Tensor; readonly base: Expr; readonly offsets: readonly number[]; readonly row: Value; readonly scope: Scope }[] = [];
  readonly reads = new Set<Tensor>();
  readonly dials = new Set<string>();
  draws = false;

  /** The axis of four points that are computed side by side, as vectors. */
  readonly #lane: Axis | undefined;

  /** Tensors of which neighbouring elements are wanted one by one: they are loaded four at a time. */
  readonly #rows: ReadonlySet<Tensor>;

  readonly #mates: Mates | undefined;

  /** `bound` are the axes that have values outside every loop. */
  constructor(bound: ReadonlyMap<Axis, Value>, statements: Statement[], lane?: Axis, rows: ReadonlySet<Tensor> = new Set(), mates?: Mates) {
    this.#mates = mates;
    const memo = new Map<Expr, Value>();
    for (const [axis, value] of bound) memo.set(index(axis), value);
    if (lane) memo.set(index(lane), { kind: "pack", parts: [0, 1, 2, 3].map((value) => ({ kind: "number", value, type: "int" })), type: "int" });
    this.#scopes = [{ binds: new Set([...bound.keys(), ...(lane ? [lane] : [])]), statements, memo, holds: new Set() }];
    this.#lane = lane;
    this.#rows = rows;
  }

  local(prefix: string, type: Local["type"], vector = false): Local {
    return { name: `${prefix === "_" ? "k_" : prefix}${this.#names++}`, type, vector };
  }

  #isLaned(e: Expr): boolean {
    return this.#lane !== undefined && e.free.includes(this.#lane);
  }

  /** Whether a test may come out differently for points side by side, which must stay on one way. */
  #isApart(test: Expr): boolean {
    return this.#isLaned(test) || (this.#mates?.isApart(test) ?? false);
  }

  /** What an expression is at each of the four points. */
  #apart(e: Expr): readonly Expr[] {
    return [0, 1, 2, 3].map((i) => substitute(e, new Map([[this.#lane as Axis, int(i)]]), true));
  }

  /** Reductions over the same axes that stand side by side in these expressions run in one nest of loops. */
  together(expressions: readonly Expr[]): void {
    const byAxes = new Map<string, Reduce[]>();
    const seen = new Set<Expr>();
    const keyOf = (x: Reduce): string => x.over.map((a) => a.id).join();
    const within = new Set<Expr>();
    for (const e of expressions) {
      walkSums(e, (x) => {
        if (x.over[0] === this.#lane) return;
        const key = keyOf(x);
        const list = byAxes.get(key);
        if (list) list.push(x);
        else byAxes.set(key, [x]);
        if (x.body.reduces) walkSums(x.body, (y) => keyOf(y) === key && within.add(y), new Set());
      }, seen);
    }
    for (const list of byAxes.values()) {
      const level = list.filter((x) => !within.has(x));
      for (const x of level) this.#groups.set(x, level);
    }
  }

  /** The value of an expression, available in the current scope. */
  value(e: Expr): Value {
    if (e.kind === "number") return { kind: "number", value: e.value, type: e.type };
    for (let i = this.#scopes.length - 1; i >= 0; i--) {
      const known = (this.#scopes[i] as Scope).memo.get(e);
      if (known) return known;
    }
    const depth = this.#home(e.free);
    return depth + 1 === this.#scopes.length ? this.#made(e) : this.#madeAt(depth, e);
  }

  #made(e: Exclude<Expr, { kind: "number" }>): Value {
    if (e.kind === "reduce") return this.#reduction(e);
    const made = this.#node(e);
    this.#top().memo.set(e, made);
    return made;
  }

  // Apart from `value`, which would make this function for each of the many that belong where they are asked for.
  #madeAt(depth: number, e: Exclude<Expr, { kind: "number" }>): Value {
    return this.#at(depth, () => this.#made(e));
  }

  #top(): Scope {
    return this.#scopes[this.#scopes.length - 1] as Scope;
  }

  /** The depth of the outermost scope that binds all of `free`, with the tests directly inside it. */
  #home(free: readonly Axis[]): number {
    const last = this.#scopes.length - 1;
    let depth = 0;
    for (let k = 0; k < free.length; k++) {
      let at = 0;
      while (at < last && !(this.#scopes[at] as Scope).binds.has(free[k] as Axis)) at++;
      depth = Math.max(depth, at);
    }
    while (depth < last && (this.#scopes[depth + 1] as Scope).binds.size === 0) depth++;
    return depth;
  }

  /** Whether all of some axes have values here. */
  #binds(free: readonly Axis[]): boolean {
    return free.every((a) => this.#scopes.some((s) => s.binds.has(a)));
  }

  #at<T>(depth: number, run: () => T): T {
    const all = this.#scopes;
    this.#scopes = all.slice(0, depth + 1);
    const result = run();
    this.#scopes = all;
    return result;
  }

  #keep(value: Value, prefix = "v"): Value {
    if (value.kind === "number" || value.kind === "local" || value.kind === "uniform") return value;
    const local = this.local(prefix, value.type, isVector(value));
    this.#top().statements.push({ kind: "let", local, value });
    return { kind: "local", local, type: value.type };
  }

  #node(e: Exclude<Expr, { kind: "reduce" | "number" }>): Value {
    switch (e.kind) {
      case "axis": throw new Error(`internal: axis ${e.axis.name} has no value here`);
      case "dial":
        this.dials.add(e.dial.name);
        return { kind: "uniform", name: e.dial.name, type: "real" };
      case "draw":
        this.draws = true;
        if (this.#isLaned(e)) return this.#keep({ kind: "pack", parts: this.#apart(e).map((x) => this.value(x)), type: "real" });
        return this.#keep({ kind: "draw", site: e.site, at: this.value(e.at), type: "real" });
      case "read": return this.#read(e);
      case "apply":
        // What has no vectors of its own is computed one by one.
        if (e.fn === "real" && e.args[0]?.type === "wide" && this.#isLaned(e)) {
          return this.#keep({ kind: "pack", parts: this.#apart(e).map((x) => this.value(x)), type: "real" });
        }
        if (e.type === "int" && (e.fn === "add" || e.fn === "sub" || e.fn === "neg" || e.fn === "mul")) {
          const sum = affine(e);
          if (!sum.atoms.includes(e)) return this.#sum(sum);
        }
        if (e.fn === "idiv" || e.fn === "imod") return this.#division(e.fn, e.args[0] as Expr, e.args[1] as Expr);
        return this.#keep({ kind: "apply", fn: e.fn, args: e.args.map((a) => this.value(a)), type: e.type }, e.type === "int" ? "j" : "v");
    }
  }

  /**
   * The language floors, the hardware truncates: a dividend that can be negative is lifted by a multiple of the divisor first, or,
   * where data say how negative it is, loses the remainder that it would have if it were not.
   */
  #division(fn: "idiv" | "imod", a: Expr, m: Expr): Value {
    const { low } = interval(a);
    if (low >= 0) return this.#keep({ kind: "apply", fn, args: [this.value(a), this.value(m)], type: "int" }, "j");
    invariant(m.kind === "number" && m.value > 0, () => `cannot floor a division by ${m.kind}`);
    if (!Number.isFinite(low)) {
      const divide = (by: "idiv" | "imod", of: Value): Value => ({ kind: "apply", fn: by, args: [of, this.value(m)], type: "int" });
      const both = (by: "add" | "sub", x: Value, y: Value): Value => ({ kind: "apply", fn: by, args: [x, y], type: "int" });
      const rest = this.#keep(divide("imod", both("add", divide("imod", this.value(a)), this.value(m))), "j");
      return fn === "imod" ? rest : this.#keep(divide("idiv", both("sub", this.value(a), rest)), "j");
    }
    const lift = Math.ceil(-low / m.value);
    const raised = this.value(simplifyNode(apply("add", a, int(lift * m.value))));
    const quotient: Value = { kind: "apply", fn, args: [raised, this.value(m)], type: "int" };
    const number: Value = { kind: "number", value: lift, type: "int" };
    return this.#keep(fn === "imod" ? quotient : { kind: "apply", fn: "sub", args: [quotient, number], type: "int" }, "j");
  }

  /** A sum of whole numbers, the part that is known further out computed there. */
  #sum(sum: Affine): Value {
    // Sums that differ by a number share all the rest.
    if (sum.constant !== 0 && sum.atoms.length > 0) {
      const base = this.value(build({ ...sum, constant: 0 }));
      const by: Value = { kind: "number", value: Math.abs(sum.constant), type: "int" };
      return { kind: "apply", fn: sum.constant > 0 ? "add" : "sub", args: [base, by], type: "int" };
    }
    const here = this.#scopes.length - 1;
    if (here === 0) return this.#keep(this.#plain(sum), "j");
    const deep = picked(sum, 0, (atom) => this.#home(atom.free) >= here);
    if (deep.atoms.length === 0 || deep.atoms.length === sum.atoms.length) return this.#keep(this.#plain(sum), "j");
    const base = this.value(build(picked(sum, sum.constant, (atom) => !deep.atoms.includes(atom))));
    const rest = this.#plain(deep);
    return this.#keep({ kind: "apply", fn: "add", args: [base, rest], type: "int" }, "j");
  }

  #plain(sum: Affine): Value {
    let result: Value | undefined;
    const number = (value: number): Value => ({ kind: "number", value, type: "int" });
    const { atoms, factors } = inOrder(sum);
    for (const [k, atom] of atoms.entries()) {
      const c = factors[k] as number;
      const size = result ? Math.abs(c) : c;
      const term: Value = size === 1 ? this.value(atom) : { kind: "apply", fn: "mul", args: [this.value(atom), number(size)], type: "int" };
      result = result ? { kind: "apply", fn: c > 0 ? "add" : "sub", args: [result, term], type: "int" } : term;
    }
    if (!result) return number(sum.constant);
    if (sum.constant === 0) return result;
    return { kind: "apply", fn: sum.constant > 0 ? "add" : "sub", args: [result, number(Math.abs(sum.constant))], type: "int" };
  }

  #read(r: Read): Value {
    this.reads.add(r.tensor);
    const load = (): Value => this.#load(r.tensor, flatOf(r));
    const open = r.outside === "zero" || r.outside === "lowest" ? this.#unproven(insideConditions(r)) : [];
    if (open.length === 0) return this.#keep(load());
    const test = this.value(open.reduce((a, b) => apply("and", a, b)));
    const otherwise: Value = { kind: "number", value: r.outside === "zero" ? 0 : reduceIdentity("max"), type: r.type };
    return this.#keep({ kind: "apply", fn: "select", args: [test, load(), otherwise], type: r.type });
  }

  /** An element of a tensor's storage, or four: in one go where they lie side by side and begin at a multiple of four. */
  #load(from: Tensor, flat: Expr): Value {
    const places = this.#mates?.placesOf(from, flat);
    if (places && this.#isLaned(flat)) return { kind: "pack", parts: places.map((p) => this.#keep(this.#shared(from, p))), type: from.type };
    if (places) return this.#shared(from, places[0] as Place);
    const four = this.#fours(flat, from);
    if (four) return { kind: "load", from, at: this.value(four), type: from.type, vector: true };
    if (this.#rows.has(from) && !this.#isLaned(flat)) {
      const row = this.#rowOf(from, flat);
      if (row) return row;
    }
    if (!this.#isLaned(flat)) return { kind: "load", from, at: this.value(flat), type: from.type, vector: false };
    // A place that is known to lie outside is never used; WGSL refuses to load it.
    const isNowhere = (at: Expr): boolean => at.kind === "number" && (at.value < 0 || at.value >= sizeOf(from));
    const parts = this.#apart(flat).map((at): Value => (isNowhere(at) ? { kind: "number", value: 0, type: from.type }
      : { kind: "load", from, at: this.value(at), type: from.type, vector: false }));
    return { kind: "pack", parts, type: from.type };
  }

  /** An element that one invocation of the subgroup has loaded for all. */
  #shared(from: Tensor, { base, offsets, mate }: Place): Value {
    const known = this.#spread.find((f) => f.from === from && f.base === base && f.offsets === offsets && this.#scopes.includes(f.scope));
    const of = known?.row ?? this.#at(this.#home(base.free), () => {
      const first = offsets[0] ?? 0;
      const at = this.value(simplifyNode(apply("add", base, int(first))));
      const row = this.#keep({ kind: "spread", from, at, offsets: offsets.map((o) => o - first), type: from.type });
      this.#spread.push({ from, base, offsets, row, scope: this.#top() });
      return row;
    });
    return { kind: "mate", of, mate, type: from.type };
  }

  /** An element as one of the four it lies among, where it is known which. */
  #rowOf(from: Tensor, flat: Expr): Value | undefined {
    if (!hasFours(from)) return undefined;
    const sum = affine(flat);
    if (sum.factors.some((c) => c % 4 !== 0)) return undefined;
    const lane = ((sum.constant % 4) + 4) % 4;
    const at = build(scaled({ ...sum, constant: sum.constant - lane }, 1 / 4));
    const depth = this.#home(at.free);
    const known = this.#fetched.find((f) => f.from === from && f.at === at && this.#scopes.includes(f.scope));
    const of = known?.row ?? this.#at(depth, () => {
      const row = this.#keep({ kind: "load", from, at: this.value(at), type: from.type, vector: true });
      this.#fetched.push({ from, at, row, scope: this.#top() });
      return row;
    });
    return { kind: "part", of, lane, type: from.type };
  }

  /** Which four of a tensor's storage the four points lie in, where they are all of them in order. */
  #fours(flat: Expr, of: Tensor): Expr | undefined {
    if (!this.#lane || !hasFours(of)) return undefined;
    const sum = affine(flat);
    if (sum.constant % 4 !== 0 || coefficient(sum, this.#lane) !== 1) return undefined;
    const rest = without(sum, index(this.#lane));
    return rest.factors.every((c) => c % 4 === 0) ? build(scaled(rest, 1 / 4)) : undefined;
  }

  /** Stores a value at an element of a tensor, or its four values at theirs. */
  store(into: Tensor, flat: Expr, value: Value): void {
    const put = (at: Value, what: Value, vector: boolean): void => {
      this.#top().statements.push({ kind: "store", into, at, value: what, vector });
    };
    if (!this.#isLaned(flat)) return put(this.value(flat), value, false);
    const four = this.#fours(flat, into);
    if (four) return put(this.value(four), value, true);
    this.#apart(flat).forEach((at, lane) => put(this.value(at), isVector(value) ? { kind: "part", of: value, lane, type: value.type } : value, false));
  }

  #unproven(tests: readonly Expr[]): readonly Expr[] {
    return tests.filter((t) => !this.#scopes.some((s) => s.holds.has(t)));
  }

  /** Runs `inside` at every point of `axes` that passes the tests. */
  each(axes: readonly Axis[], tests: readonly Expr[], inside: () => void): void {
    this.#loops(axes, tests.flatMap(conjuncts), inside);
  }

  /** Adds a statement to the current scope. */
  put(statement: Statement): void {
    this.#top().statements.push(statement);
  }

  /** Tells what an expression is from here on in the current scope. */
  know(e: Expr, value: Value): void {
    this.#top().memo.set(e, value);
  }

  /** Adds a value to an element of a tensor, from the current scope. */
  add(into: Tensor, at: Expr, value: Expr): void {
    const statement: Statement = { kind: "add", into, at: this.value(at), value: this.value(value) };
    this.#top().statements.push(statement);
  }

  /** Lowers a reduction, and with it those that share its loops. Leaves the accumulators in the memo of the current scope. */
  #reduction(e: Reduce): Value {
    if (this.#lane && e.over[0] === this.#lane) return this.#across(e);
    const depth = this.#scopes.length - 1;
    const members = (this.#groups.get(e) ?? [e]).filter((m) => m === e || (this.#binds(m.free) && this.#home(m.free) === depth && !this.#top().memo.has(m)));
    const scope = this.#top();
    const sums = members.map((m) => {
      const local = this.local("sum", m.type, this.#isLaned(m));
      scope.statements.push({ kind: "var", local, value: { kind: "number", value: reduceIdentity(m.by), type: m.type } });
      return local;
    });
    const tests = members.map((m) => [...m.where, ...(m.by === "sum" ? nonzeroConditions(m.body) : [])].filter((t) => !this.#isApart(t)));
    const common = (tests[0] as readonly Expr[]).filter((t) => tests.every((list) => list.includes(t)));
    // What is tested runs outside, so that a test fails once for all that is inside.
    const isTested = (a: Axis): boolean => common.some((t) => t.free.includes(a));
    this.#loops([...e.over.filter(isTested), ...e.over.filter((a) => !isTested(a))], common, () => {
      members.forEach((m, i) => {
        // What only some of the neighbours must pass is left to their loads, which then stay shared.
        const own = m.where.filter((t) => !this.#isApart(t) && !common.includes(t));
        this.#guarded(own, () => {
          const local = sums[i] as Local;
          const before: Value = { kind: "local", local, type: local.type };
          const fn = m.by === "sum" ? "add" : m.by === "prod" ? "mul" : m.by;
          const value: Value = { kind: "apply", fn, args: [before, this.#masked(m)], type: local.type };
          this.#top().statements.push({ kind: "set", local, value });
        });
      });
    });
    members.forEach((m, i) => {
      const local = sums[i] as Local;
      scope.memo.set(m, { kind: "local", local, type: local.type });
    });
    return scope.memo.get(e) as Value;
  }

  /** The body of a reduction, neutral at those points side by side that its tests leave out. */
  #masked(m: Reduce): Value {
    const masks = m.where.filter((t) => this.#isApart(t));
    if (masks.length === 0) return this.value(m.body);
    const neutral: Value = { kind: "number", value: reduceIdentity(m.by), type: m.type };
    return { kind: "apply", fn: "select", args: [this.value(masks.reduce((a, b) => apply("and", a, b))), this.value(m.body), neutral], type: m.type };
  }

  /** A reduction over the four points themselves. */
  #across(e: Reduce): Value {
    const fn = e.by === "sum" ? "add" : e.by === "prod" ? "mul" : e.by;
    const of = this.#keep(this.value(e.body));
    const parts = [0, 1, 2, 3].map((lane): Value => (isVector(of) ? { kind: "part", of, lane, type: e.type } : of));
    const total = this.#keep(parts.reduce((a, b) => ({ kind: "apply", fn, args: [a, b], type: e.type })));
    this.#top().memo.set(e, total);
    return total;
  }

  /** Nested loops; every test stands as far out as its axes allow. */
  #loops(axes: readonly Axis[], tests: readonly Expr[], inside: () => void): void {
    const now = tests.filter((t) => !t.free.some((a) => axes.includes(a)));
    const later = tests.filter((t) => !now.includes(t));
    this.#guarded(now, () => {
      const [axis, ...rest] = axes;
      if (!axis) return inside();
      const local = this.local(`${axis.name.replace(/[^A-Za-z]/g, "")}_`, "int");
      const scope: Scope = {
        binds: new Set([axis]), statements: [], holds: new Set(),
        memo: new Map([[index(axis), { kind: "local", local, type: "int" }]]),
      };
      this.#within(scope, () => this.#loops(rest, later, inside));
      this.#top().statements.push({ kind: "for", local, extent: axis.extent, body: scope.statements });
    });
  }

  #guarded(given: readonly Expr[], inside: () => void): void {
    const tests = this.#unproven(given);
    if (tests.length === 0) return inside();
    const test = this.value(tests.reduce((a, b) => apply("and", a, b)));
    const scope: Scope = { binds: new Set(), statements: [], memo: new Map(), holds: new Set(tests) };
    this.#within(scope, inside);
    this.#top().statements.push({ kind: "if", test, body: scope.statements });
  }

  #within(scope: Scope, run: () => void): void {
    this.#scopes.push(scope);
    run();
    this.#scopes.pop();
  }
}

/** Every distinct reduction in an expression, those inside another one before it. */
function walkSums(e: Expr, visit: (x: Reduce) => void, seen: Set<Expr>): void {
  if (!e.reduces || seen.has(e)) return;
  seen.add(e);
  for (const p of e.parts) walkSums(p, visit, seen);
  if (e.kind === "reduce") visit(e);
}

/** The conditions under which a read with a view is inside. */
function insideConditions(r: Read): readonly Expr[] {
  return r.at.flatMap((e, k) => conjuncts(within(e, (r.tensor.axes[k] as Axis).extent)));
}

/** Conditions without which the expression is certainly zero. */
export function nonzeroConditions(e: Expr): readonly Expr[] {
  if (e.kind === "read") return e.outside === "zero" ? insideConditions(e) : [];
  if (e.kind !== "apply") return [];
  const [a, b, c] = e.args as [Expr, Expr, Expr];
  switch (e.fn) {
    case "mul": return [...new Set([...nonzeroConditions(a), ...nonzeroConditions(b)])];
    case "add": case "sub": {
      const both = nonzeroConditions(b);
      return both.length === 0 ? both : nonzeroConditions(a).filter((t) => both.includes(t));
    }
    case "neg": case "div": case "real": case "hold": case "half": return nonzeroConditions(a);
    case "select": return c === real(0) ? [...conjuncts(a), ...nonzeroConditions(b)] : [];
    default: return [];
  }
}
