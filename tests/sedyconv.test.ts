// Dynamic convolutions with a stride: the device against the interpreter, and the networks that have them.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { instantiate, officialNames, parseNames, prepareTraining } from "../compiler/front/front.ts";
import { shapeOf, sizeOf, type Tensor } from "../compiler/ir/graph.ts";
import { interpret } from "../compiler/ir/interpret.ts";
import { differentiate } from "../compiler/passes/differentiate.ts";
import { separate } from "../compiler/passes/separate.ts";
import { solve } from "../compiler/passes/solve.ts";
import { compileGradients } from "../compiler/pipeline.ts";
import { openDevice, type Device } from "../runtime/device.ts";
import { Session } from "../runtime/session.ts";
import { noise } from "./compiler/noise.ts";
import { program } from "./front/library.ts";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device?.close());

/** Relative L2. */
function distance(got: Float32Array, want: Float64Array): number {
  let [off, size] = [0, 0];
  for (const [i, v] of want.entries()) {
    off += ((got[i] ?? NaN) - v) ** 2;
    size += v * v;
  }
  return Math.sqrt(off / size);
}

const text = `import { SEDyConv } from "./nets/sedyconv.net"
op cubes(x: [N, C, *S]) -> loss: [] {
  loss[] = sum[n, c, *s](x[n, c, *s] ^ 3)
}
network Case(image: [N, M, *S], classes: int) {
  out logits = image |> SEDyConv(M, 3, stride = [1, 2, 2], kernels = 2)
}
train case for Case {
  patch = [2, 5, 4]
  batch = 3
  loss = cubes(logits)
  optimizer = sgd(lr = 0.01)
}
`;

describe("a dynamic convolution with a stride", () => {
  test("equals the interpreter, forwards and backwards", { timeout: 120_000 }, async () => {
    const { training } = prepareTraining(program("case.net", { "case.net": text }), "case", { channels: 3, classes: 2 });
    if (!training) throw new Error("no graph");
    const { graph } = training;
    const [logits, image] = [training.heads[0]?.tensor, graph.inputs.find((t) => t.name === "image")];
    if (!logits || !image) throw new Error("no output");
    expect(shapeOf(logits)).toEqual([3, 3, 2, 3, 2]);

    const apart = separate([training.loss, logits]);
    const of = (t: Tensor): Tensor => apart.get(t) ?? t;
    const slopes = differentiate(of(training.loss), [image, ...graph.weights.map((w) => w.tensor)]);
    const wanted = [
      { name: "logits", tensor: of(logits), limit: 1e-5 },
      ...[{ name: "grad_input/image", tensor: image }, ...graph.weights.map((w) => ({ name: `grad/${w.path}`, tensor: w.tensor }))]
        .map(({ name, tensor }) => ({ name, tensor: slopes.get(tensor) as Tensor, limit: 1e-4 })),
    ];
    const given = [image, ...graph.weights.map((w) => w.tensor), ...graph.states.map((s) => s.tensor)];
    const values = new Map(given.map((t, i) => [t, noise(sizeOf(t), i + 1)]));
    // A gradient by its definition alone would search all of space for every element.
    const solved = solve(wanted.slice(1).map((w) => w.tensor));
    const expected = wanted.map((w) => interpret(solved.get(w.tensor) ?? w.tensor, { values: new Map(values) }));

    const { plan } = compileGradients(training, device.profile);
    const session = await Session.create(device, plan);
    try {
      session.poison();
      const value = (t: Tensor): Float32Array => Float32Array.from(values.get(t) ?? []);
      session.write("image", value(image));
      for (const w of graph.weights) session.setWeights(w.path, value(w.tensor));
      for (const s of graph.states) session.setState(s.path, value(s.tensor));
      await session.run();
      for (const [i, want] of expected.entries()) {
        const { name, limit } = wanted[i] as (typeof wanted)[number];
        expect(distance(await session.read(name), want), name).toBeLessThan(limit);
      }
    } finally {
      session.destroy();
    }
  });

  test("stands where an encoder level keeps its width, but not at the deepest", () => {
    const net = `import { SEDyNNUNet } from "./nets/sedy_nnunet.net"
network Deep = SEDyNNUNet(width = [4, 8, 8, 8], kernel = [[3; 3]; 4], stride = [[2; 3]; 3], classes = 2)
`;
    const { graph } = instantiate(program("deep.net", { "deep.net": net }), "Deep", { inputs: [[2, 1, 16, 16, 16]], training: true });
    if (!graph) throw new Error("no graph");
    const table = parseNames(readFileSync("nets/sedy_nnunet.names", "utf8"), "nets/sedy_nnunet.names");
    const official = [...officialNames(table, graph.weights.map((w) => w.path)).values()];
    expect(official.length).toBe(graph.weights.length);
    const dynamic = official.filter((name) => name.endsWith("attention.fc.weight"));
    expect(dynamic.filter((name) => name.includes("context"))).toEqual([
      "conv_blocks_context.1.blocks.1.conv.attention.fc.weight",
      "conv_blocks_context.2.blocks.0.conv.attention.fc.weight",
      "conv_blocks_context.2.blocks.1.conv.attention.fc.weight",
      "conv_blocks_context.3.1.blocks.0.conv.attention.fc.weight",
    ]);
  });
});
