// Networks with div-attention on the device against stored runs of their definition.

import { afterAll, beforeAll, describe, it } from "vitest";
import { openDevice, type Device } from "../runtime/device.ts";
import { compareNetwork, isThere, text, type Config, type Parity, type Sidecar } from "./parity.ts";

function divUNETR(c: Config): string {
  const [layers, width, hidden, mlp, heads, scaling] = ["num_layers", "feature_size", "hidden_size", "mlp_dim", "num_heads", "scale"].map((key) => text(c[key]));
  return `DivUNETR(layers = ${layers}, width = ${width}, hidden = ${hidden}, mlp = ${mlp}, heads = ${heads}, scaling = ${scaling})`;
}

function divESPNet(c: Config): string {
  return `DivESPNet(stem = ${text(c["initial"])}, width = ${text((c["config"] as readonly number[]).slice(0, 3))}, scaling = ${text(c["scale"])})`;
}

const loss = (head: string, s: Sidecar): string => `bce_dice(${head}, label, gamma = ${text(s.config["loss_gamma"] ?? 0.5)})`;
const unetr = { file: "nets/div_unetr.net", network: "DivUNETR", of: divUNETR, names: "nets/div_unetr.names", loss };

const networks: readonly Parity[] = [
  { golden: "div-unetr-inv-sqrt", ...unetr },
  { golden: "div-unetr-mean-one", ...unetr },
  { golden: "div-espnet", file: "nets/div_espnet.net", network: "DivESPNet", of: divESPNet, names: "nets/div_espnet.names", loss },
];

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device?.close());

describe("networks with div-attention equal their definition", () => {
  for (const parity of networks) {
    it.skipIf(!isThere(parity.golden))(parity.golden, { timeout: 600_000 }, () => compareNetwork(device, parity));
  }
});
