// Networks with dynamic kernels, and their host, on the device against stored runs of their published code.

import { afterAll, beforeAll, describe, it } from "vitest";
import { openDevice, type Device } from "../runtime/device.ts";
import { compareNetwork, isThere, text, type Config, type Parity } from "./parity.ts";

function sedyNNUNet(c: Config): string {
  const width = (c["conv_kernel_sizes"] as readonly unknown[]).map((_, i) => Math.min((c["base_num_features"] as number) * 2 ** i, 320));
  return `SEDyNNUNet(width = ${text(width)}, kernel = ${text(c["conv_kernel_sizes"])}, stride = ${text(c["pool_op_kernel_sizes"])}, kernels = ${text(c["kernel_num"])}, scope = ${text(c["switch_scope"])})`;
}

const sedy = { file: "nets/sedy_nnunet.net", network: "SEDyNNUNet", of: sedyNNUNet, names: "nets/sedy_nnunet.names", dials: (c: Config) => ({ temperature: c["temperature"] as number }) };

function espnet3D(c: Config): string {
  return `ESPNet3D(stem = ${text(c["initial"])}, width = ${text((c["config"] as readonly number[]).slice(0, 3))}, depth = ${text(c["reps"])}, scales = ${text(c["psp_scales"])})`;
}

function sedyUNETR(c: Config): string {
  const [layers, width, hidden, mlp, heads, kernels] = ["num_layers", "feature_size", "hidden_size", "mlp_dim", "num_heads", "kernel_num"].map((key) => text(c[key]));
  return `SEDyUNETR(layers = ${layers}, width = ${width}, hidden = ${hidden}, mlp = ${mlp}, heads = ${heads}, kernels = ${kernels}, generated = ${c["switch"] === "generated"})`;
}

const transformer = {
  file: "nets/sedy_unetr.net", network: "SEDyUNETR", of: sedyUNETR, names: "nets/sedy_unetr.names",
  head: () => "logits", dials: (c: Config) => ({ temperature: c["temperature"] as number }),
};

const networks: readonly Parity[] = [
  { golden: "sedy-nnunet-per-sample-T12", ...sedy },
  { golden: "sedy-nnunet-first-sample", ...sedy },
  { golden: "sedy-unetr-generated", ...transformer },
  { golden: "sedy-unetr-ones", ...transformer },
  {
    golden: "espnet3d", file: "nets/espnet3d.net", network: "ESPNet3D", of: espnet3D, names: "nets/espnet3d.names",
    head: (i) => (i === 0 ? "logits" : `logits[${i}]`), loss: (h, s) => `dice_ce(${h}, label, batch = ${s.loss.batch_dice})`,
  },
];

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device?.close());

describe("dynamic networks equal their published code", () => {
  for (const parity of networks) {
    it.skipIf(!isThere(parity.golden))(parity.golden, { timeout: 900_000 }, () => compareNetwork(device, parity));
  }
});
