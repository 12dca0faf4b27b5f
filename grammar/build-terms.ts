// Concrete tree → ast, the lower half: expressions, pipes and types.

import type { CstNode, IToken } from "chevrotain";
import { diagnostic, type Diagnostic } from "../compiler/report/diagnostic.ts";
import type { SourceFile, Span } from "../compiler/source.ts";
import type * as Ast from "./ast.ts";
import type * as Cst from "./cst.ts";
import { BareRange } from "./tokens.ts";

/** Thrown where recovery left a hole; the nearest definition is then left out of the tree. */
export class Incomplete extends Error {}

/** The first of what the grammar promises; after a syntax error it may be missing all the same. */
export function need<T>(nodes: readonly T[] | undefined, at = 0): T {
  const node = nodes?.[at];
  if (node === undefined) throw new Incomplete();
  return node;
}

/** Builds terms and types; holds the text they point into and what it finds on the way. */
export class TermBuilder {
  readonly file: SourceFile;
  readonly findings: Diagnostic[] = [];

  constructor(file: SourceFile) {
    this.file = file;
  }

  protected spanOf(node: CstNode | IToken): Span {
    const place = "children" in node ? node.location : node;
    const start = place?.startOffset ?? NaN;
    const end = (place?.endOffset ?? NaN) + 1;
    if (Number.isNaN(start) || Number.isNaN(end)) throw new Incomplete();
    return { file: this.file, start, end };
  }

  protected between(first: Span, last: Span): Span {
    return { file: this.file, start: first.start, end: last.end };
  }

  protected name(token: IToken): Ast.Name {
    return { text: token.image, span: this.spanOf(token) };
  }

  protected optionalName(tokens: readonly IToken[] | undefined): Ast.Name | undefined {
    const token = tokens?.[0];
    return token === undefined ? undefined : this.name(token);
  }

  protected text(token: IToken): Ast.Text {
    return { kind: "text", value: token.image.replace(/^"|"$/g, ""), span: this.spanOf(token) };
  }

  expr(node: Cst.ExprCstNode): Ast.Term {
    const from = this.choice(need(node.children.choice));
    const stages = (node.children.stage ?? []).map((stage) => this.stage(stage));
    return stages.length === 0 ? from : { kind: "pipe", from, stages, span: this.spanOf(node) };
  }

  private stage(node: Cst.StageCstNode): Ast.Stage {
    const { repeat, path, args, Name } = node.children;
    const as = this.optionalName(Name);
    const span = this.spanOf(node);
    if (repeat?.[0] !== undefined) {
      const { Name: index, range, stage } = repeat[0].children;
      const stages = (stage ?? []).map((inner) => this.stage(inner));
      if (stages.length === 0) throw new Incomplete();
      return { kind: "repeat", name: this.optionalName(index), count: this.range(need(range)), stages, as, span };
    }
    return { kind: "apply", head: this.path(need(path)), args: args?.[0] && this.args(args[0]), as, span };
  }

  private path(node: Cst.PathCstNode): Ast.Term {
    const [first, ...rest] = (node.children.Name ?? []).map((token) => this.name(token));
    if (first === undefined) throw new Incomplete();
    return rest.reduce<Ast.Term>(
      (head, name) => ({ kind: "member", head, name, span: this.between(head.span, name.span) }),
      { kind: "name", text: first.text, span: first.span },
    );
  }

  private args(node: Cst.ArgsCstNode): Ast.Argument[] {
    return (node.children.arg ?? []).map((arg) => ({
      name: this.optionalName(arg.children.Name),
      value: this.expr(need(arg.children.expr)),
      span: this.spanOf(arg),
    }));
  }

  private choice(node: Cst.ChoiceCstNode): Ast.Term {
    const { If, expr, either } = node.children;
    if (If === undefined) return this.either(need(either));
    const [test, then, otherwise] = [need(expr, 0), need(expr, 1), need(expr, 2)].map((part) => this.expr(part));
    if (test === undefined || then === undefined || otherwise === undefined) throw new Incomplete();
    return { kind: "if", test, then, otherwise, span: this.spanOf(node) };
  }

  /** `a - b - c` leans to the left. */
  private chain<N>(nodes: readonly N[] | undefined, operators: readonly IToken[] | undefined, build: (node: N) => Ast.Term): Ast.Term {
    let left = build(need(nodes));
    for (let at = 1; nodes && at < nodes.length; at++) {
      const right = build(need(nodes, at));
      const operator = need(operators, at - 1).image as Ast.BinaryOperator;
      left = { kind: "binary", operator, left, right, span: this.between(left.span, right.span) };
    }
    return left;
  }

  private either(node: Cst.EitherCstNode): Ast.Term {
    return this.chain(node.children.both, node.children.Or, (part) => this.both(part));
  }

  private both(node: Cst.BothCstNode): Ast.Term {
    return this.chain(node.children.not, node.children.And, (part) => this.not(part));
  }

  private not(node: Cst.NotCstNode): Ast.Term {
    const term = this.compare(need(node.children.compare));
    return node.children.Not === undefined ? term : { kind: "unary", operator: "not", term, span: this.spanOf(node) };
  }

  private compare(node: Cst.CompareCstNode): Ast.Term {
    return this.chain(node.children.range, node.children.CompareOperator, (part) => this.range(part));
  }

  protected range(node: Cst.RangeCstNode): Ast.Term {
    const left = this.sum(need(node.children.sum));
    const operator = node.children.RangeOperator?.[0];
    if (operator === undefined) return left;
    const right = this.sum(need(node.children.sum, 1));
    const bare = operator.tokenType === BareRange;
    if (bare) this.unclearRange(this.spanOf(operator), left.span, right.span);
    return {
      kind: "binary",
      operator: bare ? "..<" : (operator.image as Ast.BinaryOperator),
      left,
      right,
      span: this.between(left.span, right.span),
    };
  }

  private unclearRange(dots: Span, left: Span, right: Span): void {
    const [low, high] = [left, right].map((span) => this.file.text.slice(span.start, span.end));
    const short = `${low}${high}`.length <= 24 && !`${low}${high}`.includes("\n");
    this.findings.push(
      diagnostic("N0103", `does this range include ${short ? high : "its end"}?`, {
        labels: [{ span: dots, text: "" }],
        hint: short
          ? `write \`${low}..<${high}\` to stop before ${high}, \`${low}..=${high}\` to include it`
          : "write `..<` to stop before the end, `..=` to include it",
      }),
    );
  }

  protected sum(node: Cst.SumCstNode): Ast.Term {
    return this.chain(node.children.term, node.children.AddOperator, (part) => this.term(part));
  }

  private term(node: Cst.TermCstNode): Ast.Term {
    return this.chain(node.children.unary, node.children.MultiplyOperator, (part) => this.unary(part));
  }

  private unary(node: Cst.UnaryCstNode): Ast.Term {
    const term = this.power(need(node.children.power));
    return node.children.Minus === undefined ? term : { kind: "unary", operator: "-", term, span: this.spanOf(node) };
  }

  private power(node: Cst.PowerCstNode): Ast.Term {
    const left = this.postfix(need(node.children.postfix));
    const exponent = node.children.unary?.[0];
    if (exponent === undefined) return left;
    return { kind: "binary", operator: "^", left, right: this.unary(exponent), span: this.spanOf(node) };
  }

  private postfix(node: Cst.PostfixCstNode): Ast.Term {
    return (node.children.suffix ?? []).reduce<Ast.Term>((head, suffix) => {
      const { args, LeftBracket, elements, Name } = suffix.children;
      const span = this.between(head.span, this.spanOf(suffix));
      if (args?.[0] !== undefined) return { kind: "call", head, args: this.args(args[0]), span };
      if (LeftBracket !== undefined) return { kind: "index", head, at: this.elements(elements), span };
      return { kind: "member", head, name: this.name(need(Name)), span };
    }, this.primary(need(node.children.primary)));
  }

  private primary(node: Cst.PrimaryCstNode): Ast.Term {
    const { Number: number, Text, True, False, reduction, list, group, Name } = node.children;
    const span = this.spanOf(node);
    if (number?.[0] !== undefined) return this.number(number[0]);
    if (Text?.[0] !== undefined) return this.text(Text[0]);
    if (True !== undefined || False !== undefined) return { kind: "bool", value: True !== undefined, span };
    if (reduction?.[0] !== undefined) return this.reduction(reduction[0]);
    if (list?.[0] !== undefined) return this.list(list[0]);
    if (group?.[0] !== undefined) {
      const items = (group[0].children.expr ?? []).map((item) => this.expr(item));
      return items.length > 1 ? { kind: "tuple", items, span } : { kind: "group", term: need(items), span };
    }
    return { kind: "name", text: need(Name).image, span };
  }

  private number(token: IToken): Ast.Term {
    const raw = token.image;
    return { kind: "number", value: Number(raw.replaceAll("_", "")), whole: !/[.eE]/.test(raw), raw, span: this.spanOf(token) };
  }

  private reduction(node: Cst.ReductionCstNode): Ast.Term {
    const { Reducer, binders, elements, expr } = node.children;
    return {
      kind: "reduction",
      by: need(Reducer).image as Ast.Reducer,
      over: this.binders(need(binders)),
      where: this.elements(elements),
      body: this.expr(need(expr)),
      span: this.spanOf(node),
    };
  }

  private list(node: Cst.ListCstNode): Ast.Term {
    const { element, Semicolon, expr, For, Name } = node.children;
    const items = (element ?? []).map((item) => this.element(item));
    const span = this.spanOf(node);
    if (Semicolon !== undefined) return { kind: "fill", item: need(items).term, count: this.expr(need(expr)), span };
    if (For === undefined) return { kind: "list", items, span };
    return { kind: "each", item: need(items).term, name: this.name(need(Name)), range: this.expr(need(expr)), span };
  }

  protected elements(nodes: readonly Cst.ElementsCstNode[] | undefined): Ast.Element[] {
    return (nodes?.[0]?.children.element ?? []).map((node) => this.element(node));
  }

  private element(node: Cst.ElementCstNode): Ast.Element {
    return { pack: node.children.Star !== undefined, term: this.expr(need(node.children.expr)), span: this.spanOf(node) };
  }

  protected binders(node: Cst.BindersCstNode): Ast.Binder[] {
    return (node.children.binder ?? []).map((binder) => ({
      pack: binder.children.Star !== undefined,
      term: this.sum(need(binder.children.sum)),
      range: binder.children.range?.[0] && this.range(binder.children.range[0]),
      span: this.spanOf(binder),
    }));
  }

  protected type(node: Cst.TypeCstNode): Ast.Type {
    const { tensor, Name, LeftBracket } = node.children;
    const span = this.spanOf(node);
    if (tensor?.[0] === undefined) {
      return { kind: "static", name: this.name(need(Name)), lists: LeftBracket?.length ?? 0, span };
    }
    const { word, elements, index, expr } = tensor[0].children;
    const each = index?.[0] && { name: this.name(index[0]), range: this.expr(need(expr)) };
    return { kind: "tensor", element: this.optionalName(word), shape: this.elements(elements), each, span };
  }
}
