// Instances of blocks and networks: every use of a recipe makes new weights, every use of a shared layer the same ones.

import type { Block, Network } from "../../grammar/ast.ts";
import { shapeOf } from "../ir/graph.ts";
import type { Span } from "../source.ts";
import { openBody, type Opened } from "./body.ts";
import { argumentText, assign, bindPorts, isRecipe } from "./calls.ts";
import { deeper, fault, finding, join, newScope, tooDeep } from "./env.ts";
import { settle } from "./pointwise.ts";
import { extentsOf } from "./shapes.ts";
import { describe, showShape, type CallSite, type Env, type Given, type Layer, type Place, type Value } from "./values.ts";

const most = 100_000;

/** Uses a layer; without its first port it stays a layer, with more of its arguments. */
export function callLayer(layer: Layer, given: readonly Given[], env: Env, site: CallSite): Value {
  const fresh = new Set(given.flatMap((g) => (g.name === undefined ? [] : [g.name])));
  const all = [...layer.given.filter((g) => g.name === undefined || !fresh.has(g.name)), ...given];
  const { item } = layer;
  const taken = assign(item, all, env, site.span);
  if (isRecipe(item, taken)) return { ...layer, given: all };
  return instance(layer, taken, env, site);
}

function instance(layer: Layer, taken: ReadonlyMap<string, Given>, env: Env, site: CallSite): Value {
  const { item, module } = layer;
  const { world } = env;
  if (++world.instances > most) throw fault(env, "N0504", "this network has too many parts", site.span, `more than ${most} blocks`);
  if ((env.place.trace?.depth ?? 0) > 200) throw tooDeep(env, site.span);
  const named = { ...env, place: placeOf(layer, env, site) };
  const place = deeper(named, argumentText(item, taken), site.span);
  const inner: Env = { scope: newScope(undefined), module, world, place, axis: undefined, inOp: false, shapes: false, mark: undefined };
  bindPorts(item, taken, inner, { env, span: site.span });
  const body = item.body;
  if (!body) throw fault(env, "N0302", `\`${item.name.text}\` is another name, not a network of its own`, site.span, "");
  const opened = openBody(body, inner, item.kind, item.name.text);
  const value = item.kind === "network" ? outputsOf(item, opened, inner) : promised(item, opened, inner);
  opened.spare();
  if (world.training) opened.update();
  return value;
}

/** The path of a call: its own name, `as`, or nothing where the name would add nothing. */
function placeOf(layer: Layer, env: Env, site: CallSite): Place {
  const { place } = env;
  if (layer.shared !== undefined) {
    return { ...place, path: layer.shared, body: layer.shared, many: false, transparent: undefined, used: new Set(), shared: true };
  }
  if (layer.item.kind === "network" && place.path === "") return { ...place, transparent: undefined };
  if (site.as === undefined && place.transparent === site.span) return { ...place, body: place.path, many: false, transparent: undefined };
  const wanted = site.as === undefined ? join(place.path, labelOf(site)) : join(place.many ? place.path : place.body, site.as);
  let path = wanted;
  for (let n = 2; place.used.has(path); n++) path = `${wanted}_${n}`;
  place.used.add(path);
  if (path !== wanted && site.as === undefined && !env.module.path.startsWith("std:")) {
    env.world.findings.push(finding(env, "W0204", `two calls of \`${labelOf(site)}\` share one name`, site.span, `its weights are \`${path}\``, {
      hint: `name it, \`… |> ${labelOf(site)}(…) as …\`, or give it an equation of its own`,
    }));
  }
  return { ...place, path, body: path, many: false, transparent: undefined };
}

function labelOf(site: CallSite): string {
  return site.head.kind === "name" ? site.head.text : site.head.kind === "member" ? site.head.name.text : "layer";
}

function outputsOf(item: Network, opened: Opened, env: Env): Value {
  const outputs = opened.outputs();
  for (const value of outputs.values()) {
    if (value.kind !== "family") continue;
    for (const index of value.indices()) value.get(index, env, item.name.span);
  }
  return { kind: "net", name: item.name.text, outputs };
}

function promised(item: Block, opened: Opened, env: Env): Value {
  const value = opened.result();
  const span = opened.resultSpan ?? item.span;
  const { results } = item;
  if (results.length === 0) return value;
  const values = results.length === 1 ? [value] : value.kind === "tuple" ? value.items : [];
  if (values.length !== results.length) {
    throw fault(env, "N0403", `\`${item.name.text}\` promises ${results.length} results`, span, `this is ${describe(value)}`);
  }
  for (const [i, r] of results.entries()) check(item, r.type, values[i] as Value, span, env);
  return value;
}

function check(item: Block, type: Block["results"][number]["type"], value: Value, span: Span, env: Env): void {
  if (type.kind !== "tensor") return;
  const v = settle(value, "y");
  if (v.kind !== "tensor") throw fault(env, "N0403", `\`${item.name.text}\` promises a tensor`, span, `this is ${describe(v)}`, { also: [{ span: type.span, text: "promised here" }] });
  const wanted = extentsOf(env, type.shape);
  const got = shapeOf(v.tensor);
  if (wanted.length === got.length && wanted.every((n, i) => n === got[i])) return;
  throw fault(env, "N0403", `\`${item.name.text}\` promises ${showShape(wanted)} but returns ${showShape(got)}`, span, showShape(got), {
    also: [{ span: type.span, text: "promised here" }],
  });
}
