// Concrete tree → ast, the upper half: items, ports, bodies and statements.

import type { CstNode, IToken } from "chevrotain";
import type { Span } from "../compiler/source.ts";
import type * as Ast from "./ast.ts";
import { Incomplete, need, TermBuilder } from "./build-terms.ts";
import { judgeCase, type Role } from "./case.ts";
import type * as Cst from "./cst.ts";

/** The doc text of the item that begins at an offset. */
export type DocOf = (start: number) => Ast.Doc;

/** Builds the file; what recovery left incomplete is left out. */
export class FileBuilder extends TermBuilder {
  private readonly docOf: DocOf;

  constructor(file: Ast.File["span"]["file"], docOf: DocOf) {
    super(file);
    this.docOf = docOf;
  }

  build(nodes: readonly Cst.ItemCstNode[] | undefined): Ast.File {
    const span = { file: this.file, start: 0, end: this.file.text.length };
    return { items: this.whole(nodes, (item) => this.item(item)), span };
  }

  private whole<N, T>(nodes: readonly N[] | undefined, build: (node: N) => T): T[] {
    return (nodes ?? []).flatMap((node) => {
      try {
        return [build(node)];
      } catch (thrown) {
        if (thrown instanceof Incomplete) return [];
        throw thrown;
      }
    });
  }

  private named(token: IToken, role: Role): Ast.Name {
    const name = this.name(token);
    const finding = judgeCase(name, role);
    if (finding !== undefined) this.findings.push(finding);
    return name;
  }

  private place(node: CstNode): { readonly doc: Ast.Doc; readonly span: Span } {
    const span = this.spanOf(node);
    return { doc: this.docOf(span.start), span };
  }

  private item(node: Cst.ItemCstNode): Ast.Item {
    const c = node.children;
    if (c.import?.[0]) return this.import(c.import[0]);
    if (c.const?.[0]) return this.const(c.const[0]);
    if (c.dial?.[0]) return this.dial(c.dial[0]);
    if (c.fn?.[0]) return this.fn(c.fn[0]);
    if (c.op?.[0]) return this.op(c.op[0]);
    if (c.block?.[0]) return this.block(c.block[0]);
    if (c.network?.[0]) return this.network(c.network[0]);
    if (c.data?.[0]) return this.data(c.data[0]);
    if (c.run?.[0]) return this.run(c.run[0]);
    const check = need(c.check);
    return { kind: "check", test: this.expr(need(check.children.expr)), span: this.spanOf(check) };
  }

  private import(node: Cst.ImportCstNode): Ast.Item {
    const { imported, Text, Name } = node.children;
    const names = (imported ?? []).map((one) => {
      const as = one.children.Name[1];
      return { name: this.name(need(one.children.Name)), as: as && this.name(as) };
    });
    const all = Name?.[0] && this.named(Name[0], "value");
    return { kind: "import", names, all, from: this.text(need(Text)), span: this.spanOf(node) };
  }

  private const(node: Cst.ConstCstNode): Ast.Item {
    const { Name, expr } = node.children;
    return { kind: "const", name: this.named(need(Name), "value"), value: this.expr(need(expr)), ...this.place(node) };
  }

  private dial(node: Cst.DialCstNode): Ast.Item {
    const { Name, type, expr } = node.children;
    return {
      kind: "dial",
      name: this.named(need(Name), "dial"),
      type: type?.[0] && this.type(type[0]),
      value: this.expr(need(expr)),
      where: (expr ?? []).slice(1).map((condition) => this.expr(condition)),
      ...this.place(node),
    };
  }

  private fn(node: Cst.FnCstNode): Ast.Fn {
    const { Name, params, meaning } = node.children;
    return {
      kind: "fn",
      name: this.named(need(Name), "fn"),
      params: (need(params).children.Name ?? []).map((param) => this.named(param, "value")),
      body: this.meaning(need(meaning)),
      ...this.place(node),
    };
  }

  private meaning(node: Cst.MeaningCstNode): Ast.Term | Ast.Body {
    const { expr, body } = node.children;
    return expr?.[0] === undefined ? this.body(need(body)) : this.expr(expr[0]);
  }

  private op(node: Cst.OpCstNode): Ast.Op {
    const { Name, ports, results, where, body } = node.children;
    return {
      kind: "op",
      name: this.named(need(Name), "op"),
      ports: this.ports(need(ports)),
      results: this.results(need(results)),
      where: this.where(where),
      body: this.body(need(body)),
      ...this.place(node),
    };
  }

  private block(node: Cst.BlockCstNode): Ast.Block {
    const { Name, ports, results, where, meaning } = node.children;
    return {
      kind: "block",
      name: this.named(need(Name), "block"),
      ports: this.ports(need(ports)),
      results: results?.[0] === undefined ? [] : this.results(results[0]),
      where: this.where(where),
      body: this.meaning(need(meaning)),
      ...this.place(node),
    };
  }

  private network(node: Cst.NetworkCstNode): Ast.Network {
    const { Name, Define, expr, ports, where, body } = node.children;
    const name = this.named(need(Name), "network");
    const rest = this.place(node);
    if (Define !== undefined) {
      return { kind: "network", name, alias: this.expr(need(expr)), ports: [], where: [], body: undefined, ...rest };
    }
    const given = { ports: this.ports(need(ports)), where: this.where(where), body: this.body(need(body)) };
    return { kind: "network", name, alias: undefined, ...given, ...rest };
  }

  private data(node: Cst.DataCstNode): Ast.Item {
    const { Name, body } = node.children;
    return { kind: "data", name: this.named(need(Name), "data set"), body: this.body(need(body)), ...this.place(node) };
  }

  private run(node: Cst.RunCstNode): Ast.Run {
    const { Train, title, expr, model, body } = node.children;
    return {
      kind: "run",
      mode: Train === undefined ? "infer" : "train",
      name: title?.[0] && this.named(title[0], "run"),
      target: this.expr(need(expr)),
      like: this.optionalName(model),
      body: this.body(need(body)),
      ...this.place(node),
    };
  }

  private ports(node: Cst.PortsCstNode): Ast.Port[] {
    return (node.children.port ?? []).map((port) => {
      const { Name, type, expr } = port.children;
      return {
        name: this.named(need(Name), "value"),
        type: this.type(need(type)),
        value: expr?.[0] && this.expr(expr[0]),
        span: this.spanOf(port),
      };
    });
  }

  private results(node: Cst.ResultsCstNode): Ast.Result[] {
    return (node.children.result ?? []).map((result) => {
      const { Name, type } = result.children;
      return { name: Name?.[0] && this.named(Name[0], "value"), type: this.type(need(type)), span: this.spanOf(result) };
    });
  }

  private where(nodes: readonly Cst.WhereCstNode[] | undefined): Ast.Demand[] {
    return (nodes?.[0]?.children.demand ?? []).map((demand) => {
      const { Name, Define, expr } = demand.children;
      const name = Define === undefined ? undefined : this.named(need(Name), "size");
      return { name, term: this.expr(need(expr)), span: this.spanOf(demand) };
    });
  }

  private body(node: Cst.BodyCstNode): Ast.Body {
    const statements = this.whole(node.children.statement, (statement) => this.statement(statement));
    return { kind: "body", statements, span: this.spanOf(node) };
  }

  private statement(node: Cst.StatementCstNode): Ast.Statement {
    const c = node.children;
    const span = this.spanOf(node);
    const value = this.expr(need(c.expr));
    if (c.Return !== undefined) return { kind: "return", value, span };
    if (c.Out !== undefined) {
      const when = c.When === undefined ? undefined : this.expr(need(c.expr, 1));
      return { kind: "out", target: this.target(need(c.target)), value, when, span };
    }
    if (c.target !== undefined) return { kind: "define", target: this.target(need(c.target)), value, span };
    const name = this.named(need(c.Name), "value");
    if (c.Param !== undefined || c.State !== undefined) {
      return { kind: c.Param === undefined ? "state" : "param", name, type: this.type(need(c.type)), value, span };
    }
    return { kind: c.Shared !== undefined ? "shared" : c.Update !== undefined ? "update" : "turn", name, value, span };
  }

  private target(node: Cst.TargetCstNode): Ast.Target {
    const { Name, LeftBracket, LeftParen, binders } = node.children;
    const names = (Name ?? []).map((name) => this.named(name, "value"));
    const span = this.spanOf(node);
    if (LeftParen !== undefined) return { kind: "many", names, span };
    const indices = LeftBracket === undefined ? undefined : binders?.[0] === undefined ? [] : this.binders(binders[0]);
    return { kind: "one", name: need(names), binders: indices, span };
  }
}
