// More whole networks on the device against stored runs of their published code.

import { afterAll, beforeAll, describe, it } from "vitest";
import { openDevice, type Device } from "../runtime/device.ts";
import { compareNetwork, isThere, text, type Config, type Parity } from "./parity.ts";

function dnet(c: Config): string {
  return `DNet(width = ${text(c["feat_size"])}, depth = ${text(c["depths"])}, drop = ${text(c["drop_path_rate"])})`;
}

function unetr(c: Config): string {
  const [layers, width, hidden, mlp, heads] = ["num_layers", "feature_size", "hidden_size", "mlp_dim", "num_heads"].map((key) => text(c[key]));
  return `UNETR(layers = ${layers}, width = ${width}, hidden = ${hidden}, mlp = ${mlp}, heads = ${heads})`;
}

function deformUxNet(c: Config): string {
  const wide = c["offset_mode"] === "paper";
  return `DeformUXNet(width = ${text(c["feat_size"])}, depth = ${text(c["depths"])}, hidden = ${text(c["hidden_size"])}, wide = ${wide})`;
}

const single = { head: () => "logits" } as const;

const deform = { file: "nets/deform_uxnet.net", network: "DeformUXNet", of: deformUxNet, names: "nets/deform_uxnet.names", ...single } as const;

const networks: readonly Parity[] = [
  { golden: "dnet", file: "nets/dnet.net", network: "DNet", of: dnet, names: "nets/dnet.names" },
  { golden: "unetr", file: "nets/unetr.net", network: "UNETR", of: unetr, names: "nets/unetr.names", ...single },
  { golden: "deform-uxnet-code", ...deform },
  { golden: "deform-uxnet-paper", ...deform },
];

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device?.close());

describe("more networks equal their published code", () => {
  for (const parity of networks) {
    it.skipIf(!isThere(parity.golden))(parity.golden, { timeout: 400_000 }, () => compareNetwork(device, parity));
  }
});
