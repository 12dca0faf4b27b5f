// How expressions and types are laid out; every function is one shape.

import { doc, type Doc } from "prettier";
import type * as Ast from "./ast.ts";
import { commentsOf, type Node } from "./tree.ts";

const { group, ifBreak, indent, join, line, softline } = doc.builders;

/** What a layout may ask: the finished text of a child, and where the node itself stands. */
export interface Setting {
  readonly of: (child: Node) => Doc;
  readonly parent: Node | null;
  readonly key: string | null;
  readonly index: number | null;
}

/** Items between brackets: all on one line, or each on its own. */
export function bracketed(open: string, items: readonly Doc[], close: string, trailing: "," | ""): Doc {
  if (items.length === 0) return [open, close];
  return group([open, indent([softline, join([",", line], [...items])]), trailing === "" ? "" : ifBreak(trailing), softline, close]);
}

/** An expression. */
export function term(node: Ast.Term, at: Setting): Doc {
  const { of } = at;
  switch (node.kind) {
    case "pipe":
      return group([of(node.from), indent(node.stages.map((stage) => [line, of(stage)]))]);
    case "call":
      return [of(node.head), args(node.args, at)];
    case "index":
      return [of(node.head), bracketed("[", node.at.map(of), "]", "")];
    case "member":
      return [of(node.head), ".", node.name.text];
    case "reduction":
      return reduction(node, at);
    case "if":
      return group(["if ", of(node.test), indent([line, "then ", of(node.then), line, "else ", of(node.otherwise)])]);
    case "binary":
      return binary(node, at);
    case "unary":
      return [node.operator === "not" ? "not " : "-", of(node.term)];
    case "tuple":
      return bracketed("(", node.items.map(of), ")", "");
    case "group":
      return group(["(", indent([softline, of(node.term)]), softline, ")"]);
    case "list":
      return bracketed("[", node.items.map(of), "]", ",");
    case "fill":
      return group(["[", indent([softline, of(node.item), "; ", of(node.count)]), softline, "]"]);
    case "each":
      return group(["[", indent([softline, of(node.item), line, "for ", node.name.text, " in ", of(node.range)]), softline, "]"]);
    case "number":
      return node.raw;
    case "bool":
      return String(node.value);
    case "name":
      return node.text;
    case "text":
      return `"${node.value}"`;
  }
}

function reduction(node: Ast.Term & { kind: "reduction" }, { of }: Setting): Doc {
  const over = join([",", line], node.over.map(of));
  const where = node.where.length === 0 ? "" : [line, "where ", join([",", line], node.where.map(of))];
  return [node.by, group(["[", indent([softline, over, where]), softline, "]"]), group(["(", indent([softline, of(node.body)]), softline, ")"])];
}

/** A list that is the only argument shares the brackets of the call: `sum([ … ])`. */
function args(given: readonly Ast.Argument[], { of }: Setting): Doc {
  const [only] = given;
  const isList = only !== undefined && (only.value.kind === "list" || only.value.kind === "each" || only.value.kind === "fill");
  const hugs = given.length === 1 && isList && only.name === undefined && commentsOf(only).length + commentsOf(only.value).length === 0;
  return hugs ? ["(", of(only), ")"] : bracketed("(", given.map(of), ")", ",");
}

const levels: readonly (readonly Ast.BinaryOperator[])[] = [
  ["or"], ["and"], ["==", "!=", "<", "<=", ">", ">="], ["..<", "..="], ["+", "-"], ["*", "/", "%"], ["^"],
];

function levelOf(node: Node | null): number {
  return node !== null && "kind" in node && node.kind === "binary" ? levels.findIndex((level) => level.includes(node.operator)) : -1;
}

/** Whether a line may break before the operator. `factor * sum[k](` keeps the long sum on the line of its factor. */
export function canBreak({ operator, left, right }: Ast.Term & { kind: "binary" }): boolean {
  if (operator === "..<" || operator === "..=") return false;
  return right.kind !== "reduction" || levelOf(left) === levels.findIndex((level) => level.includes(operator));
}

/** A chain such as `a + b - c` breaks before each of its operators or before none. */
function binary(node: Ast.Term & { kind: "binary" }, at: Setting): Doc {
  const { of } = at;
  const { operator, left, right } = node;
  if (operator === "..<" || operator === "..=") return [of(left), operator, of(right)];
  if (!canBreak(node)) return [of(left), " ", operator, " ", of(right)];
  const chain: Doc = [of(left), line, operator, " ", of(right)];
  const inside = at.key === "left" && levelOf(at.parent) === levelOf(node);
  return inside ? chain : group(indent(chain));
}

/** A type: `int[]`, or a shape with what may stand around it. */
export function type(node: Ast.Type, { of }: Setting): Doc {
  if (node.kind === "static") return `${node.name.text}${"[]".repeat(node.lists)}`;
  const word = node.element?.text ?? "";
  const each = node.each === undefined ? "" : [" for ", node.each.name.text, " in ", of(node.each.range)];
  return [word, bracketed("[", node.shape.map(of), "]", ""), each];
}

/** `name = value`, or the value alone. */
export function argument(node: Ast.Argument, { of }: Setting): Doc {
  return node.name === undefined ? of(node.value) : [node.name.text, " = ", of(node.value)];
}

/** `*e` or `e`. */
export function element(node: Ast.Element, { of }: Setting): Doc {
  return [node.pack ? "*" : "", of(node.term)];
}

/** `*s`, `i in 0..<n`, or an index. */
export function binder(node: Ast.Binder, { of }: Setting): Doc {
  return [node.pack ? "*" : "", of(node.term), node.range === undefined ? "" : [" in ", of(node.range)]];
}

/** A stage of a pipe with its `|>`; the first one inside `repeat { … }` has none. */
export function stage(node: Ast.Stage, at: Setting): Doc {
  const { of, parent, key, index } = at;
  const first = key === "stages" && index === 0 && parent !== null && "kind" in parent && parent.kind === "repeat";
  const as = node.as === undefined ? "" : ` as ${node.as.text}`;
  if (node.kind === "apply") {
    return [first ? "" : "|> ", of(node.head), node.args === undefined ? "" : args(node.args, at), as];
  }
  const [head, ...rest] = node.stages.map(of);
  const over = node.name === undefined ? "" : `${node.name.text} in `;
  const inner = [head ?? "", indent(rest.map((one) => [line, one]))];
  return [first ? "" : "|> ", "repeat ", over, of(node.count), " ", group(["{", indent([line, inner]), line, "}"]), as];
}
