// Learned tensors and running values: their names, shapes and beginnings.

import type { Statement } from "../../grammar/ast.ts";
import { shapeOf, source, type Tensor } from "../ir/graph.ts";
import type { Start } from "../plan/plan.ts";
import { initOf } from "./coerce.ts";
import { fault, join } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import { extentsOf } from "./shapes.ts";
import { describe, showShape, type Env, type Init, type Value } from "./values.ts";

type Declared = Extract<Statement, { kind: "param" | "state" }>;

/** The weight a `param` declares; in a `shared` layer the one that exists already. */
export function weightOf(s: Declared, env: Env): Value {
  const { shape, start } = declared(s, env);
  const { weights } = env.world;
  let path = join(env.place.body, s.name.text);
  const before = weights.get(path);
  if (before && env.place.shared) return { kind: "tensor", tensor: same(before.tensor, shape, s, env) };
  for (let n = 2; weights.has(path); n++) path = `${join(env.place.body, s.name.text)}_${n}`;
  const tensor = source(s.name.text, shape, { span: s.span, path });
  weights.set(path, { tensor, path, start });
  return { kind: "tensor", tensor };
}

/** A `state`: its record, made when first needed. */
export function stateOf(s: Declared, env: Env): { readonly now: Tensor; readonly path: string } {
  const path = join(env.place.body, s.name.text);
  const before = env.world.states.get(path);
  const { shape, start } = declared(s, env);
  if (before) return { now: same(before.current, shape, s, env), path };
  const tensor = source(s.name.text, shape, { span: s.span, path });
  env.world.states.set(path, { tensor, current: tensor, path, start, updated: false });
  return { now: tensor, path };
}

function same(tensor: Tensor, shape: readonly number[], s: Declared, env: Env): Tensor {
  const had = shapeOf(tensor);
  if (had.length === shape.length && had.every((n, i) => n === shape[i])) return tensor;
  throw fault(env, "N0702", `a shared layer needs \`${s.name.text}\` in two shapes`, s.span, `${showShape(had)} before, ${showShape(shape)} now`, {
    hint: "`shared` weights fit one width; give each use its own layer",
  });
}

function declared(s: Declared, env: Env): { shape: readonly number[]; start: Start } {
  if (s.type.kind !== "tensor") throw fault(env, "N0302", `a \`${s.kind}\` has a shape`, s.type.span, "e.g. `[C]`");
  const shape = extentsOf(env, s.type.shape);
  const value = evaluate(s.value, env, true);
  const init = initOf(value);
  if (!init) {
    throw fault(env, "N0302", `a \`${s.kind}\` begins at a number or an initialiser, this is ${describe(value)}`, s.value.span, "", {
      hint: "a number, `fan_in()`, `he_normal()`, `uniform(bound)` or `normal(std)`",
    });
  }
  return { shape, start: startOf(init, shape) };
}

/** An initialiser for a shape: fan-in is everything but the first axis, fan-out everything but the second. */
function startOf(init: Init, shape: readonly number[]): Start {
  const product = (xs: readonly number[]): number => xs.reduce((n, x) => n * x, 1);
  const fanIn = product(shape.slice(1));
  switch (init.by) {
    case "constant": return { kind: "constant", value: init.value };
    case "uniform": return { kind: "uniform", bound: init.bound };
    case "normal": return { kind: "normal", deviation: init.deviation };
    case "fan_in": return { kind: "uniform", bound: init.gain / Math.sqrt(fanIn) };
    case "he_normal": {
      const fan = init.fan === "in" ? fanIn : (shape[0] ?? 1) * product(shape.slice(2));
      return { kind: "normal", deviation: Math.sqrt(2 / ((1 + init.slope ** 2) * fan)) };
    }
  }
}
