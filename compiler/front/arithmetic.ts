// Operators on static numbers, lists of them, elements and tensors.

import type { BinaryOperator } from "../../grammar/ast.ts";
import { apply, real, type Expr } from "../ir/expr.ts";
import type { Span } from "../source.ts";
import { fault } from "./env.ts";
import { pointwise } from "./pointwise.ts";
import { describe, exprOf, float, list, scalar, show, shapeOfValue, truth, whole, type Env, type Value } from "./values.ts";

interface Sides {
  readonly env: Env;
  readonly operator: BinaryOperator;
  readonly span: Span;
  readonly left: Span;
  readonly right: Span;
  /** `/` between whole numbers is a fraction: a float was asked for. */
  readonly fraction: boolean;
}

/** `a operator b` for any two values. `and`, `or` and ranges are the evaluator's. */
export function binary(a: Value, b: Value, sides: Sides): Value {
  const { operator, env } = sides;
  if ((operator === "==" || operator === "!=") && (a.kind === "none" || b.kind === "none")) {
    return truth((a.kind === b.kind) === (operator === "=="));
  }
  if (isTensor(a) || isTensor(b)) {
    if (!isElement(a) || !isElement(b)) throw cannot(a, b, sides);
    return pointwise(env, [a, b], [sides.left, sides.right], sides.span, ([x, y]) => elements(operator, x as Expr, y as Expr, sides), operatorSpan(sides));
  }
  if (operator === "==" || operator === "!=") {
    const same = equal(a, b, sides);
    if (same !== undefined) return truth(same === (operator === "=="));
  }
  if (a.kind === "list" || b.kind === "list") return lists(a, b, sides);
  if (a.kind === "scalar" || b.kind === "scalar") {
    const [x, y] = [exprOf(a), exprOf(b)];
    if (!x || !y) throw cannot(a, b, sides);
    return scalar(elements(operator, x, y, sides));
  }
  if (isNumber(a) && isNumber(b)) return numbers(a, b, sides);
  throw cannot(a, b, sides);
}

/** The operator itself, between its two sides. */
function operatorSpan({ operator, span, left, right }: Sides): Span {
  const { file } = span;
  const between = left.end <= right.start ? file.text.slice(left.end, right.start) : "";
  const at = between.replace(/\/\/.*$/gm, (comment) => " ".repeat(comment.length)).indexOf(operator);
  return at < 0 ? span : { file, start: left.end + at, end: left.end + at + operator.length };
}

const isTensor = (v: Value): boolean => v.kind === "tensor" || v.kind === "field";
const isElement = (v: Value): boolean => isTensor(v) || v.kind === "int" || v.kind === "float" || v.kind === "bool" || v.kind === "scalar";
const isNumber = (v: Value): v is Extract<Value, { kind: "int" | "float" }> => v.kind === "int" || v.kind === "float";

function cannot(a: Value, b: Value, { env, operator, span }: Sides): Error {
  return fault(env, "N0302", `\`${operator}\` does not join ${describe(a)} and ${describe(b)}`, span, "");
}

/** Equality of what is known while compiling; undefined when it is a matter of elements. */
function equal(a: Value, b: Value, sides: Sides): boolean | undefined {
  if (a.kind === "scalar" || b.kind === "scalar") return undefined;
  if (isNumber(a) && isNumber(b)) return a.value === b.value;
  if (a.kind === "list" || b.kind === "list") {
    if (a.kind === "list" && b.kind === "list") {
      return a.items.length === b.items.length && a.items.every((x, i) => equal(x, b.items[i] as Value, sides) === true);
    }
    const [items, other] = a.kind === "list" ? [a.items, b] : b.kind === "list" ? [b.items, a] : [[], a];
    return isNumber(other) ? items.every((x) => equal(x, other, sides) === true) : false;
  }
  if (a.kind === "none" || b.kind === "none") return a.kind === b.kind; // inside lists
  if (a.kind === "text" && b.kind === "text") return a.value === b.value;
  if (a.kind === "bool" && b.kind === "bool") return a.value === b.value;
  throw cannot(a, b, sides);
}

function lists(a: Value, b: Value, sides: Sides): Value {
  const { env, operator, span } = sides;
  const n = a.kind === "list" ? a.items.length : b.kind === "list" ? b.items.length : 0;
  if (a.kind === "list" && b.kind === "list" && a.items.length !== b.items.length) {
    throw fault(env, "N0405", "these lists are not equally long", span, `${show(a)} against ${show(b)}`, {
      facts: [`The left has ${a.items.length} entries, the right has ${b.items.length}.`],
    });
  }
  const made: Value[] = [];
  for (let i = 0; i < n; i++) {
    made.push(binary(a.kind === "list" ? (a.items[i] as Value) : a, b.kind === "list" ? (b.items[i] as Value) : b, sides));
  }
  if (operator === "<" || operator === "<=" || operator === ">" || operator === ">=") {
    return truth(made.every((v) => v.kind === "bool" && v.value));
  }
  return list(made);
}

function numbers(a: Extract<Value, { kind: "int" | "float" }>, b: Extract<Value, { kind: "int" | "float" }>, sides: Sides): Value {
  const { env, operator, span, fraction } = sides;
  const ints = a.kind === "int" && b.kind === "int";
  const [x, y] = [a.value, b.value];
  const number = (value: number): Value => (ints ? whole(value) : float(value));
  if ((operator === "/" || operator === "%") && y === 0) {
    throw fault(env, "N0302", "this divides by zero", span, `${show(a)} ${operator} 0`);
  }
  switch (operator) {
    case "+": return number(x + y);
    case "-": return number(x - y);
    case "*": return number(x * y);
    case "/": return ints && !fraction ? whole(Math.floor(x / y)) : float(x / y);
    case "%": return number(x - Math.floor(x / y) * y);
    case "^": return ints && y >= 0 ? whole(x ** y) : float(x ** y);
    case "<": return truth(x < y);
    case "<=": return truth(x <= y);
    case ">": return truth(x > y);
    case ">=": return truth(x >= y);
    default: throw cannot(a, b, sides);
  }
}

function elements(operator: BinaryOperator, a: Expr, b: Expr, sides: Sides): Expr {
  switch (operator) {
    case "+": return apply("add", a, b);
    case "-": return apply("sub", a, b);
    case "*": return apply("mul", a, b);
    case "/": return a.type === "int" && b.type === "int" && !sides.fraction ? apply("idiv", a, b) : apply("div", a, b);
    case "%":
      if (a.type !== "int" || b.type !== "int") {
        throw fault(sides.env, "N0302", "`%` takes whole numbers", sides.span, "one side is a real number");
      }
      return apply("imod", a, b);
    case "^": return power(a, b);
    case "==": return apply("eq", a, b);
    case "!=": return apply("ne", a, b);
    case "<": return apply("lt", a, b);
    case "<=": return apply("le", a, b);
    case ">": return apply("lt", b, a);
    case ">=": return apply("le", b, a);
    case "and": return apply("and", a, b);
    case "or": return apply("or", a, b);
    default: throw cannot(scalar(a), scalar(b), sides);
  }
}

/** Small whole exponents multiply: that keeps the sign of the base and its derivative simple. */
function power(a: Expr, b: Expr): Expr {
  if (b.kind === "number" && Number.isInteger(b.value) && Math.abs(b.value) <= 16) {
    const n = Math.abs(b.value);
    if (n === 0) return real(1);
    const made = times(a, n);
    return b.value < 0 ? apply("div", real(1), made) : made;
  }
  return apply("pow", a, b);
}

function times(a: Expr, n: number): Expr {
  if (n === 1) return a;
  const half = times(a, Math.floor(n / 2));
  const square = apply("mul", half, half);
  return n % 2 === 0 ? square : apply("mul", square, a);
}

/** `-a` and `not a`. */
export function unary(operator: "-" | "not", a: Value, env: Env, span: Span): Value {
  if (shapeOfValue(a)) {
    return pointwise(env, [a], [span], span, ([x]) => apply(operator === "-" ? "neg" : "not", x as Expr));
  }
  if (operator === "not") {
    if (a.kind === "bool") return truth(!a.value);
    if (a.kind === "scalar") return scalar(apply("not", a.expr));
  } else {
    if (a.kind === "int") return whole(a.value === 0 ? 0 : -a.value);
    if (a.kind === "float") return float(-a.value);
    if (a.kind === "scalar") return scalar(apply("neg", a.expr));
    if (a.kind === "list") return list(a.items.map((x) => unary(operator, x, env, span)));
  }
  throw fault(env, "N0302", `\`${operator}\` does not apply to ${describe(a)}`, span, "");
}
