// Case carries meaning: capitals mark what owns weights, and sizes; this judges the names.

import { diagnostic, type Diagnostic } from "../compiler/report/diagnostic.ts";
import type { Name } from "./ast.ts";

/** What a name may stand for where it is defined. */
export type Role = "block" | "network" | "data set" | "size" | "op" | "fn" | "value" | "dial" | "run";

const capital: ReadonlySet<Role> = new Set(["block", "network", "data set", "size"]);

/** The finding for a name in the wrong case, if it is. */
export function judgeCase(name: Name, role: Role): Diagnostic | undefined {
  if (name.text === "") return undefined;
  const wantsCapital = capital.has(role);
  if (/^[A-Z]/.test(name.text) === wantsCapital) return undefined;
  const better = wantsCapital ? pascal(name.text) : snake(name.text);
  const article = role === "op" ? "an" : "a";
  const owner = role === "fn" ? "fn's" : `${role}'s`;
  return diagnostic("N0104", `${article} ${owner} name starts with a ${wantsCapital ? "capital" : "small letter"}`, {
    labels: [{ span: name.span, text: better === "" ? "" : `rename to \`${better}\`` }],
    facts: fact(name.text, role),
  });
}

function fact(name: string, role: Role): readonly string[] {
  switch (role) {
    case "block":
      return [`Capitals mark what owns weights. If \`${name}\` owns none, make it an \`op\`.`];
    case "op":
    case "fn":
      return [`Capitals mark what owns weights. If \`${name}\` has weights, make it a \`block\`.`];
    case "value":
    case "size":
      return ["Sizes start with a capital, values and indices with a small letter."];
    default:
      return [];
  }
}

function pascal(name: string): string {
  return name
    .split("_")
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join("");
}

function snake(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toLowerCase();
}
