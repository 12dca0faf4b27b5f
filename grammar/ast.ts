// What was written: the tree of a `.net` text. Every node has a span; lists keep source order.

import type { Span } from "../compiler/source.ts";

export interface Name {
  readonly text: string;
  readonly span: Span;
}

export interface File {
  readonly items: readonly Item[];
  readonly span: Span;
}

/** The `///` lines before an item, joined, without their slashes. */
export type Doc = string | undefined;

export type Item =
  | { readonly kind: "import"; readonly names: readonly { readonly name: Name; readonly as: Name | undefined }[];
      /** `import "x" as y` */ readonly all: Name | undefined; readonly from: Text; readonly span: Span }
  | { readonly kind: "const"; readonly name: Name; readonly value: Term; readonly doc: Doc; readonly span: Span }
  | { readonly kind: "dial"; readonly name: Name; readonly type: Type | undefined; readonly value: Term; readonly where: readonly Term[]; readonly doc: Doc; readonly span: Span }
  | Fn | Op | Block | Network
  | { readonly kind: "data"; readonly name: Name; readonly body: Body; readonly doc: Doc; readonly span: Span }
  | Run
  | { readonly kind: "check"; readonly test: Term; readonly span: Span };

export interface Fn { readonly kind: "fn"; readonly name: Name; readonly params: readonly Name[]; readonly body: Term | Body; readonly doc: Doc; readonly span: Span }
export interface Op { readonly kind: "op"; readonly name: Name; readonly ports: readonly Port[]; readonly results: readonly Result[];
  readonly where: readonly Demand[]; readonly body: Body; readonly doc: Doc; readonly span: Span }
export interface Block { readonly kind: "block"; readonly name: Name; readonly ports: readonly Port[]; readonly results: readonly Result[];
  readonly where: readonly Demand[]; readonly body: Term | Body; readonly doc: Doc; readonly span: Span }
/** `network X = Y(...)` has `alias`; otherwise ports, demands and a body. */
export interface Network { readonly kind: "network"; readonly name: Name; readonly alias: Term | undefined; readonly ports: readonly Port[];
  readonly where: readonly Demand[]; readonly body: Body | undefined; readonly doc: Doc; readonly span: Span }
export interface Run { readonly kind: "run"; readonly mode: "train" | "infer"; readonly name: Name | undefined; readonly target: Term;
  readonly like: Name | undefined; readonly body: Body; readonly doc: Doc; readonly span: Span }

export interface Port { readonly name: Name; readonly type: Type; readonly value: Term | undefined; readonly span: Span }

export type Type =
  /** `int`, `float[]`, `layer`, `init`, ... */
  | { readonly kind: "static"; readonly name: Name; readonly lists: number; readonly span: Span }
  /** `[N, C, *S]`, with an element word before it if one was written, and `for i in range` after it. */
  | { readonly kind: "tensor"; readonly element: Name | undefined; readonly shape: readonly Element[];
      readonly each: { readonly name: Name; readonly range: Term } | undefined; readonly span: Span };

/** `e`, or `*e` when `pack`. */
export interface Element { readonly pack: boolean; readonly term: Term; readonly span: Span }

export interface Result { readonly name: Name | undefined; readonly type: Type; readonly span: Span }

/** After `where`: `T = ...` defines a size (`name` is set), anything else must hold. */
export interface Demand { readonly name: Name | undefined; readonly term: Term; readonly span: Span }

export interface Body { readonly kind: "body"; readonly statements: readonly Statement[]; readonly span: Span }

export type Statement =
  | { readonly kind: "param" | "state"; readonly name: Name; readonly type: Type; readonly value: Term; readonly span: Span }
  | { readonly kind: "shared" | "update" | "turn"; readonly name: Name; readonly value: Term; readonly span: Span } // `turn` is `dial x = e` in a run
  | { readonly kind: "out"; readonly target: Target; readonly value: Term; readonly when: Term | undefined; readonly span: Span }
  | { readonly kind: "return"; readonly value: Term; readonly span: Span }
  | { readonly kind: "define"; readonly target: Target; readonly value: Term; readonly span: Span };

export type Target =
  /** `y`, or `y[i, *t]` when `binders` is there (also when empty: `y[]`). */
  | { readonly kind: "one"; readonly name: Name; readonly binders: readonly Binder[] | undefined; readonly span: Span }
  | { readonly kind: "many"; readonly names: readonly Name[]; readonly span: Span };

/** `i`, `*s`, `c in 0..<each`, or an index term such as `0`. */
export interface Binder { readonly pack: boolean; readonly term: Term; readonly range: Term | undefined; readonly span: Span }

export type Reducer = "sum" | "mean" | "max" | "min" | "prod";
export type BinaryOperator = "or" | "and" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "..<" | "..=" | "+" | "-" | "*" | "/" | "%" | "^";

export interface Text { readonly kind: "text"; readonly value: string; readonly span: Span }

/** Expressions. A pipe stays a pipe for the formatter and the hover. */
export type Term =
  | { readonly kind: "pipe"; readonly from: Term; readonly stages: readonly Stage[]; readonly span: Span }
  | { readonly kind: "call"; readonly head: Term; readonly args: readonly Argument[]; readonly span: Span }
  | { readonly kind: "index"; readonly head: Term; readonly at: readonly Element[]; readonly span: Span }
  | { readonly kind: "member"; readonly head: Term; readonly name: Name; readonly span: Span }
  | { readonly kind: "reduction"; readonly by: Reducer; readonly over: readonly Binder[]; readonly where: readonly Element[]; readonly body: Term; readonly span: Span }
  | { readonly kind: "if"; readonly test: Term; readonly then: Term; readonly otherwise: Term; readonly span: Span }
  | { readonly kind: "binary"; readonly operator: BinaryOperator; readonly left: Term; readonly right: Term; readonly span: Span }
  | { readonly kind: "unary"; readonly operator: "-" | "not"; readonly term: Term; readonly span: Span }
  /** `(a, b)`; a parenthesised single term is a `group`, which keeps its parentheses for the formatter. */
  | { readonly kind: "tuple"; readonly items: readonly Term[]; readonly span: Span }
  | { readonly kind: "group"; readonly term: Term; readonly span: Span }
  | { readonly kind: "list"; readonly items: readonly Element[]; readonly span: Span }
  /** `[x; n]` */
  | { readonly kind: "fill"; readonly item: Term; readonly count: Term; readonly span: Span }
  /** `[x for i in r]` */
  | { readonly kind: "each"; readonly item: Term; readonly name: Name; readonly range: Term; readonly span: Span }
  /** `whole` tells `1` from `1.0`. */
  | { readonly kind: "number"; readonly value: number; readonly whole: boolean; readonly raw: string; readonly span: Span }
  | { readonly kind: "bool"; readonly value: boolean; readonly span: Span }
  | { readonly kind: "name"; readonly text: string; readonly span: Span }
  | Text;

export interface Argument { readonly name: Name | undefined; readonly value: Term; readonly span: Span }

export type Stage =
  /** `F`, `F(...)`: `args` is undefined when no parentheses were written. `head` is a name or a member. */
  | { readonly kind: "apply"; readonly head: Term; readonly args: readonly Argument[] | undefined; readonly as: Name | undefined; readonly span: Span }
  /** `repeat j in 0..<n { ... }`; `count` is a number of passes or a range. */
  | { readonly kind: "repeat"; readonly name: Name | undefined; readonly count: Term; readonly stages: readonly Stage[]; readonly as: Name | undefined; readonly span: Span };
