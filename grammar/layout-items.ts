// How definitions, bodies and statements are laid out.

import { doc, type Doc } from "prettier";
import type * as Ast from "./ast.ts";
import { bracketed, type Setting } from "./layout-terms.ts";

const { group, hardline, indent, join, line } = doc.builders;

/** What only the whole text knows. */
export interface Surroundings extends Setting {
  /** Whether the author left a blank line behind a node. */
  readonly blankAfter: (node: { readonly span: Ast.File["span"] }) => boolean;
  /** Whether a node carries comments above it. */
  readonly topped: (node: object) => boolean;
  /** Comments inside a node that has no child to carry them. */
  readonly dangling: () => Doc;
  /** A comment behind an opening brace. */
  readonly opening: () => Doc;
}

/** The file: imports first and sorted, one blank line between definitions. */
export function file(node: Ast.File, at: Surroundings): Doc {
  const head = at.dangling();
  const imports = node.items.filter((item) => item.kind === "import");
  const sorted = imports.toSorted((a, b) => (a.from.value < b.from.value ? -1 : a.from.value > b.from.value ? 1 : 0));
  const items: readonly Ast.Item[] = [...sorted, ...node.items.filter((item) => item.kind !== "import")];
  const parts = items.flatMap((item, place) => {
    const before = items[place - 1];
    if (before === undefined) return [at.of(item)];
    const close = before.kind === item.kind && isOneLine(before, at) && isOneLine(item, at) && !at.topped(item);
    const blank = !close || (item.kind !== "import" && at.blankAfter(before));
    return [hardline, blank ? hardline : "", at.of(item)];
  });
  if (items.length === 0) return head === "" ? "" : [head, hardline];
  return [head, head === "" ? "" : [hardline, hardline], ...parts, hardline];
}

/** Whether an item will stand on one line; only the printer knows. */
function isOneLine(item: Ast.Item, at: Surroundings): boolean {
  if (at.topped(item)) return false;
  return !doc.printer.printDocToString(at.of(item), { printWidth: 100, tabWidth: 2, useTabs: false }).formatted.includes("\n");
}

/** A definition of the file. */
export function item(node: Ast.Item, at: Surroundings): Doc {
  const { of } = at;
  switch (node.kind) {
    case "import":
      return importing(node, at);
    case "const":
      return [node.name.text, " = ", of(node.value)];
    case "dial":
      return group([
        "dial ", node.name.text, node.type === undefined ? "" : [": ", of(node.type)], " = ", of(node.value),
        node.where.length === 0 ? "" : indent([line, group(indent(["where", line, join([",", line], node.where.map(of))]))]),
      ]);
    case "fn":
      return ["fn ", node.name.text, bracketed("(", node.params.map((param) => param.text), ")", ","), node.body.kind === "body" ? " " : "", meaning(node.body, at)];
    case "op":
    case "block":
      return [header(node, at), meaning(node.body, at)];
    case "network":
      if (node.alias !== undefined) return ["network ", node.name.text, " = ", of(node.alias)];
      return [header(node, at), node.body === undefined ? "" : meaning(node.body, at)];
    case "data":
      return ["data ", node.name.text, " ", of(node.body)];
    case "run": {
      const name = node.name === undefined ? "" : `${node.name.text} `;
      const like = node.like === undefined ? "" : ` like ${node.like.text}`;
      return [node.mode, " ", name, "for ", of(node.target), like, " ", of(node.body)];
    }
    case "check":
      return ["check ", of(node.test)];
  }
}

function importing(node: Ast.Item & { kind: "import" }, { of }: Surroundings): Doc {
  if (node.all !== undefined) return ["import ", of(node.from), " as ", node.all.text];
  const names = node.names.map(({ name, as }) => (as === undefined ? name.text : `${name.text} as ${as.text}`));
  const list = group(["{", indent([line, join([",", line], names)]), doc.builders.ifBreak(","), line, "}"]);
  return ["import ", list, " from ", of(node.from)];
}

/** When the head does not fit on a line, `where` and the brace each begin one. */
function header(node: Ast.Op | Ast.Block | Ast.Network, { of }: Surroundings): Doc {
  const results = "results" in node ? node.results : [];
  const list = results.map(of);
  const gives = list.length === 0 ? "" : [" -> ", list.length === 1 ? list : bracketed("(", list, ")", ",")];
  const where = node.where.length === 0 ? "" : indent([line, group(indent(["where", line, join([",", line], node.where.map(of))]))]);
  const brace = node.body?.kind !== "body" ? "" : node.where.length > 0 ? line : " ";
  return group([node.kind, " ", node.name.text, bracketed("(", node.ports.map(of), ")", ","), gives, where, brace]);
}

/** ` = value` on the line of the head or on the next; a body follows its head directly. */
function meaning(node: Ast.Term | Ast.Body, { of }: Surroundings): Doc {
  return node.kind === "body" ? of(node) : [" =", group(indent([line, of(node)]))];
}

/** `{ … }` with one statement a line; at most one blank line between two survives. */
export function body(node: Ast.Body, at: Surroundings): Doc {
  const opening = at.opening();
  if (node.statements.length === 0) {
    const inside = at.dangling();
    return inside === "" && opening === "" ? "{}" : ["{", opening, inside === "" ? "" : indent([hardline, inside]), hardline, "}"];
  }
  const lines = node.statements.map((statement, place) => {
    const before = node.statements[place - 1];
    return [hardline, before !== undefined && at.blankAfter(before) ? hardline : "", at.of(statement)];
  });
  return ["{", opening, indent(lines), hardline, "}"];
}

/** A statement of a body. */
export function statement(node: Ast.Statement, { of }: Surroundings): Doc {
  switch (node.kind) {
    case "param":
    case "state":
      return [node.kind, " ", node.name.text, ": ", of(node.type), " = ", of(node.value)];
    case "shared":
    case "update":
      return [node.kind, " ", node.name.text, " = ", of(node.value)];
    case "turn":
      return ["dial ", node.name.text, " = ", of(node.value)];
    case "out":
      return ["out ", of(node.target), " = ", of(node.value), node.when === undefined ? "" : [" when ", of(node.when)]];
    case "return":
      return ["return ", of(node.value)];
    case "define":
      return [of(node.target), " = ", of(node.value)];
  }
}

/** What a definition defines. */
export function target(node: Ast.Target, { of }: Surroundings): Doc {
  if (node.kind === "many") return bracketed("(", node.names.map((name) => name.text), ")", "");
  return [node.name.text, node.binders === undefined ? "" : bracketed("[", node.binders.map(of), "]", "")];
}

/** `name: type = value`. */
export function port(node: Ast.Port, { of }: Surroundings): Doc {
  return [node.name.text, ": ", of(node.type), node.value === undefined ? "" : [" = ", of(node.value)]];
}

/** `name: type`, or the type alone. */
export function result(node: Ast.Result, { of }: Surroundings): Doc {
  return [node.name === undefined ? "" : `${node.name.text}: `, of(node.type)];
}

/** `Size = value`, or what must hold. */
export function demand(node: Ast.Demand, { of }: Surroundings): Doc {
  return [node.name === undefined ? "" : `${node.name.text} = `, of(node.term)];
}
