// The lower half of the grammar: expressions, pipes, indices and types.

import type { IParserErrorMessageProvider } from "chevrotain";
import { CstParser } from "./chevrotain.ts";
import * as T from "./tokens.ts";

/** How a parser is made. */
export interface ParserOptions {
  /** Whether Chevrotain examines the grammar itself; tests do, programs need not. */
  readonly check: boolean;
  readonly messages?: IParserErrorMessageProvider;
}

/** The rules of expressions and types. */
export class TermParser extends CstParser {
  constructor(options: ParserOptions) {
    super(T.allTokens, {
      maxLookahead: 3,
      recoveryEnabled: true,
      nodeLocationTracking: "onlyOffset",
      skipValidations: !options.check,
      ...(options.messages === undefined ? {} : { errorMessageProvider: options.messages }),
    });
  }

  /** Without semicolons, `f` on one line and `(a, b) = …` on the next must stay apart. */
  private onLineOfHead(): boolean {
    return this.LA(1).startLine === this.LA(0).endLine;
  }

  /** `as near` names a stage, `as = …` on the next line is a definition of its own. */
  protected defines(): boolean {
    return this.LA(2).tokenType === T.Define || this.LA(2).tokenType === T.LeftBracket;
  }

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
}
