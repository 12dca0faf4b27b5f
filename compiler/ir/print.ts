// Prints definitions as `.net` text, so that a person can read any stage.

import { reduceIdentity, type Axis, type Expr } from "./expr.ts";
import { shapeOf, type Tensor } from "./graph.ts";

/** Gives axes their names back, with a number where two of one name meet in a definition. */
class AxisNames {
  readonly #names = new Map<Axis, string>();
  readonly #taken = new Set<string>();

  of(a: Axis): string {
    const known = this.#names.get(a);
    if (known) return known;
    let name = a.name;
    for (let i = 1; this.#taken.has(name); i++) name = `${a.name}${i}`;
    this.#taken.add(name);
    this.#names.set(a, name);
    return name;
  }
}

/** `y[n<2, c<8] = …` */
export function printTensor(t: Tensor, body: Expr | undefined = t.body): string {
  const names = new AxisNames();
  const head = `${t.name}[${t.axes.map((a) => `${names.of(a)}<${a.extent}`).join(", ")}]`;
  return body ? `${head} = ${print(body, names, 0)}` : head;
}

/** Every definition on a line of its own; sources with their shapes. */
export function printTensors(tensors: readonly Tensor[]): string {
  return tensors.map((t) => (t.body ? printTensor(t) : `${t.name}: [${shapeOf(t).join(", ")}]`)).join("\n");
}

export function printExpression(e: Expr): string {
  return print(e, new AxisNames(), 0);
}

const infix: Readonly<Record<string, readonly [string, number]>> = {
  or: [" or ", 1], and: [" and ", 2], eq: [" == ", 3], ne: [" != ", 3], lt: [" < ", 3], le: [" <= ", 3],
  add: [" + ", 4], sub: [" - ", 4], mul: [" * ", 5], div: [" / ", 5], idiv: [" / ", 5], imod: [" % ", 5], pow: [" ^ ", 6],
};

function print(e: Expr, names: AxisNames, level: number): string {
  switch (e.kind) {
    case "number":
      if (e.type === "bool") return e.value ? "true" : "false";
      return e.type === "real" && Number.isInteger(e.value) && Math.abs(e.value) < 1e15 ? `${e.value}.0` : short(e.value);
    case "axis": return names.of(e.axis);
    case "dial": return e.dial.name;
    case "draw": return `draw(${e.site}, ${print(e.at, names, 0)})`;
    case "read": {
      const view = e.outside === "never" ? "" : `.${e.outside}`;
      return `${e.tensor.name}${view}[${e.at.map((i) => print(i, names, 0)).join(", ")}]`;
    }
    case "reduce": {
      const over = e.over.map((a) => `${names.of(a)}<${a.extent}`).join(", ");
      const where = e.where.length > 0 ? ` where ${e.where.map((w) => print(w, names, 0)).join(", ")}` : "";
      return `${e.by}[${over}${where}](${print(e.body, names, 0)})`;
    }
    case "apply": {
      const operator = infix[e.fn];
      const [a, b] = e.args as [Expr, Expr];
      if (operator) {
        const [sign, own] = operator;
        const text = `${print(a, names, own)}${sign}${print(b, names, own + 1)}`;
        return own < level ? `(${text})` : text;
      }
      if (e.fn === "neg") return level > 4 ? `(-${print(a, names, 6)})` : `-${print(a, names, 6)}`;
      if (e.fn === "not") return `not ${print(a, names, 6)}`;
      if (e.fn === "real") return print(a, names, level);
      return `${e.fn}(${e.args.map((x) => print(x, names, 0)).join(", ")})`;
    }
  }
}

function short(v: number): string {
  if (v === reduceIdentity("max")) return "lowest";
  if (v === reduceIdentity("min")) return "highest";
  return String(Number(v.toPrecision(9)));
}
