// Whole networks on the device against stored runs of their published code: heads, loss, every gradient.

import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { officialNames, parseNames, prepareTraining } from "../compiler/front/front.ts";
import { compileGradients } from "../compiler/pipeline.ts";
import { openDevice, type Device } from "../runtime/device.ts";
import { Session } from "../runtime/session.ts";
import { program } from "./front/library.ts";
import { stored, type Stored } from "./front/stored.ts";

const folder = process.env["GOLDEN_DIR"] ?? "../shared/golden";

/** The parts of a sidecar that a comparison needs. */
interface Sidecar {
  readonly config: Readonly<Record<string, unknown>>;
  readonly input_shape: readonly number[];
  readonly output_shapes: readonly (readonly number[])[];
  readonly loss: { readonly head_weights: readonly number[]; readonly batch_dice: boolean; readonly total: number };
  readonly fp32_error_of_reference: { readonly outputs: readonly number[]; readonly grad_input: number; readonly worst_param_grads: readonly { readonly name: string; readonly rel_l2: number }[] };
  readonly params_with_zero_gradient?: readonly string[];
  readonly params_with_vanishing_gradient?: readonly string[];
  readonly largest_param_grad_norm: number;
}

/** How a stored configuration is said in the language, and which table names its weights. */
interface Family {
  readonly names: string;
  readonly of: (config: Readonly<Record<string, unknown>>) => string;
}

const text = (v: unknown): string => JSON.stringify(v);
const families: Readonly<Record<string, Family>> = {
  mednext: {
    names: "nets/mednext.names",
    of: (c) => {
      const ratio = typeof c["exp_r"] === "number" ? `[${c["exp_r"]}; 9]` : text(c["exp_r"]);
      return `MedNeXt(width = ${text(c["n_channels"])}, kernel = ${text(c["kernel_size"])}, ratio = ${ratio}, depth = ${text(c["block_counts"])})`;
    },
  },
  nnunet: {
    names: "nets/nnunet.names",
    of: (c) => `NNUNet(width = ${text(c["base_num_features"])}, cap = ${text(c["max_num_features"])}, kernels = ${text(c["conv_kernel_sizes"])}, strides = ${text(c["pool_op_kernel_sizes"])})`,
  },
};
const networks: readonly { readonly golden: string; readonly family: string; readonly file: string; readonly network: string }[] = [
  { golden: "mednext-k3", family: "mednext", file: "nets/mednext.net", network: "MedNeXt" },
  { golden: "mednext-k5", family: "mednext", file: "nets/mednext.net", network: "MedNeXt" },
  { golden: "nnunet", family: "nnunet", file: "nets/nnunet.net", network: "NNUNet" },
];

const norm = (v: Iterable<number>): number => {
  let sum = 0;
  for (const x of v) sum += x * x;
  return Math.sqrt(sum);
};
function distance(got: Float32Array, wanted: Float64Array): number {
  if (got.length !== wanted.length) return Infinity;
  let sum = 0;
  for (let i = 0; i < wanted.length; i++) sum += ((got[i] as number) - (wanted[i] as number)) ** 2;
  return Math.sqrt(sum);
}

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device?.close());

describe("networks equal their published code", () => {
  for (const { golden, family, file, network } of networks) {
    const there = existsSync(`${folder}/${golden}.json`);
    if (!there) console.warn(`skipped: no ${golden} in ${folder}`);
    it.skipIf(!there)(golden, { timeout: 400_000 }, async () => {
      const sidecar = JSON.parse(readFileSync(`${folder}/${golden}.json`, "utf8")) as Sidecar;
      const tensors = stored(`${folder}/${golden}.safetensors`);
      const value = (name: string): Stored => {
        const found = tensors.get(name);
        if (!found) throw new Error(`${golden} has no ${name}`);
        return found;
      };
      const { names, of } = families[family] as Family;
      const heads = sidecar.loss.head_weights.flatMap((w, i) => (w === 0 ? [] : [`${w} * dice_ce(logits[${i}], label, batch = ${sidecar.loss.batch_dice})`]));
      const source = `import { ${network} } from "./${file}"
train golden for ${of(sidecar.config)} {
  patch = ${text(sidecar.input_shape.slice(2))}
  batch = ${sidecar.input_shape[0]}
  loss = ${heads.join(" + ")}
  optimizer = sgd(lr = 0.01)
}`;
      const { training, findings } = prepareTraining(program("golden.net", { "golden.net": source }), "golden", {
        channels: sidecar.input_shape[1] as number, classes: sidecar.output_shapes[0]?.[1] as number,
      });
      expect(findings.filter((f) => f.code.startsWith("N"))).toEqual([]);
      if (!training) throw new Error("no graph");
      const { plan } = compileGradients(training, device.profile);
      const session = await Session.create(device, plan);
      try {
        session.poison();
        const official = officialNames(parseNames(readFileSync(names, "utf8"), names), plan.weights.map((w) => w.name));
        const unread = new Set([...tensors.keys()].filter((k) => k.startsWith("param/")).map((k) => k.slice(6)));
        for (const name of sidecar.params_with_zero_gradient ?? []) unread.delete(name);
        for (const w of plan.weights) {
          const name = official.get(w.name) as string;
          expect(value(`param/${name}`).shape.reduce((a, b) => a * b, 1), name).toBe(w.slice.bytes / 4);
          session.setWeights(w.name, Float32Array.from(value(`param/${name}`).values));
          unread.delete(name);
        }
        expect([...unread]).toEqual([]);
        session.write("image", Float32Array.from(value("input").values));
        session.write("label", Float32Array.from(value("target.0").values));
        await session.run();

        for (let i = 0; i < sidecar.output_shapes.length; i++) {
          const name = `logits[${i}]`;
          if (!plan.outputs.some((o) => o.name === name)) continue;
          const wanted = value(`out.${i}`).values;
          const allowed = Math.max(1e-5, 10 * (sidecar.fp32_error_of_reference.outputs[i] as number));
          expect(distance(await session.read(name), wanted) / norm(wanted), name).toBeLessThan(allowed);
        }
        expect((await session.read("loss"))[0]).toBeCloseTo(sidecar.loss.total, 4);
        const wantedInput = value("grad_input").values;
        const inputError = distance(await session.read("grad_input/image"), wantedInput) / norm(wantedInput);
        expect(inputError, "grad_input").toBeLessThan(Math.max(1e-4, 10 * sidecar.fp32_error_of_reference.grad_input));
        const recorded = new Map(sidecar.fp32_error_of_reference.worst_param_grads.map((w) => [w.name, w.rel_l2]));
        for (const w of plan.weights) {
          const name = official.get(w.name) as string;
          const wanted = value(`grad/${name}`).values;
          const rtol = Math.max(1e-4, 10 * (recorded.get(name) ?? 0));
          const off = distance(await session.read(`grad/${w.name}`), wanted);
          expect(off, `grad/${name} (${w.name})`).toBeLessThanOrEqual(rtol * norm(wanted) + 1e-6 * sidecar.largest_param_grad_norm);
        }
      } finally {
        session.destroy();
      }
    });
  }
});
