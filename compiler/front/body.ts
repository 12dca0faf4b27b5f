// The inside of a block, network or fn: equations, weights and outputs as definitions evaluated on demand.

import type { Body, Statement, Target, Term } from "../../grammar/ast.ts";
import type { Span } from "../source.ts";
import { fault, force, join, lazy } from "./env.ts";
import { evaluate } from "./evaluating.ts";
import { family, type Case } from "./family.ts";
import { part } from "./op.ts";
import { settle } from "./pointwise.ts";
import { describe, shapeOfValue, tensorOf, type Env, type Lazy, type Place, type Value } from "./values.ts";
import { stateOf, weightOf } from "./weights.ts";
import { aliasesIn, isUpper, partsOfTerm } from "./walk.ts";

/** An opened body. */
export interface Opened {
  /** What `return` or `= expr` gives. */
  readonly result: () => Value;
  /** Where the result is written. */
  readonly resultSpan: Span | undefined;
  /** The `out` names, in order, that exist in this mode. */
  readonly outputs: () => ReadonlyMap<string, Value>;
  /** Makes the weights whose name begins with `_`: they exist though nothing reads them. */
  readonly spare: () => void;
  /** Evaluates the updates of running values. */
  readonly update: () => void;
}

type Kind = "block" | "network" | "fn";

/** Enters the definitions of a body into `env.scope`. */
export function openBody(body: Term | Body, env: Env, kind: Kind, owner = ""): Opened {
  if (body.kind !== "body") {
    const inner: Env = { ...env, place: { ...env.place, transparent: onlyCall(body, env) } };
    return { result: () => settle(evaluate(body, inner), "y"), resultSpan: body.span, outputs: () => new Map(), spare: () => undefined, update: () => undefined };
  }
  const scene: Scene = { env, kind, owner, points: new Map(), spares: [], updates: [], outs: new Map(), result: undefined };
  const families = new Map<string, Case[]>();
  for (const s of body.statements) enter(s, scene, families);
  for (const [name, cases] of families) {
    const value = family(name, cases, env, (c, key, inner) => {
      const at = equationEnv(inner, `${name}${key}`, c.value, true, scene, c.span);
      return settle(evaluate(c.value, at), name);
    });
    env.scope.names.set(name, lazy(name, cases[0]?.span ?? body.span, () => value));
  }
  const { result } = scene;
  return {
    result: () => {
      if (result) return force(result, env, result.span);
      throw fault(env, "N0505", `\`${owner}\` returns nothing`, { ...body.span, end: body.span.start + 1 }, "", { hint: "end the body with `return …`" });
    },
    resultSpan: result?.span,
    outputs: () => new Map([...scene.outs].filter(([, exists]) => exists()).map(([name]) => [name, force(outEntry(env, name), env, body.span)])),
    spare: () => scene.spares.forEach((entry) => force(entry, env, entry.span)),
    update: () => scene.updates.forEach((run) => run()),
  };
}

interface Scene {
  readonly env: Env;
  readonly kind: Kind;
  readonly owner: string;
  /** Values of the points named by `as`. */
  readonly points: Map<string, Value>;
  readonly spares: Lazy[];
  readonly updates: (() => void)[];
  readonly outs: Map<string, () => boolean>;
  result: Lazy | undefined;
}

function outEntry(env: Env, name: string): Lazy {
  const entry = env.scope.names.get(name);
  if (!entry) throw new Error(`internal: output ${name} has no definition`);
  return entry;
}

function enter(s: Statement, scene: Scene, families: Map<string, Case[]>): void {
  const { env } = scene;
  const { names } = env.scope;
  switch (s.kind) {
    case "define": define(s.target, s.value, undefined, scene, families); return;
    case "out": {
      if (scene.kind !== "network") throw fault(env, "N0505", "only a network has outputs", s.span, "", { hint: "a block ends with `return …`" });
      define(s.target, s.value, s.when, scene, families);
      const before = s.target.kind === "one" ? scene.outs.get(s.target.name.text) : undefined;
      const here = (): boolean => s.when === undefined || s.target.kind === "many" || s.target.binders !== undefined || holds(s.when, env);
      if (s.target.kind === "one") scene.outs.set(s.target.name.text, () => (before?.() ?? false) || here());
      return;
    }
    case "return": {
      const entry: Lazy = lazy("return", s.value.span, () => settle(evaluate(s.value, { ...env, mark: marker(scene) }), "y"));
      scene.result = entry;
      alias(s.value, entry, scene);
      return;
    }
    case "param": {
      const entry = lazy(s.name.text, s.name.span, () => weightOf(s, env));
      names.set(s.name.text, entry);
      if (s.name.text.startsWith("_")) scene.spares.push(entry);
      return;
    }
    case "state": running(s, scene); return;
    case "update": scene.updates.push(() => renew(s, scene)); return;
    case "shared": names.set(s.name.text, lazy(s.name.text, s.name.span, () => sharedLayer(s, scene))); return;
    case "turn": throw fault(env, "N0505", "a dial is turned by a `train`", s.span, `not in a ${scene.kind}`);
  }
}

function holds(when: Term, env: Env): boolean {
  const v = evaluate(when, env);
  if (v.kind === "bool") return v.value;
  throw fault(env, "N0302", `\`when\` is true or false, this is ${describe(v)}`, when.span, "");
}

function define(target: Target, value: Term, when: Term | undefined, scene: Scene, families: Map<string, Case[]>): void {
  const { env } = scene;
  const { names } = env.scope;
  if (target.kind === "many") {
    const label = target.names.map((n) => n.text).join("_");
    const all = lazy(label, target.span, () => evaluate(value, equationEnv(env, label, value, false, scene, target.span)));
    for (const [i, n] of target.names.entries()) {
      names.set(n.text, lazy(n.text, n.span, () => part(force(all, env, n.span), i, target.names.length, env, value.span)));
    }
    alias(value, all, scene);
    return;
  }
  const { name, binders } = target;
  if (binders && binders.length > 0) {
    const cases = families.get(name.text) ?? [];
    cases.push({ binders, value, when, span: target.span });
    families.set(name.text, cases);
    return;
  }
  const entry = lazy(name.text, name.span, () => settle(evaluate(value, equationEnv(env, name.text, value, false, scene, target.span)), name.text));
  names.set(name.text, entry);
  alias(value, entry, scene);
}

/** The surroundings in which an equation is evaluated: weights made there are named after it. */
function equationEnv(env: Env, name: string, value: Term, many: boolean, scene: Scene, span: Span): Env {
  const place: Place = {
    ...env.place, path: join(env.place.body, name), many, transparent: onlyCall(value, scene.env),
    trace: scene.kind === "network"
      ? { text: join(scene.owner, name), span, outer: env.place.trace, depth: (env.place.trace?.depth ?? 0) + 1 } : env.place.trace,
  };
  return { ...env, place, mark: many ? undefined : marker(scene) };
}

const marker = (scene: Scene) => (name: string, value: Value): void => {
  scene.points.set(name, value);
};

/** Names given by `as` inside an equation: evaluating it is what gives them their value. */
function alias(term: Term, owner: Lazy, scene: Scene): void {
  const { env, points } = scene;
  for (const { text, span } of aliasesIn(term)) {
    if (env.scope.names.has(text)) continue;
    env.scope.names.set(text, lazy(text, span, () => {
      const ready = points.get(text);
      if (ready) return ready;
      force(owner, env, span);
      const made = points.get(text);
      if (made) return made;
      throw fault(env, "N0201", `\`${text}\` names weights here, not a value`, span, "inside a `repeat` there is one for each pass");
    }));
  }
}

type Declared = Extract<Statement, { kind: "param" | "state" }>;

function running(s: Declared, scene: Scene): void {
  const { env } = scene;
  // The value at entry: a second use of a shared layer sees what the first one left.
  const before = env.world.states.get(join(env.place.body, s.name.text))?.current;
  env.scope.names.set(s.name.text, lazy(s.name.text, s.name.span, () => tensorOf(before ?? stateOf(s, env).now)));
}

function renew(s: Extract<Statement, { kind: "shared" | "update" | "turn" }>, scene: Scene): void {
  const { env } = scene;
  const path = join(env.place.body, s.name.text);
  const now = force(entryOf(s.name.text, env, s.name.span), env, s.name.span);
  const record = env.world.states.get(path);
  if (!record || now.kind !== "tensor") throw fault(env, "N0505", `\`${s.name.text}\` is not a \`state\``, s.name.span, "only a running value is updated");
  const next = settle(evaluate(s.value, env), s.name.text);
  const [had, got] = [shapeOfValue(now)?.join(), shapeOfValue(next)?.join()];
  if (next.kind !== "tensor" || had !== got) {
    throw fault(env, "N0403", `\`${s.name.text}\` must keep its shape`, s.value.span, `this is ${describe(next)}`);
  }
  env.world.states.set(path, { ...record, current: next.tensor, updated: true });
}

function entryOf(name: string, env: Env, span: Span): Lazy {
  const entry = env.scope.names.get(name);
  if (entry) return entry;
  throw fault(env, "N0201", `there is no \`state\` named \`${name}\``, span, "");
}

function sharedLayer(s: Extract<Statement, { kind: "shared" | "update" | "turn" }>, scene: Scene): Value {
  const v = evaluate(s.value, scene.env);
  if (v.kind === "layer") return { ...v, shared: join(scene.env.place.body, s.name.text) };
  throw fault(scene.env, "N0302", `\`shared\` makes one instance of a layer, this is ${describe(v)}`, s.value.span, "", {
    hint: "a layer is a block without its input, such as `LayerNorm()`",
  });
}

/** The span of the one call of a block in a term, if there is just one: its name adds nothing to the paths of weights. */
function onlyCall(term: Term, env: Env): Span | undefined {
  const found: Span[] = [];
  const calls = (head: Term): boolean =>
    head.kind === "member" ? isUpper(head.name.text) : head.kind === "name" && (isUpper(head.text) || env.scope.names.has(head.text));
  const visit = (t: Term, argument: boolean): void => {
    if (t.kind === "call") {
      const block = calls(t.head);
      // A call given as an argument of a block is a recipe, which the block names itself.
      if (block && !argument) found.push(t.span);
      for (const a of t.args) visit(a.value, block);
      return;
    }
    if (t.kind === "pipe") {
      visit(t.from, false);
      const stages = [...t.stages];
      for (let s = stages.shift(); s; s = stages.shift()) {
        // Passes of a repeat are told apart by their numbers, so their calls keep their names.
        if (s.kind === "repeat") found.push(s.span, s.span);
        else {
          const block = calls(s.head);
          if (block) found.push(s.span);
          for (const a of s.args ?? []) visit(a.value, block);
        }
      }
      return;
    }
    for (const p of partsOfTerm(t)) visit(p, false);
  };
  visit(term, false);
  return found.length === 1 ? found[0] : undefined;
}
