// Dials: numbers set from outside, and what their definitions demand of them.

import type { Item } from "../../grammar/ast.ts";
import { asReal, dial, type Expr } from "../ir/expr.ts";
import { define } from "../ir/graph.ts";
import { interpret } from "../ir/interpret.ts";
import type { Span } from "../source.ts";
import { fault, newEnv, within } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import type { Module } from "./module.ts";
import { describe, float, scalar, type Env, type Value } from "./values.ts";

type DialItem = Extract<Item, { kind: "dial" }>;

/** A dial as a value: its schedule in a run that turns it, else a number that the device is told. */
export function dialValue(item: DialItem, module: Module, env: Env): Value {
  const name = item.name.text;
  const { turned, dials } = env.world;
  const schedule = turned.get(name);
  if (schedule) return scalar(schedule);
  const inner: Env = { ...newEnv(module, env.world), place: env.place };
  let d = dials.get(name);
  if (!d) {
    const value = evaluate(item.value, inner, true);
    if (value.kind !== "int" && value.kind !== "float") throw fault(inner, "N0302", "a dial starts at a number", item.value.span, describe(value));
    d = { name, value: value.value };
    dials.set(name, d);
  }
  const broken = brokenDemand(item, d.value, inner);
  if (broken) throw fault(inner, "N0807", `\`${name}\` cannot be ${d.value}`, broken, "demanded here");
  return scalar(dial(d));
}

/** How long a run is; `epochs` may be a fraction. */
export interface Timetable {
  readonly epochs: number;
  readonly steps: number;
}

/** No more epochs than this are looked at; those of a longer run are skipped evenly. */
const mostEpochs = 5000;

/** N0807 where a schedule leaves what the dial's definition demands: it is tried at the first and the last step of every epoch. */
export function demandAlong(item: DialItem, module: Module, schedule: Expr, { epochs, steps }: Timetable, span: Span, env: Env): void {
  if (item.where.length === 0) return;
  const name = item.name.text;
  const inner = newEnv(module, env.world);
  const value = define(name, [], asReal(schedule), { span, path: name });
  const stride = Math.ceil(epochs / mostEpochs);
  for (let epoch = 0; epoch < epochs; epoch += stride) {
    const last = Math.min((epoch + 1) * steps, Math.round(epochs * steps)) - 1;
    for (const step of [epoch * steps, last]) {
      const v = interpret(value, { values: new Map(), dials: { step, epoch, epochs, steps } })[0] ?? NaN;
      const broken = brokenDemand(item, v, inner);
      if (broken) throw fault(env, "N0807", `\`${name}\` cannot be ${v}`, span, `it is, at step ${step} in epoch ${epoch}`, { also: [{ span: broken, text: "demanded here" }] });
    }
  }
}

/** The first condition of a dial that a value breaks. */
function brokenDemand(item: DialItem, value: number, inner: Env): Span | undefined {
  const env = within(inner, [[item.name.text, float(value)]], item.name.span);
  for (const condition of item.where) {
    const v = evaluate(condition, env);
    if (v.kind !== "bool") throw fault(inner, "N0302", `a demand is true or false, this is ${describe(v)}`, condition.span, "");
    if (!v.value) return condition.span;
  }
  return undefined;
}
