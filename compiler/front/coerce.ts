// Static values against the type a parameter asks for.

import type { Type } from "../../grammar/ast.ts";
import type { Span } from "../source.ts";
import { fault } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import { describe, float, list, show, wholes, type Env, type Given, type Init, type Value } from "./values.ts";
import { nearest } from "../report/spelling.ts";
import { termsIn } from "./walk.ts";

/** The words a parameter's type may be. */
const staticTypes: ReadonlySet<string> = new Set(["int", "float", "bool", "text", "size", "layer", "init"]);

type Static = Extract<Type, { kind: "static" }>;

/** What a parameter is called and where, for messages. */
interface Slot {
  readonly name: string;
  readonly owner: string;
  readonly span: Span;
  /** How many spatial axes the first port has, for `size`. */
  readonly rank: () => number;
}

/** The value as the parameter's type; a `float` reads `1 / 16` as a fraction. */
export function coerce(given: Given, type: Static, slot: Slot, env: Env): Value {
  const word = type.name.text;
  if (!staticTypes.has(word)) {
    const near = nearest(word, staticTypes);
    throw fault(env, "N0302", `there is no type \`${word}\``, type.name.span, near ? `did you mean \`${near}\`?` : "", {
      facts: [`The types: ${[...staticTypes].join(", ")}, lists of them such as \`int[]\`, and shapes.`],
    });
  }
  let value = given.value;
  if (word === "float" && given.term && given.env && divides(given) && !mentionsRun(value)) {
    value = evaluate(given.term, given.env, true);
  }
  return cast(value, word, type.lists, given, slot, env);
}

const divides = (given: Given): boolean =>
  given.term !== undefined && [...termsIn(given.term)].some((t) => t.kind === "binary" && t.operator === "/");

const mentionsRun = (v: Value): boolean => v.kind === "scalar" || v.kind === "tensor" || v.kind === "field";

function cast(value: Value, word: string, lists: number, given: Given, slot: Slot, env: Env): Value {
  if (value.kind === "none") return value;
  if (lists > 0) {
    if (value.kind !== "list") throw wrong(value, `a list, \`${word}${"[]".repeat(lists)}\``, given, slot, env);
    return list(value.items.map((x) => cast(x, word, lists - 1, given, slot, env)));
  }
  switch (word) {
    case "int":
      if (value.kind === "int") return value;
      throw wrong(value, "a whole number", given, slot, env);
    case "float":
      if (value.kind === "int") return float(value.value);
      if (value.kind === "float" || value.kind === "scalar") return value;
      throw wrong(value, "a number", given, slot, env);
    case "bool":
      if (value.kind === "bool") return value;
      throw wrong(value, "true or false", given, slot, env);
    case "text":
      if (value.kind === "text") return value;
      throw wrong(value, "text", given, slot, env);
    case "size": return size(value, given, slot, env);
    case "layer":
      if (value.kind === "layer") return value;
      throw wrong(value, "a layer", given, slot, env, "a layer is a block without its input, such as `Conv(32, 3)`");
    default: return init(value, given, slot, env);
  }
}

function size(value: Value, given: Given, slot: Slot, env: Env): Value {
  if (value.kind === "int") return wholes(Array.from({ length: slot.rank() }, () => value.value));
  if (value.kind === "list" && value.items.every((x) => x.kind === "int")) {
    const rank = slot.rank();
    if (value.items.length === rank) return value;
    throw fault(env, "N0405", `\`${slot.name}\` has ${value.items.length} entries for ${rank} spatial axes`, given.span, show(value), {
      hint: "one number stretches to every axis",
    });
  }
  throw wrong(value, "a size", given, slot, env, "a size is `3` or one number per axis, `[1, 3, 3]`");
}

function init(value: Value, given: Given, slot: Slot, env: Env): Value {
  const made = initOf(value);
  if (made) return { kind: "init", init: made };
  throw wrong(value, "an initialiser", given, slot, env, "a number, `fan_in()`, `he_normal()`, `uniform(bound)` or `normal(std)`");
}

/** A number or an initialiser as an initialiser. */
export function initOf(value: Value): Init | undefined {
  if (value.kind === "init") return value.init;
  return value.kind === "int" || value.kind === "float" ? { by: "constant", value: value.value } : undefined;
}

function wrong(value: Value, wanted: string, given: Given, slot: Slot, env: Env, hint?: string): Error {
  return fault(env, "N0302", `\`${slot.name}\` takes ${wanted}, this is ${describe(value)}`, given.span, "", {
    hint, facts: [`\`${slot.name}\` belongs to \`${slot.owner}\`.`],
  });
}
