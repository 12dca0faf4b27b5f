// The library's convolutions, norms, pooling and resizing with their gradients on images of 48 and 96 cubed, at sampled points against the interpreter.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { instantiate } from "../../compiler/front/front.ts";
import { apply, index, int, makeAxis, read, real, reduce, type Axis, type Expr } from "../../compiler/ir/expr.ts";
import { define, shapeOf, sizeOf, source, type Tensor } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { mapReads, substitute } from "../../compiler/ir/rewrite.ts";
import { differentiate } from "../../compiler/passes/differentiate.ts";
import { separate } from "../../compiler/passes/separate.ts";
import { solve } from "../../compiler/passes/solve.ts";
import { compileDefinitions } from "../../compiler/pipeline.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";
import { written } from "../front/library.ts";
import { noise } from "./noise.ts";

const origin = { span: undefined, path: "test" };
/** Points looked at of every result; of a kernel's gradient, each of which is a sum over the image, fewer. */
const points = { image: 10, kernel: 3 };
const text = `
network All(x: [N, C, *S], w: [O, C, *K], d: [C, 1, *K], u: [C, O, *L]) {
  half = x |> max_pool(2)
  (mu, var) = moments(x, groups = 1)
  out dense = conv(x, w, pad = 1)
  out strided = conv(x, w, stride = 2, pad = 1)
  out each = conv(x, d, pad = 1, groups = C)
  out thinned = conv(x, d, stride = 2, pad = 1, groups = C)
  out norm = standardize(x, mu, var, eps = 0.1)
  out mean = x |> mean_pool(3, stride = 2, pad = 1)
  out wide = resize(half, to = S)
  out corners = resize_corners(half, to = S)
  out up = conv_transpose(half, u, stride = 2)
}
`;

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device?.close());

type Values = Map<Tensor, Float64Array>;

const flatOf = (t: Tensor, at: readonly number[]): number => at.reduce((flat, i, k) => flat * (t.axes[k] as Axis).extent + i, 0);

const elements = new Map<string, number>();

/** One element of a definition; of what it reads at known places only these are computed. */
function elementOf(t: Tensor, at: readonly number[], values: Values): number {
  const key = `${t.id} ${at.join()}`;
  const element = values.get(t)?.[flatOf(t, at)] ?? elements.get(key) ?? computed(t, at, values);
  elements.set(key, element);
  return element;
}

function computed(t: Tensor, at: readonly number[], values: Values): number {
  const here = substitute(t.body as Expr, new Map(t.axes.map((a, k) => [a, int(at[k] ?? 0)])));
  const body = mapReads(here, (r) => {
    const place = r.at.map((e) => (e.kind === "number" ? e.value : NaN));
    const isInside = place.every((i, k) => i >= 0 && i < (r.tensor.axes[k] as Axis).extent);
    return isInside && r.type === "real" ? real(elementOf(r.tensor, place, values)) : r;
  });
  return interpret(define("element", [], body, origin), { values })[0] ?? NaN;
}

describe("images", () => {
  for (const edge of [48, 96]) {
    it(`of ${edge} cubed are worked on rightly, forwards and backwards`, { timeout: 300_000 }, async () => {
      const { graph, findings } = instantiate(written(text), "All", { inputs: [[1, 2, edge, edge, edge], [3, 2, 3, 3, 3], [2, 1, 3, 3, 3], [2, 3, 2, 2, 2]], training: true });
      expect(findings).toEqual([]);
      if (!graph) return;
      const seeds = graph.outputs.map((o) => source(`seed_${o.name}`, shapeOf(o.tensor), origin));
      const loss = define("loss", [], graph.outputs.map(({ tensor }, i) => {
        const axes = tensor.axes.map((a) => makeAxis(a.name, a.extent));
        const at = axes.map(index);
        return reduce("sum", axes, [], apply("mul", read(tensor, at), read(seeds[i] as Tensor, at)));
      }).reduce((a, b) => apply("add", a, b)), origin);
      const made = separate([loss, ...graph.outputs.map((o) => o.tensor)]);
      const slopes = differentiate(made.get(loss) as Tensor, graph.inputs);
      const outputs = [
        ...graph.outputs.map((o) => ({ name: o.name, tensor: made.get(o.tensor) as Tensor })),
        ...graph.inputs.map((t) => ({ name: `d_${t.name}`, tensor: slopes.get(t) as Tensor })),
      ];
      const inputs = [...graph.inputs, ...seeds];
      const session = await Session.create(device, compileDefinitions("large", inputs, outputs, device.profile).plan);
      try {
        const values: Values = new Map(inputs.map((t, i) => [t, noise(sizeOf(t), 3 + i)]));
        for (const [t, v] of values) session.write(t.name, Float32Array.from(v));
        session.poison();
        await session.run();
        // Unsolved sums search; that solving is right is seen where images are small.
        const solved = solve(outputs.map((o) => o.tensor));
        for (const [k, { name, tensor }] of outputs.entries()) {
          const got = await session.read(name);
          const shape = shapeOf(tensor);
          const count = sizeOf(tensor) < 1000 ? points.kernel : points.image;
          const random = noise(count * shape.length, 100 + k);
          let [off, size] = [0, 0];
          for (let p = 0; p < count; p++) {
            // The corners of the image first.
            const at = shape.map((e, i) => (p < 2 ? p * (e - 1) : Math.floor(((random[p * shape.length + i] as number) + 1) / 2 * e)));
            const want = elementOf(solved.get(tensor) as Tensor, at, values);
            off = Math.max(off, Math.abs(want - (got[flatOf(tensor, at)] ?? NaN)));
            size = Math.max(size, Math.abs(want));
          }
          expect(off / size, name).toBeLessThan(1e-4);
        }
      } finally {
        session.destroy();
      }
    });
  }
});
