// Derivatives of the scalar functions, and their accumulation through one expression.

import { apply, real, type Apply, type Expr, type Read } from "../ir/expr.ts";

/** For every distinct active read in `e`: the derivative of `e` by it, times `upstream`. */
export function adjoints(e: Expr, upstream: Expr, isActive: (r: Read) => boolean): readonly [Read, Expr][] {
  const order: Expr[] = [];
  const carries = new Set<Expr>();
  const seen = new Set<Expr>();
  const visit = (x: Expr): void => {
    // Indices carry nothing.
    if (x.type === "int" || seen.has(x)) return;
    seen.add(x);
    for (const p of x.parts) visit(p);
    order.push(x);
    if (x.type !== "real") return;
    if (x.kind === "read" ? isActive(x) : x.kind === "apply" && x.args.some((a) => carries.has(a))) carries.add(x);
  };
  visit(e);
  const sums = new Map<Expr, Expr>([[e, upstream]]);
  const found: [Read, Expr][] = [];
  for (const x of order.reverse()) {
    const g = sums.get(x);
    if (!g || !carries.has(x)) continue;
    if (x.kind === "read") found.push([x, g]);
    if (x.kind !== "apply") continue;
    const partial = derivative(x, g);
    x.args.forEach((a, i) => {
      const d = partial[i];
      if (!d || !carries.has(a)) return;
      const sum = sums.get(a);
      sums.set(a, sum ? apply("add", sum, d) : d);
    });
  }
  return found;
}

/** The derivative of a scalar function by each argument, times `g`; undefined where it has none. At a tie of min or max the second argument takes all. */
function derivative(x: Apply, g: Expr): readonly (Expr | undefined)[] {
  const [a, b] = x.args as [Expr, Expr];
  const neg = (e: Expr): Expr => apply("neg", e);
  const mul = (p: Expr, q: Expr): Expr => apply("mul", p, q);
  const when = (test: Expr, e: Expr): Expr => apply("select", test, e, real(0));
  const unless = (test: Expr, e: Expr): Expr => apply("select", test, real(0), e);
  switch (x.fn) {
    case "add": return [g, g];
    case "sub": return [g, neg(g)];
    case "mul": return [mul(g, b), mul(g, a)];
    case "div": return [apply("div", g, b), neg(apply("div", mul(g, x), b))];
    case "neg": return [neg(g)];
    case "max": return [when(apply("lt", b, a), g), unless(apply("lt", b, a), g)];
    case "min": return [when(apply("lt", a, b), g), unless(apply("lt", a, b), g)];
    case "abs": return [apply("select", apply("lt", real(0), a), g, when(apply("lt", a, real(0)), neg(g)))];
    case "pow": return [mul(g, mul(b, apply("pow", a, apply("sub", b, real(1))))), mul(g, mul(x, apply("log", a)))];
    case "exp": return [mul(g, x)];
    case "log": return [apply("div", g, a)];
    case "sqrt": return [apply("div", mul(g, real(0.5)), x)];
    case "rsqrt": return [mul(g, mul(real(-0.5), mul(x, mul(x, x))))];
    case "erf": return [mul(g, mul(real(2 / Math.sqrt(Math.PI)), apply("exp", neg(mul(a, a)))))];
    case "sin": return [mul(g, apply("cos", a))];
    case "cos": return [neg(mul(g, apply("sin", a)))];
    case "tanh": return [mul(g, apply("sub", real(1), mul(x, x)))];
    case "select": return [undefined, when(a, g), unless(a, g)];
    case "hold": case "floor": case "round": case "trunc": case "widen": case "binade": case "half": case "real": case "idiv": case "imod":
    case "eq": case "ne": case "lt": case "le": case "and": case "or": case "not": return [];
    default: return x.fn satisfies never;
  }
}
