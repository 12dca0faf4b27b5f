// The oracle: evaluates any tensor on the CPU in float64, straight from its definition.

import { invariant } from "../report/diagnostic.ts";
import { drawValue } from "./draw.ts";
import { binade, erf, evaluate, nearestHalf, reduceIdentity, roundEven, type Axis, type Expr, type Primitive } from "./expr.ts";
import { shapeOf, sizeOf, type Tensor } from "./graph.ts";

export interface Surroundings {
  /** Row-major values of the tensors without a body. */
  readonly values: Map<Tensor, Float64Array>;
  readonly dials?: Readonly<Record<string, number>>;
  readonly seed?: number;
  readonly step?: number;
}

/** The values of a tensor, row-major; what it needs is evaluated first and kept in `surroundings.values`. */
export function interpret(tensor: Tensor, surroundings: Surroundings): Float64Array {
  const { values } = surroundings;
  const pending: Tensor[] = [tensor];
  while (pending.length > 0) {
    const t = pending[pending.length - 1] as Tensor;
    if (values.has(t)) {
      pending.pop();
      continue;
    }
    invariant(t.body, () => `no value was given for ${t.name}`);
    const { run, tensors } = compile(t, t.body);
    const missing = tensors.filter((x) => !values.has(x));
    if (missing.length > 0) {
      pending.push(...missing);
      continue;
    }
    const out = new Float64Array(sizeOf(t));
    run(out, tensors.map((x) => values.get(x) as Float64Array), support(surroundings));
    values.set(t, out);
    pending.pop();
  }
  return values.get(tensor) as Float64Array;
}

interface Support {
  readonly erf: (x: number) => number;
  readonly round: (x: number) => number;
  readonly binade: (x: number) => number;
  readonly half: (x: number) => number;
  readonly call: (fn: Primitive, v: number[]) => number;
  readonly dial: (name: string, otherwise: number) => number;
  readonly draw: (site: number, at: number) => number;
}

function support(s: Surroundings): Support {
  return {
    erf,
    round: roundEven,
    binade,
    half: nearestHalf,
    call: evaluate,
    dial: (name, otherwise) => s.dials?.[name] ?? otherwise,
    draw: (site, at) => drawValue(s.seed ?? 0, s.step ?? 0, site, at),
  };
}

type Program = (out: Float64Array, tensors: readonly Float64Array[], s: Support) => void;
const programs = new WeakMap<Tensor, { run: Program; tensors: readonly Tensor[] }>();

/** Turns a definition into a JavaScript function: nested loops, one variable per distinct sub-expression and scope. */
function compile(t: Tensor, body: Expr): { run: Program; tensors: readonly Tensor[] } {
  const known = programs.get(t);
  if (known) return known;
  const tensors: Tensor[] = [];
  const lines: string[] = [];
  const scopes: Map<Expr, string>[] = [new Map()];
  let names = 0;

  const emit = (e: Expr): string => {
    for (const s of scopes) {
      const name = s.get(e);
      if (name !== undefined) return name;
    }
    if (e.kind === "number") return e.value < 0 ? `(${e.value})` : String(e.value);
    if (e.kind === "axis") return `x${e.axis.id}`;
    const name = `v${names++}`;
    if (e.kind === "reduce") {
      lines.push(`let ${name} = ${reduceIdentity(e.by)};`);
      nest(e.over, () => {
        const tests = e.where.map(emit);
        if (tests.length > 0) lines.push(`if (!(${tests.join(" && ")})) continue;`);
        const value = emit(e.body);
        const better = e.by === "sum" ? `${name} + ${value}` : e.by === "prod" ? `${name} * ${value}` : `Math.${e.by}(${name}, ${value})`;
        lines.push(`${name} = ${better};`);
      });
    } else {
      lines.push(`const ${name} = ${simple(e)};`);
    }
    (scopes[scopes.length - 1] as Map<Expr, string>).set(e, name);
    return name;
  };

  const simple = (e: Exclude<Expr, { kind: "reduce" }>): string => {
    switch (e.kind) {
      case "number": case "axis": return emit(e);
      case "dial": return `s.dial(${JSON.stringify(e.dial.name)}, ${e.dial.value})`;
      case "draw": return `s.draw(${e.site}, ${emit(e.at)})`;
      case "read": return readText(e.tensor, e.at.map(emit), e.outside);
      case "apply": return applyText(e.fn, e.args.map(emit));
    }
  };

  const readText = (of: Tensor, at: readonly string[], outside: string): string => {
    let slot = tensors.indexOf(of);
    if (slot < 0) slot = tensors.push(of) - 1;
    const shape = shapeOf(of);
    const where = outside === "edge" ? at.map((i, k) => `Math.max(0, Math.min(${(shape[k] as number) - 1}, ${i}))`) : at;
    const flat = where.reduce((sum, i, k) => (k === 0 ? i : `(${sum}) * ${shape[k]} + ${i}`), "0");
    const load = `t[${slot}][${flat}]`;
    if (outside === "zero" || outside === "lowest") {
      const test = at.map((i, k) => `${i} >= 0 && ${i} < ${shape[k]}`).join(" && ");
      return `(${test || "true"}) ? ${load} : ${outside === "zero" ? "0" : reduceIdentity("max")}`;
    }
    return load;
  };

  const nest = (axes: readonly Axis[], inside: () => void): void => {
    for (const a of axes) lines.push(`for (let x${a.id} = 0; x${a.id} < ${a.extent}; x${a.id}++) {`);
    scopes.push(new Map());
    inside();
    scopes.pop();
    for (const _ of axes) lines.push("}");
  };

  lines.push("let at = 0;");
  nest(t.axes, () => {
    const value = emit(body);
    lines.push(`out[at++] = ${value};`);
  });
  const run = new Function("out", "t", "s", lines.join("\n")) as Program;
  const made = { run, tensors };
  programs.set(t, made);
  return made;
}

function applyText(fn: Primitive, v: readonly string[]): string {
  const [a, b, c] = v as [string, string, string];
  switch (fn) {
    case "add": return `${a} + ${b}`;
    case "sub": return `${a} - ${b}`;
    case "mul": return `${a} * ${b}`;
    case "div": return `${a} / ${b}`;
    case "idiv": return `Math.floor(${a} / ${b})`;
    case "imod": return `${a} - Math.floor(${a} / ${b}) * ${b}`;
    case "neg": return `-${a}`;
    case "erf": return `s.erf(${a})`;
    case "round": case "binade": case "half": return `s.${fn}(${a})`;
    case "select": return `${a} ? ${b} : ${c}`;
    case "eq": return `${a} === ${b}`;
    case "ne": return `${a} !== ${b}`;
    case "lt": return `${a} < ${b}`;
    case "le": return `${a} <= ${b}`;
    case "and": return `${a} && ${b}`;
    case "or": return `${a} || ${b}`;
    case "not": return `!${a}`;
    case "rsqrt": return `1 / Math.sqrt(${a})`;
    case "real": case "hold": return a;
    case "widen": return `Math.trunc(${a})`;
    case "min": case "max": case "abs": case "pow": case "exp": case "log": case "sqrt": case "sin": case "cos": case "tanh":
    case "floor": case "trunc": return `Math.${fn}(${v.join(", ")})`;
    default: return fn satisfies never;
  }
}
