// The grammar, rule by rule: LL(3), with error recovery; the tree it yields is concrete.

import { type ParserOptions, TermParser } from "./parser-terms.ts";
import * as T from "./tokens.ts";

/** The parser of `.net` texts; `file` and `lone` are its entries. */
export class NetParser extends TermParser {
  constructor(options: ParserOptions) {
    super(options);
    this.performSelfAnalysis();
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
    this.OPTION2(() => {
      this.CONSUME(T.Where);
      this.AT_LEAST_ONE_SEP({ SEP: T.Comma, DEF: () => this.SUBRULE2(this.expr) });
    });
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

  /** A single expression, for values given on the command line. */
  lone = this.RULE("lone", () => {
    this.SUBRULE(this.expr);
  });
}
