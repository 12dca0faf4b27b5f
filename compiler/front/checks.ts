// `check` items: statements about networks that must be true while compiling.

import type { Diagnostic } from "../report/diagnostic.ts";
import { finding, newEnv } from "./env.ts";
import { newWorld } from "./world.ts";
import { evaluate } from "./evaluating.ts";
import { distinct, guarded } from "./guard.ts";
import type { Module, Written } from "./module.ts";
import { describe, show } from "./values.ts";
import type { Term } from "../../grammar/ast.ts";

/** Evaluates every `check` of a file. */
export function runChecks(module: Written): readonly Diagnostic[] {
  const findings: Diagnostic[] = [];
  for (const item of module.file.items) if (item.kind === "check") findings.push(...one(item.test, module));
  return distinct(findings);
}

function one(test: Term, module: Module): readonly Diagnostic[] {
  const world = newWorld(true);
  const findings: Diagnostic[] = [];
  guarded(world, findings, () => {
    const env = newEnv(module, world, { shapes: true });
    const value = evaluate(test, env);
    if (value.kind === "bool" && value.value) return;
    // A network on its own is a check that it can be built.
    if (value.kind === "tensor" || value.kind === "net" || value.kind === "tuple") return;
    if (value.kind !== "bool") {
      findings.push(finding(env, "N0302", `a check is true or false, this is ${describe(value)}`, test.span, ""));
      return;
    }
    const sides = test.kind === "binary" ? ([test.left, test.right] as const) : undefined;
    const facts = sides?.filter((s) => s.kind !== "number" && s.kind !== "list").map((s) => {
      const text = s.span.file.text.slice(s.span.start, s.span.end);
      return `\`${text}\` is ${show(evaluate(s, newEnv(module, newWorld(true), { shapes: true })))}.`;
    });
    findings.push(finding(env, "N0806", "this check does not hold", test.span, "", { facts: facts ?? [] }));
  });
  return [...findings, ...world.findings];
}
