// Walking the tree: what counts as a node, which nodes lie directly below one, and its comments.

import type * as Ast from "./ast.ts";

/** Anything in the tree that has a place in the text. */
export type Node =
  | Ast.File | Ast.Item | Ast.Body | Ast.Statement | Ast.Target | Ast.Type | Ast.Term | Ast.Stage
  | Ast.Port | Ast.Result | Ast.Demand | Ast.Element | Ast.Binder | Ast.Argument | Ast.Name;

const leaves: ReadonlySet<string> = new Set(["span", "doc", "comments", "kind"]);

/** Where a child sits in its parent, e.g. `["args", 2]`. */
export type Route = readonly (string | number)[];

/** Whether a value is a node of the tree. */
export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "span" in value;
}

/** Whether a node is a bare name, which carries nothing below it. */
export function isName(node: Node): node is Ast.Name {
  return !("kind" in node) && "text" in node;
}

/** The nodes directly below a node, each with the way to it; records without a place are seen through. */
export function childrenOf(node: object): { readonly route: Route; readonly node: Node }[] {
  return Object.entries(node).flatMap(([key, value]) => (leaves.has(key) ? [] : below(value, [key])));
}

function below(value: unknown, route: Route): { readonly route: Route; readonly node: Node }[] {
  if (isNode(value)) return [{ route, node: value }];
  if (Array.isArray(value)) return value.flatMap((item, at) => below(item, [...route, at]));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => below(inner, [...route, key]));
}

/** A comment as Prettier hands it around. */
export interface Comment {
  readonly value: string;
  readonly span: Node["span"];
  readonly enclosingNode?: Node | undefined;
  readonly precedingNode?: Node | undefined;
  readonly followingNode?: Node | undefined;
  readonly placement?: string;
  leading?: boolean;
  trailing?: boolean;
  opening?: boolean;
  /** Prettier refuses to finish while a comment is not marked so. */
  printed?: boolean;
}

/** Comments of a node, put there by Prettier. */
export function commentsOf(node: object): readonly Comment[] {
  return "comments" in node && Array.isArray(node.comments) ? (node.comments as Comment[]) : [];
}
