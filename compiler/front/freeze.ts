// The setting `freeze`: weights and running values that a run leaves as they are.

import type { Graph, Weight } from "../ir/graph.ts";
import { nearest } from "../report/spelling.ts";
import { fault } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import type { Entries } from "./settings.ts";
import { show, type Env } from "./values.ts";

/** A graph whose frozen running values stay as they are, and the weights that are learned. Errors: N0804. */
export function frozenIn(graph: Graph, entries: Entries, env: Env): { readonly graph: Graph; readonly learned: readonly Weight[] } {
  const entry = entries.settings.get("freeze");
  if (!entry) return { graph, learned: graph.weights };
  const v = evaluate(entry.term, env);
  const given = v.kind === "list" ? v.items : v.kind === "none" ? [] : [v];
  const all = [...graph.weights, ...graph.states].map(({ path }) => path);
  const patterns = given.map((one) => {
    if (one.kind !== "text" || one.value === "") {
      throw fault(env, "N0804", `\`freeze\` names weights by their paths, this is ${show(one)}`, entry.term.span, "", { hint: '`freeze = ["stem", "e[*]"]`, or `none`' });
    }
    const pattern = patternOf(one.value);
    if (!all.some((path) => pattern.test(path))) throw nothing(one.value, all, entry.term.span, env);
    return pattern;
  });
  const isFrozen = ({ path }: Weight): boolean => patterns.some((pattern) => pattern.test(path));
  const learned = graph.weights.filter((one) => !isFrozen(one));
  if (learned.length === 0 && graph.weights.length > 0) throw fault(env, "N0804", "everything is frozen, nothing is left to learn", entry.term.span, "", { hint: "leave something out of `freeze`" });
  return { graph: { ...graph, states: graph.states.map((s) => (isFrozen(s) ? { ...s, next: undefined } : s)) }, learned };
}

/** A path, or the beginning of paths up to one of their points; `*` stands for anything. */
function patternOf(text: string): RegExp {
  const escaped = text.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join(".*");
  return new RegExp(`^${escaped}(\\..*)?$`);
}

function nothing(text: string, paths: readonly string[], span: Parameters<typeof fault>[3], env: Env): Error {
  const beginnings = new Set(paths.flatMap((path) => path.split(".").map((_, n, parts) => parts.slice(0, n + 1).join("."))));
  const near = nearest(text.replace(/\.?\*$/, ""), beginnings);
  const first = [...new Set(paths.map((path) => path.split(".")[0] ?? ""))];
  return fault(env, "N0804", `\`freeze\`: no weight has the path \`${text}\``, span, near === undefined ? "" : `did you mean \`${near}\`?`, {
    facts: [`Paths begin with ${first.slice(0, 12).join(", ")}${first.length > 12 ? ` and ${first.length - 12} more` : ""}.`], hint: "`netc params` lists the paths of blocks",
  });
}
