// Which strategy takes a definition.

import type { Group, Kernel, Lanes, Schedule } from "../kernel.ts";
import type { Loops } from "../loops.ts";
import * as contract from "./contract.ts";
import * as map from "./map.ts";
import * as scatter from "./scatter.ts";

/** The ways to run a launch that may be fast, the one that should be fastest first; that one is enough where not `all` are asked for. */
export function schedules(group: Group, lanes: Lanes, all: boolean): readonly Schedule[] {
  const [first] = group.results;
  if (first?.root.type === "wide") return [scatter.schedule(first.root, first.body, lanes)];
  const [presumed, ...others] = map.schedules(group, lanes, all ? undefined : 1);
  if (!presumed) return [];
  const { unasked, more } = contract.schedules(group, lanes);
  return [...unasked, presumed, ...more, ...others];
}

export function lower(kernel: Kernel): Loops {
  const { schedule: chosen } = kernel;
  switch (chosen.strategy) {
    case "map": return map.lower(kernel, chosen);
    case "scatter": return scatter.lower(kernel, chosen);
    case "contract": return contract.lower(kernel, chosen);
    default: return chosen satisfies never;
  }
}
