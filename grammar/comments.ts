// Where comments go: Prettier finds the nodes around one, these rules choose among them.

import { util } from "prettier";
import { canBreak } from "./layout-terms.ts";
import { childrenOf, type Comment, isName, type Node } from "./tree.ts";

/** Remembers for every node what lies above it. */
export function parentsOf(root: Node): WeakMap<object, Node> {
  const parents = new WeakMap<object, Node>();
  const visit = (node: Node): void => {
    for (const child of childrenOf(node)) {
      parents.set(child.node, node);
      visit(child.node);
    }
  };
  visit(root);
  return parents;
}

const lineKinds: ReadonlySet<string> = new Set([
  "import", "const", "dial", "fn", "op", "block", "network", "data", "run", "check",
  "param", "state", "shared", "update", "turn", "out", "return", "define", "apply", "repeat",
]);

/** Nodes that can begin a line of their own, so that a comment above them stays above them. */
function beginsLine(node: Node): boolean {
  if (isName(node)) return false;
  if ("kind" in node) return lineKinds.has(node.kind);
  const isResult = "type" in node && !("value" in node);
  return !isResult && !("items" in node);
}

/** A `//!` comment is about the file and stands above everything. */
function placeAtTop(comment: Comment, root: Node): boolean {
  const { enclosingNode: around } = comment;
  if (!comment.value.startsWith("//!") || (around !== undefined && around !== root)) return false;
  util.addDanglingComment(root, comment, undefined);
  return true;
}

/** A comment on a line of its own. True when it has been placed; otherwise Prettier's own rule is right. */
export function placeOwnLine(comment: Comment, root: Node, parents: WeakMap<object, Node>): boolean {
  const { enclosingNode: around, precedingNode: before, followingNode: after } = comment;
  if (placeAtTop(comment, root)) return true;
  if (around === undefined || around === root || isA(around, "body")) return false;
  if (isA(around, "import")) return hoist(comment, around, parents);
  if (after !== undefined && beginsLine(after) && !isFirstCondition(around, after)) return false;
  if (before !== undefined && after !== undefined && breaksBetween(around, after)) {
    util.addTrailingComment(before, comment);
    return true;
  }
  return endsBracket(around, before, after) || beginsBracket(around, before, after) ? false : hoist(comment, around, parents);
}

/** A comment behind something on its line; where the line may not end after it, it goes above. */
export function placeEndOfLine(comment: Comment, root: Node, parents: WeakMap<object, Node>): boolean {
  const { enclosingNode: around, precedingNode: before, followingNode: after } = comment;
  // A comment at the very start of a text has no line break before it and comes here.
  if (placeAtTop(comment, root)) return true;
  if (around === undefined || around === root) return false;
  if (isA(around, "import")) return hoist(comment, around, parents);
  if (isA(around, "body")) {
    if (before !== undefined) return false;
    comment.opening = true;
    util.addDanglingComment(around, comment, undefined);
    return true;
  }
  if (after !== undefined && (beginsBracket(around, before, after) || (before !== undefined && isHead(around, before) && beginsLine(after)))) {
    util.addLeadingComment(after, comment);
    return true;
  }
  if (before === undefined) return after !== undefined && beginsLine(after) ? false : hoist(comment, around, parents);
  const stays = beginsLine(before) || breaksBetween(around, after) || endsBracket(around, before, after);
  return stays ? false : hoist(comment, around, parents);
}

function isA(node: Node, ...kinds: readonly string[]): boolean {
  return "kind" in node && kinds.includes(node.kind);
}

/** `f` of `f(x)`, `x` of `x.zero`: nothing may come between these and what follows. */
function isHead(around: Node, node: Node): boolean {
  return "head" in around && around.head === node;
}

/** The first condition of a reduction stands behind its `where`. */
function isFirstCondition(around: Node, node: Node): boolean {
  return "kind" in around && around.kind === "reduction" && around.where[0] === node;
}

/** Whether the layout can break the line before `after`, so that a comment may end the line. */
function breaksBetween(around: Node, after: Node | undefined): boolean {
  if (after === undefined || !("kind" in around)) return false;
  if (around.kind === "pipe" || around.kind === "if") return true;
  if (around.kind === "binary") return canBreak(around);
  return isFirstCondition(around, after);
}

const bracketKinds = ["group", "tuple", "list", "each", "fill", "index", "call", "reduction", "one", "tensor"] as const;

/** Behind the last item in brackets. */
function endsBracket(around: Node, before: Node | undefined, after: Node | undefined): boolean {
  return before !== undefined && after === undefined && !isHead(around, before) && isA(around, ...bracketKinds);
}

/** Before the first item in brackets, or before the body of a reduction. */
function beginsBracket(around: Node, before: Node | undefined, after: Node | undefined): boolean {
  if (after === undefined) return false;
  if ("kind" in around && around.kind === "reduction") return around.body === after;
  return before === undefined && isA(around, "group", "tuple", "list", "each", "fill");
}

/** Puts a comment above the nearest node that begins a line. */
function hoist(comment: Comment, from: Node, parents: WeakMap<object, Node>): boolean {
  let node: Node | undefined = from;
  for (; node !== undefined; node = parents.get(node)) {
    const above = parents.get(node);
    if (beginsLine(node) && (above === undefined || !isFirstCondition(above, node))) break;
  }
  if (node === undefined) return false;
  util.addLeadingComment(node, comment);
  return true;
}
