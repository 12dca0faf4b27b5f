// Which strategy takes a definition.

import type { Expr } from "../../ir/expr.ts";
import type { Tensor } from "../../ir/graph.ts";
import type { Kernel, Lanes, Schedule } from "../kernel.ts";
import type { Loops } from "../loops.ts";
import * as map from "./map.ts";
import * as scatter from "./scatter.ts";

export function schedule(root: Tensor, body: Expr, lanes: Lanes): Schedule {
  return root.type === "wide" ? scatter.schedule(root, body, lanes) : map.schedule(root, body, lanes);
}

export function lower(kernel: Kernel): Loops {
  const { schedule: chosen } = kernel;
  switch (chosen.strategy) {
    case "map": return map.lower(kernel, chosen);
    case "scatter": return scatter.lower(kernel, chosen);
    default: return chosen satisfies never;
  }
}
