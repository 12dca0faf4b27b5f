// Random definitions and their gradients: the interpreter of the definitions as they were against the loops of the compiled plan, in float64.

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Tensor } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { printTensor } from "../../compiler/ir/print.ts";
import { ordered } from "../../compiler/ir/order.ts";
import { compileDefinitions, type Compiled } from "../../compiler/pipeline.ts";
import type { Profile } from "../../compiler/plan/plan.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { Fault } from "../../compiler/report/diagnostic.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { execute } from "./execute.ts";
import { grow, type Recipe } from "./random-graphs.ts";
import { valuesOf, withGradients } from "./subjects.ts";

/** `GRAPHS=2000 GRAPH_SEED=7` looks longer and elsewhere. */
const graphs = Number(process.env["GRAPHS"] ?? 40);
const seed = Number(process.env["GRAPH_SEED"] ?? 1);

const bytes = (most: number): fc.Arbitrary<number[]> => fc.array(fc.nat(255), { maxLength: most });
const recipes: fc.Arbitrary<Recipe> = fc.record({
  inputs: fc.array(bytes(6), { minLength: 1, maxLength: 3 }),
  steps: fc.array(bytes(40), { minLength: 1, maxLength: 7 }),
});

interface Problem {
  readonly inputs: readonly Tensor[];
  readonly values: ReadonlyMap<Tensor, Float64Array>;
  /** The results and the gradients of their weighed sum, with what they must be. */
  readonly wanted: readonly { readonly name: string; readonly tensor: Tensor; readonly expected: Float64Array }[];
}

/** A recipe's results and gradients; names end in `suffix`. */
function problem(recipe: Recipe, suffix = ""): Problem | undefined {
  const { inputs, outputs } = grow(recipe, suffix);
  if (outputs.length === 0) return undefined;
  const subject = withGradients("random", inputs, outputs);
  const values = valuesOf(subject);
  const known = { values: new Map(values) };
  return {
    inputs: subject.inputs, values,
    // Results are interpreted as they were, before anything was done to them.
    wanted: subject.outputs.map(({ name, tensor }, i) => ({ name, tensor, expected: interpret(outputs[i]?.tensor ?? tensor, known) })),
  };
}

/** The largest error of a value, against the largest value where that is above a thousandth. */
function errorOf(expected: Float64Array, got: ArrayLike<number> | undefined): number {
  let [off, size] = [0, 1e-3];
  expected.forEach((v, i) => {
    const d = Math.abs(v - (got?.[i] ?? NaN));
    off = d <= off ? off : Number.isNaN(d) ? Infinity : d;
    size = Math.max(size, Math.abs(v));
  });
  return off / size;
}

/** A profile under which a kernel fits; undefined where one definition alone binds too much. */
function compiled({ inputs, wanted }: Problem, profile: Partial<Profile>, everything = false): Compiled | undefined {
  try {
    return compileDefinitions("random", inputs, wanted, { ...leastProfile, ...profile }, { everything });
  } catch (cause) {
    if (cause instanceof Fault && cause.findings.some(({ code }) => code === "N0901")) return undefined;
    throw cause;
  }
}

/** In which ways launches and memory are shared. */
const sharingIn = ({ launches, kernels, over }: Compiled): Readonly<Record<string, boolean>> => ({
  "kernels beside each other": launches.some((l) => l.kernels.length > 1),
  "values over others": over.size > 0,
  "all points of an axis": kernels.some((k) => k.results.some((r) => r.at)),
});

const kinds: readonly { readonly name: string; readonly profile: Partial<Profile>; readonly everything?: boolean }[] = [
  { name: "large tiles", profile: { lanes: 1 } },
  { name: "sums in parts, few bindings", profile: { lanes: 100_000, maxBindings: 5 } },
  { name: "tensors in parts", profile: { lanes: 4, maxBinding: 256 } },
  { name: "subgroups", profile: { lanes: 1, subgroup: 2 } },
  { name: "everything stored", profile: { lanes: 4 }, everything: true },
];

/** Recipes that went wrong once. */
const met: [Recipe][] = [
  // Sums over one axis, of which one depends on an axis that the other does not know.
  [{ inputs: [[], []], steps: [[], [186, 0, 0, 29, 0, 1, 99], [], [72], [32, 0, 0, 0, 139, 44], [133, 48]] }],
];

describe("random graphs", () => {
  it(`compute what their definitions say, forwards and backwards: ${graphs} of them`, { timeout: 60_000 + 1000 * graphs }, () => {
    const done = new Map<string, number>();
    fc.assert(fc.property(recipes, (recipe) => {
      const given = problem(recipe);
      if (!given) return;
      const inputs = new Map([...given.values].map(([t, v]) => [t.name, v]));
      for (const { name: kind, profile, everything } of kinds) {
        const made = compiled(given, profile, everything);
        if (!made) continue;
        done.set(kind, (done.get(kind) ?? 0) + 1);
        for (const [what, is] of Object.entries(sharingIn(made))) if (is) done.set(what, (done.get(what) ?? 0) + 1);
        const got = execute(made, inputs);
        for (const { name, tensor, expected } of given.wanted) {
          if (errorOf(expected, got.get(name)) < 1e-9) continue;
          const text = ordered([tensor]).filter((t) => t.body).map((t) => printTensor(t));
          throw new Error(`\`${name}\` is off by ${errorOf(expected, got.get(name))} with ${kind}:\n${text.join("\n")}`);
        }
      }
    }), { seed, examples: met, numRuns: graphs, interruptAfterTimeLimit: 50_000 + 900 * graphs });
    // A kind that no graph gets through says nothing.
    for (const { name } of kinds) expect(done.get(name), name).toBeGreaterThan(graphs / 3);
    for (const what of ["kernels beside each other", "values over others", "all points of an axis"]) expect(done.get(what), what).toBeGreaterThan(graphs / 3);
  });
});

describe("random graphs on the device", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device?.close());

  it("compute what their definitions say, many in one program", { timeout: 120_000 }, async () => {
    const problems = fc.sample(recipes, { seed: seed + 1, numRuns: 12 }).flatMap((recipe, i) => problem(recipe, `_${i}`) ?? []);
    const inputs = problems.flatMap((p) => p.inputs);
    const wanted = problems.flatMap((p) => p.wanted);
    const { plan } = compileDefinitions("many", inputs, wanted, { ...device.profile, lanes: 4, ranges: true });
    const session = await Session.create(device, plan, { longest: 0.001 });
    try {
      for (const p of problems) for (const [t, v] of p.values) session.write(t.name, Float32Array.from(v));
      session.poison();
      await session.run();
      for (const { name, expected } of wanted) expect(errorOf(expected, await session.read(name)), name).toBeLessThan(2e-4);
    } finally {
      session.destroy();
    }
  });
});
