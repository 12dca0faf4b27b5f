// Probabilities in the place of what a network has for classes, by the definitions of the standard library.

import { shapeOf, type Output } from "../ir/graph.ts";
import type { Span } from "../source.ts";
import { within } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import { parseTerm } from "./guard.ts";
import { settle } from "./pointwise.ts";
import { tensorOf, type Env } from "./values.ts";

/** What outputs are about. */
export interface About {
  readonly batch: number;
  readonly classes: number;
  /** Extents in space of what the network sees. */
  readonly size: readonly number[];
}

/**
 * The output `shares` made of the first output with a value for each class, or for each but the background, at every point of
 * `size`; all outputs as they are where there is none.
 */
export function sharesOf(outputs: readonly Output[], { batch, classes, size }: About, env: Env, span: Span): readonly Output[] {
  const withChannels = (count: number): Output | undefined => outputs.find(({ tensor }) => shapeOf(tensor).join() === [batch, count, ...size].join());
  const competing = withChannels(classes);
  const found = competing ?? withChannels(classes - 1);
  const { term } = parseTerm(`${competing ? "class" : "target"}_shares(logit)`, "shares");
  if (!found || !term) return outputs;
  const value = settle(evaluate(term, within(env, [["logit", tensorOf(found.tensor)]], span)), "shares");
  if (value.kind !== "tensor") throw new Error("internal: shares are no tensor");
  return [{ name: "shares", tensor: value.tensor }];
}
