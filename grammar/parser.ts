// The grammar, rule by rule: LL(3), with error recovery; the tree it yields is concrete.

import { CstParser, type IParserErrorMessageProvider } from "chevrotain";
import * as T from "./tokens.ts";

/** The parser of `.net` texts; `file` and `term` are its two entries. */
export class NetParser extends CstParser {
  constructor(options: { readonly check: boolean; readonly messages?: IParserErrorMessageProvider }) {
    super(T.allTokens, {
      maxLookahead: 3,
      recoveryEnabled: true,
      nodeLocationTracking: "onlyOffset",
      skipValidations: !options.check,
      ...(options.messages === undefined ? {} : { errorMessageProvider: options.messages }),
    });
    this.performSelfAnalysis();
  }

  /** Without semicolons, `f` on one line and `(a, b) = …` on the next must stay apart. */
  private onLineOfHead(): boolean {
    return this.LA(1).startLine === this.LA(0).endLine;
  }

  /** `as near` names a stage, `as = …` on the next line is a definition of its own. */
  private defines(): boolean {
    return this.LA(2).tokenType === T.Define || this.LA(2).tokenType === T.LeftBracket;
  }

  file = this.RULE("file", () => {
    this.MANY(() => this.SUBRULE(this.item));
  });

  item = this.RULE("item", () => {
    this.OR({
      DEF: [
        { ALT: () => this.SUBRULE(this.import) },
        { ALT: () => this.SUBRULE(this.fn) },
        { ALT: () => this.SUBRULE(this.op) },
        { ALT: () => this.SUBRULE(this.block) },
        { ALT: () => this.SUBRULE(this.network) },
        { ALT: () => this.SUBRULE(this.dial) },
        { ALT: () => this.SUBRULE(this.data) },
        { ALT: () => this.SUBRULE(this.run) },
        { ALT: () => this.SUBRULE(this.check) },
        { ALT: () => this.SUBRULE(this.const) },
      ],
      ERR_MSG: "a definition",
    });
  });

  import = this.RULE("import", () => {
    this.CONSUME(T.Import);
    this.OR({
      DEF: [
        {
          ALT: () => {
            this.CONSUME(T.LeftBrace);
            this.SUBRULE(this.imported);
            this.MANY(() => {
              this.CONSUME(T.Comma);
              this.SUBRULE2(this.imported);
            });
            this.OPTION(() => this.CONSUME2(T.Comma));
            this.CONSUME(T.RightBrace);
            this.CONSUME(T.From);
            this.CONSUME(T.TextToken);
          },
        },
        {
          ALT: () => {
            this.CONSUME2(T.TextToken);
            this.CONSUME(T.As);
            this.CONSUME(T.Name);
          },
        },
      ],
      ERR_MSG: "`{` with names, or a path in quotes",
    });
  });

  imported = this.RULE("imported", () => {
    this.CONSUME(T.Name);
    this.OPTION(() => {
      this.CONSUME(T.As);
      this.CONSUME2(T.Name);
    });
  });

  const = this.RULE("const", () => {
    this.CONSUME(T.Name);
    this.CONSUME(T.Define);
    this.SUBRULE(this.expr);
  });

  dial = this.RULE("dial", () => {
    this.CONSUME(T.Dial);
    this.CONSUME(T.Name);
    this.OPTION(() => {
      this.CONSUME(T.Colon);
      this.SUBRULE(this.type);
    });
    this.CONSUME(T.Define);
    this.SUBRULE(this.expr);
  });

  fn = this.RULE("fn", () => {
    this.CONSUME(T.Fn);
    this.CONSUME(T.Name);
    this.SUBRULE(this.params);
    this.SUBRULE(this.meaning);
  });

  params = this.RULE("params", () => {
    this.CONSUME(T.LeftParen);
    this.OPTION(() => {
      this.CONSUME(T.Name);
      this.MANY(() => {
        this.CONSUME(T.Comma);
        this.CONSUME2(T.Name);
      });
      this.OPTION2(() => this.CONSUME2(T.Comma));
    });
    this.CONSUME(T.RightParen);
  });

  meaning = this.RULE("meaning", () => {
    this.OR({
      DEF: [
        {
          ALT: () => {
            this.CONSUME(T.Define);
            this.SUBRULE(this.expr);
          },
        },
        { ALT: () => this.SUBRULE(this.body) },
      ],
      ERR_MSG: "`=` or `{`",
    });
  });

  op = this.RULE("op", () => {
    this.CONSUME(T.Op);
    this.CONSUME(T.Name);
    this.SUBRULE(this.ports);
    this.CONSUME(T.Arrow);
    this.SUBRULE(this.results);
    this.OPTION(() => this.SUBRULE(this.where));
    this.SUBRULE(this.body);
  });

  block = this.RULE("block", () => {
    this.CONSUME(T.Block);
    this.CONSUME(T.Name);
    this.SUBRULE(this.ports);
    this.OPTION(() => {
      this.CONSUME(T.Arrow);
      this.SUBRULE(this.results);
    });
    this.OPTION2(() => this.SUBRULE(this.where));
    this.SUBRULE(this.meaning);
  });

  network = this.RULE("network", () => {
    this.CONSUME(T.Network);
    this.CONSUME(T.Name);
    this.OR({
      DEF: [
        {
          ALT: () => {
            this.CONSUME(T.Define);
            this.SUBRULE(this.expr);
          },
        },
        {
          ALT: () => {
            this.SUBRULE(this.ports);
            this.OPTION(() => this.SUBRULE(this.where));
            this.SUBRULE(this.body);
          },
        },
      ],
      ERR_MSG: "`(` with ports, or `=`",
    });
  });

  data = this.RULE("data", () => {
    this.CONSUME(T.Data);
    this.CONSUME(T.Name);
    this.SUBRULE(this.body);
  });

  run = this.RULE("run", () => {
    this.OR([{ ALT: () => this.CONSUME(T.Train) }, { ALT: () => this.CONSUME(T.Infer) }]);
    this.OPTION(() => this.CONSUME(T.Name, { LABEL: "title" }));
    this.CONSUME(T.For);
    this.SUBRULE(this.expr);
    this.OPTION2(() => {
      this.CONSUME(T.Like);
      this.CONSUME2(T.Name, { LABEL: "model" });
    });
    this.SUBRULE(this.body);
  });

  check = this.RULE("check", () => {
    this.CONSUME(T.Check);
    this.SUBRULE(this.expr);
  });

  ports = this.RULE("ports", () => {
    this.CONSUME(T.LeftParen);
    this.OPTION(() => {
      this.SUBRULE(this.port);
      this.MANY(() => {
        this.CONSUME(T.Comma);
        this.SUBRULE2(this.port);
      });
      this.OPTION2(() => this.CONSUME2(T.Comma));
    });
    this.CONSUME(T.RightParen);
  });

  port = this.RULE("port", () => {
    this.CONSUME(T.Name);
    this.CONSUME(T.Colon);
    this.SUBRULE(this.type);
    this.OPTION(() => {
      this.CONSUME(T.Define);
      this.SUBRULE(this.expr);
    });
  });

  type = this.RULE("type", () => {
    this.OR({
      DEF: [
        { ALT: () => this.SUBRULE(this.tensor) },
        {
          ALT: () => {
            this.CONSUME(T.Name);
            this.MANY(() => {
              this.CONSUME(T.LeftBracket);
              this.CONSUME(T.RightBracket);
            });
          },
        },
      ],
      ERR_MSG: "a type, such as `int` or `[N, C, *S]`",
    });
  });

  // `float[]` is a list of numbers, so a shape after an element word has at least one axis.
  tensor = this.RULE("tensor", () => {
    this.OR([
      {
        ALT: () => {
          this.CONSUME(T.LeftBracket);
          this.OPTION(() => this.SUBRULE(this.elements));
          this.CONSUME(T.RightBracket);
        },
      },
      {
        ALT: () => {
          this.CONSUME(T.Name, { LABEL: "word" });
          this.CONSUME2(T.LeftBracket);
          this.SUBRULE2(this.elements);
          this.CONSUME2(T.RightBracket);
        },
      },
    ]);
    this.OPTION2(() => {
      this.CONSUME(T.For);
      this.CONSUME2(T.Name, { LABEL: "index" });
      this.CONSUME(T.In);
      this.SUBRULE(this.expr);
    });
  });

  elements = this.RULE("elements", () => {
    this.SUBRULE(this.element);
    this.MANY(() => {
      this.CONSUME(T.Comma);
      this.SUBRULE2(this.element);
    });
    this.OPTION(() => this.CONSUME2(T.Comma));
  });

  element = this.RULE("element", () => {
    this.OPTION(() => this.CONSUME(T.Star));
    this.SUBRULE(this.expr);
  });

  results = this.RULE("results", () => {
    this.OR({
      DEF: [
        { ALT: () => this.SUBRULE(this.result) },
        {
          ALT: () => {
            this.CONSUME(T.LeftParen);
            this.SUBRULE2(this.result);
            this.MANY(() => {
              this.CONSUME(T.Comma);
              this.SUBRULE3(this.result);
            });
            this.OPTION(() => this.CONSUME2(T.Comma));
            this.CONSUME(T.RightParen);
          },
        },
      ],
      ERR_MSG: "the result's type",
    });
  });

  result = this.RULE("result", () => {
    this.OPTION(() => {
      this.CONSUME(T.Name);
      this.CONSUME(T.Colon);
    });
    this.SUBRULE(this.type);
  });

  where = this.RULE("where", () => {
    this.CONSUME(T.Where);
    this.AT_LEAST_ONE_SEP({ SEP: T.Comma, DEF: () => this.SUBRULE(this.demand) });
  });

  demand = this.RULE("demand", () => {
    this.OR([
      {
        ALT: () => {
          this.CONSUME(T.Name);
          this.CONSUME(T.Define);
          this.SUBRULE(this.expr);
        },
      },
      { ALT: () => this.SUBRULE2(this.expr) },
    ]);
  });

  body = this.RULE("body", () => {
    this.CONSUME(T.LeftBrace);
    this.MANY(() => this.SUBRULE(this.statement));
    this.CONSUME(T.RightBrace);
  });

  statement = this.RULE("statement", () => {
    this.OR({
      DEF: [
        {
          ALT: () => {
            this.OR2([{ ALT: () => this.CONSUME(T.Param) }, { ALT: () => this.CONSUME(T.State) }]);
            this.CONSUME(T.Name);
            this.CONSUME(T.Colon);
            this.SUBRULE(this.type);
            this.CONSUME(T.Define);
            this.SUBRULE(this.expr);
          },
        },
        {
          ALT: () => {
            this.OR3([{ ALT: () => this.CONSUME(T.Shared) }, { ALT: () => this.CONSUME(T.Update) }, { ALT: () => this.CONSUME(T.Dial) }]);
            this.CONSUME2(T.Name);
            this.CONSUME2(T.Define);
            this.SUBRULE2(this.expr);
          },
        },
        {
          ALT: () => {
            this.CONSUME(T.Out);
            this.SUBRULE(this.target);
            this.CONSUME3(T.Define);
            this.SUBRULE3(this.expr);
            this.OPTION({
              GATE: () => !this.defines(),
              DEF: () => {
                this.CONSUME(T.When);
                this.SUBRULE4(this.expr);
              },
            });
          },
        },
        {
          ALT: () => {
            this.CONSUME(T.Return);
            this.SUBRULE5(this.expr);
          },
        },
        {
          ALT: () => {
            this.SUBRULE2(this.target);
            this.CONSUME4(T.Define);
            this.SUBRULE6(this.expr);
          },
        },
      ],
      ERR_MSG: "a definition",
    });
  });

  target = this.RULE("target", () => {
    this.OR([
      {
        ALT: () => {
          this.CONSUME(T.Name);
          this.OPTION(() => {
            this.CONSUME(T.LeftBracket);
            this.OPTION2(() => this.SUBRULE(this.binders));
            this.CONSUME(T.RightBracket);
          });
        },
      },
      {
        ALT: () => {
          this.CONSUME(T.LeftParen);
          this.AT_LEAST_ONE_SEP({ SEP: T.Comma, DEF: () => this.CONSUME2(T.Name) });
          this.CONSUME(T.RightParen);
        },
      },
    ]);
  });

  binders = this.RULE("binders", () => {
    this.AT_LEAST_ONE_SEP({ SEP: T.Comma, DEF: () => this.SUBRULE(this.binder) });
  });

  binder = this.RULE("binder", () => {
    this.OPTION(() => this.CONSUME(T.Star));
    this.SUBRULE(this.sum);
    this.OPTION2(() => {
      this.CONSUME(T.In);
      this.SUBRULE(this.range);
    });
  });

  expr = this.RULE("expr", () => {
    this.SUBRULE(this.choice);
    this.MANY(() => {
      this.CONSUME(T.Pipe);
      this.SUBRULE(this.stage);
    });
  });

  stage = this.RULE("stage", () => {
    this.OR({
      DEF: [
        { ALT: () => this.SUBRULE(this.repeat) },
        {
          ALT: () => {
            this.SUBRULE(this.path);
            this.OPTION({ GATE: () => this.onLineOfHead(), DEF: () => this.SUBRULE(this.args) });
          },
        },
      ],
      ERR_MSG: "the name of a block, an op or a fn",
    });
    this.OPTION2({
      GATE: () => !this.defines(),
      DEF: () => {
        this.CONSUME(T.As);
        this.CONSUME(T.Name);
      },
    });
  });

  repeat = this.RULE("repeat", () => {
    this.CONSUME(T.Repeat);
    this.OPTION(() => {
      this.CONSUME(T.Name);
      this.CONSUME(T.In);
    });
    this.SUBRULE(this.range);
    this.CONSUME(T.LeftBrace);
    this.AT_LEAST_ONE_SEP({ SEP: T.Pipe, DEF: () => this.SUBRULE(this.stage) });
    this.CONSUME(T.RightBrace);
  });

  args = this.RULE("args", () => {
    this.CONSUME(T.LeftParen);
    this.OPTION(() => {
      this.SUBRULE(this.arg);
      this.MANY(() => {
        this.CONSUME(T.Comma);
        this.SUBRULE2(this.arg);
      });
      this.OPTION2(() => this.CONSUME2(T.Comma));
    });
    this.CONSUME(T.RightParen);
  });

  arg = this.RULE("arg", () => {
    this.OPTION(() => {
      this.CONSUME(T.Name);
      this.CONSUME(T.Define);
    });
    this.SUBRULE(this.expr);
  });

  choice = this.RULE("choice", () => {
    this.OR({
      DEF: [
        {
          ALT: () => {
            this.CONSUME(T.If);
            this.SUBRULE(this.expr);
            this.CONSUME(T.Then);
            this.SUBRULE2(this.expr);
            this.CONSUME(T.Else);
            this.SUBRULE3(this.expr);
          },
        },
        { ALT: () => this.SUBRULE(this.either) },
      ],
      ERR_MSG: "a value",
    });
  });

  either = this.RULE("either", () => {
    this.SUBRULE(this.both);
    this.MANY(() => {
      this.CONSUME(T.Or);
      this.SUBRULE2(this.both);
    });
  });

  both = this.RULE("both", () => {
    this.SUBRULE(this.not);
    this.MANY(() => {
      this.CONSUME(T.And);
      this.SUBRULE2(this.not);
    });
  });

  not = this.RULE("not", () => {
    this.OPTION(() => this.CONSUME(T.Not));
    this.SUBRULE(this.compare);
  });

  compare = this.RULE("compare", () => {
    this.SUBRULE(this.range);
    this.MANY(() => {
      this.CONSUME(T.CompareOperator);
      this.SUBRULE2(this.range);
    });
  });

  range = this.RULE("range", () => {
    this.SUBRULE(this.sum);
    this.OPTION(() => {
      this.CONSUME(T.RangeOperator);
      this.SUBRULE2(this.sum);
    });
  });

  sum = this.RULE("sum", () => {
    this.SUBRULE(this.term);
    this.MANY(() => {
      this.CONSUME(T.AddOperator);
      this.SUBRULE2(this.term);
    });
  });

  term = this.RULE("term", () => {
    this.SUBRULE(this.unary);
    this.MANY(() => {
      this.CONSUME(T.MultiplyOperator);
      this.SUBRULE2(this.unary);
    });
  });

  unary = this.RULE("unary", () => {
    this.OPTION(() => this.CONSUME(T.Minus));
    this.SUBRULE(this.power);
  });

  // `-x ^ 2` is `-(x ^ 2)` as on paper, and `2 ^ -i` needs no parentheses.
  power = this.RULE("power", () => {
    this.SUBRULE(this.postfix);
    this.OPTION(() => {
      this.CONSUME(T.Caret);
      this.SUBRULE(this.unary);
    });
  });

  postfix = this.RULE("postfix", () => {
    this.SUBRULE(this.primary);
    this.MANY({
      GATE: () => this.LA(1).tokenType === T.Dot || this.onLineOfHead(),
      DEF: () => this.SUBRULE(this.suffix),
    });
  });

  suffix = this.RULE("suffix", () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.args) },
      {
        ALT: () => {
          this.CONSUME(T.LeftBracket);
          this.OPTION(() => this.SUBRULE(this.elements));
          this.CONSUME(T.RightBracket);
        },
      },
      {
        ALT: () => {
          this.CONSUME(T.Dot);
          this.CONSUME(T.Name);
        },
      },
    ]);
  });

  primary = this.RULE("primary", () => {
    this.OR({
      DEF: [
        { ALT: () => this.CONSUME(T.NumberToken) },
        { ALT: () => this.CONSUME(T.TextToken) },
        { ALT: () => this.CONSUME(T.True) },
        { ALT: () => this.CONSUME(T.False) },
        { ALT: () => this.SUBRULE(this.reduction) },
        { ALT: () => this.SUBRULE(this.list) },
        { ALT: () => this.SUBRULE(this.group) },
        { ALT: () => this.CONSUME(T.Name) },
      ],
      ERR_MSG: "a value",
    });
  });

  group = this.RULE("group", () => {
    this.CONSUME(T.LeftParen);
    this.AT_LEAST_ONE_SEP({ SEP: T.Comma, DEF: () => this.SUBRULE(this.expr) });
    this.CONSUME(T.RightParen);
  });

  reduction = this.RULE("reduction", () => {
    this.CONSUME(T.Reducer);
    this.CONSUME(T.LeftBracket);
    this.SUBRULE(this.binders);
    this.OPTION(() => {
      this.CONSUME(T.Where);
      this.SUBRULE(this.elements);
    });
    this.CONSUME(T.RightBracket);
    this.CONSUME(T.LeftParen);
    this.SUBRULE(this.expr);
    this.CONSUME(T.RightParen);
  });

  list = this.RULE("list", () => {
    this.CONSUME(T.LeftBracket);
    this.OPTION(() => {
      this.SUBRULE(this.element);
      this.OR([
        {
          ALT: () => {
            this.CONSUME(T.Semicolon);
            this.SUBRULE(this.expr);
          },
        },
        {
          ALT: () => {
            this.CONSUME(T.For);
            this.CONSUME(T.Name);
            this.CONSUME(T.In);
            this.SUBRULE2(this.expr);
          },
        },
        {
          ALT: () => {
            this.MANY(() => {
              this.CONSUME(T.Comma);
              this.SUBRULE2(this.element);
            });
            this.OPTION2(() => this.CONSUME2(T.Comma));
          },
        },
      ]);
    });
    this.CONSUME(T.RightBracket);
  });

  path = this.RULE("path", () => {
    this.AT_LEAST_ONE_SEP({ SEP: T.Dot, DEF: () => this.CONSUME(T.Name) });
  });

  /** A single expression, for values given on the command line. */
  lone = this.RULE("lone", () => {
    this.SUBRULE(this.expr);
  });
}
