// The formatter: a Prettier plugin without options.

import { doc, format as prettify, util, type AstPath, type Doc, type Plugin } from "prettier";
import { Fault, isError } from "../compiler/report/diagnostic.ts";
import { parentsOf, placeEndOfLine, placeOwnLine } from "./comments.ts";
import { lex } from "./lexical.ts";
import * as items from "./layout-items.ts";
import * as terms from "./layout-terms.ts";
import { parse } from "./parse.ts";
import { childrenOf, type Comment, commentsOf, isName, type Node, type Route } from "./tree.ts";

const { breakParent, hardline, join, lineSuffix } = doc.builders;

type Printable = Node | Comment;

/** Every text has one form; the numbers are for editors that ask a plugin for them. */
const settings = { printWidth: 100, tabWidth: 2, useTabs: false, endOfLine: "lf" } as const;

const parents = new WeakMap<object, WeakMap<object, Node>>();

function print(path: AstPath<Printable>, text: string, recurse: (path: AstPath<Printable>) => Doc): Doc {
  const node = path.node as Node;
  const docs = new Map<Node, Doc>();
  for (const child of childrenOf(node)) {
    if (!isName(child.node)) docs.set(child.node, follow(path, child.route, recurse));
  }
  const comments = commentsOf(node);
  const loose = (wanted: (comment: Comment) => boolean): Doc[] => {
    const parts: Doc[] = [];
    path.each((comment) => {
      const one = comment.node as Comment;
      if (one.leading === true || one.trailing === true || !wanted(one)) return;
      one.printed = true;
      parts.push(one.value);
    }, "comments" as never);
    return parts;
  };
  return layout(node, {
    of: (child) => docs.get(child) ?? "",
    parent: path.parent as Node | null,
    key: path.key ?? null,
    index: path.index ?? null,
    dangling: () => (comments.length === 0 ? "" : comment(loose((one) => one.opening !== true))),
    opening: () => (comments.length === 0 ? "" : loose((one) => one.opening === true).map((one) => [lineSuffix([" ", one]), breakParent])),
    blankAfter: ({ span }) => util.isNextLineEmpty(text, span.end),
    topped: (child) => commentsOf(child).some((one) => one.leading === true),
  });
}

function comment(parts: readonly Doc[]): Doc {
  return parts.length === 0 ? "" : [join(hardline, [...parts]), breakParent];
}

/** Prettier prints along paths, so that it knows which comments were reached. */
function follow(path: AstPath<Printable>, route: Route, recurse: (path: AstPath<Printable>) => Doc): Doc {
  const call = path.call as (callback: typeof recurse, ...route: Route) => Doc;
  return call.call(path, recurse, ...route);
}

function layout(node: Node, at: items.Surroundings): Doc {
  if (!("kind" in node)) {
    if ("items" in node) return items.file(node, at);
    if ("range" in node) return terms.binder(node, at);
    if ("pack" in node) return terms.element(node, at);
    if ("term" in node) return items.demand(node, at);
    if ("text" in node) return node.text;
    if (!("type" in node)) return terms.argument(node, at);
    return "value" in node ? items.port(node, at) : items.result(node, at);
  }
  switch (node.kind) {
    case "import": case "const": case "dial": case "fn": case "op": case "block": case "network": case "data": case "run": case "check":
      return items.item(node, at);
    case "param": case "state": case "shared": case "update": case "turn": case "out": case "return": case "define":
      return items.statement(node, at);
    case "body":
      return items.body(node, at);
    case "one": case "many":
      return items.target(node, at);
    case "static": case "tensor":
      return terms.type(node, at);
    case "apply": case "repeat":
      return terms.stage(node, at);
    default:
      return terms.term(node, at);
  }
}

/** The plugin: the language's name, its parser and its printer. */
export const plugin: Plugin<Printable> = {
  languages: [{ name: "net", parsers: ["net"], extensions: [".net"] }],
  defaultOptions: settings,
  parsers: {
    net: {
      astFormat: "net",
      locStart: (node) => node.span.start,
      locEnd: (node) => node.span.end,
      parse: (text, options) => {
        const source = { path: options.filepath ?? "text.net", text };
        const { file, findings } = parse(source);
        if (findings.some(isError)) throw new Fault(...findings);
        parents.set(file, parentsOf(file));
        const comments = lex(source).comments.map(({ image, startOffset }) => ({
          value: image.trimEnd(),
          span: { file: source, start: startOffset, end: startOffset + image.length },
        }));
        return Object.assign(file, { comments });
      },
    },
  },
  printers: {
    net: {
      print: (path, options, recurse) => print(path, options.originalText, recurse),
      getCommentChildNodes: (node) => childrenOf(node).map((child) => child.node),
      canAttachComment: (node) => !isName(node as Node),
      isBlockComment: () => false,
      printComment: (path) => (path.node as Comment).value,
      handleComments: {
        ownLine: (one: Comment, _text, _options, root) => placeOwnLine(one, root as Node, parents.get(root) ?? new WeakMap()),
        endOfLine: (one: Comment, _text, _options, root) => placeEndOfLine(one, root as Node, parents.get(root) ?? new WeakMap()),
      },
    },
  },
};

/** The one form of a text. Throws a `Fault` with the findings when the text does not parse. */
export async function format(text: string, path: string): Promise<string> {
  let last = text;
  // A comment in an odd place moves to a better one, where the lines may then break differently.
  for (let round = 0; round < 4; round++) {
    const next = await prettify(last, { ...settings, parser: "net", plugins: [plugin], filepath: path });
    if (next === last) break;
    last = next;
  }
  return last;
}
