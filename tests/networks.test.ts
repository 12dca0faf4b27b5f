// Whole networks on the device against stored runs of their published code: heads, loss, every gradient.

import { afterAll, beforeAll, describe, it } from "vitest";
import { openDevice, type Device } from "../runtime/device.ts";
import { compareNetwork, isThere, text, type Config, type Parity } from "./parity.ts";

function mednext(c: Config): string {
  const ratio = typeof c["exp_r"] === "number" ? `[${c["exp_r"]}; 9]` : text(c["exp_r"]);
  return `MedNeXt(width = ${text(c["n_channels"])}, kernel = ${text(c["kernel_size"])}, ratio = ${ratio}, depth = ${text(c["block_counts"])})`;
}

function nnunet(c: Config): string {
  return `NNUNet(width = ${text(c["base_num_features"])}, cap = ${text(c["max_num_features"])}, kernels = ${text(c["conv_kernel_sizes"])}, strides = ${text(c["pool_op_kernel_sizes"])})`;
}

const networks: readonly Parity[] = [
  { golden: "mednext-k3", file: "nets/mednext.net", network: "MedNeXt", of: mednext, names: "nets/mednext.names" },
  { golden: "mednext-k5", file: "nets/mednext.net", network: "MedNeXt", of: mednext, names: "nets/mednext.names" },
  { golden: "nnunet", file: "nets/nnunet.net", network: "NNUNet", of: nnunet, names: "nets/nnunet.names" },
];

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device?.close());

describe("networks equal their published code", () => {
  for (const parity of networks) {
    it.skipIf(!isThere(parity.golden))(parity.golden, { timeout: 400_000 }, () => compareNetwork(device, parity));
  }
});
