// The fixed networks of the benchmark learn exactly as PyTorch's do: the first losses agree to 5 digits.

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { feed, numbersOf } from "../cli/bench/numbers.ts";
import { subjectOf } from "../cli/bench/subject.ts";
import { openDevice, type Device } from "../runtime/device.ts";
import { Session } from "../runtime/session.ts";

const folder = resolve(process.env["PEERS_DIR"] ?? "../shared/bench/peers");
const about = join(folder, "README.md");
const isThere = existsSync(about);
if (!isThere) console.warn(`skipped: no ${about}`);

/** PyTorch's losses of the first steps, as the folder's README states them. */
function statedLosses(net: string, edge: number): readonly number[] {
  const text = readFileSync(about, "utf8").replaceAll(/\s+/g, " ");
  const from = edge === 32 ? text.indexOf("(edge 32)") : text.indexOf(`Edge ${edge} (`);
  const [, list = ""] = new RegExp(`\`${net}\`(?: \\|)? ((?:\\d\\.\\d+(?:, )?)+)`).exec(text.slice(from)) ?? [];
  return list.split(", ").map(Number);
}

describe.skipIf(!isThere)("the first losses are PyTorch's", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device?.close());

  it.each([["seg", 1, 32], ["mednext", 32, 32], ["seg", 1, 48], ["mednext", 32, 48]] as const)("%s, %i channels, edge %i", async (net, channels, edge) => {
    const stated = statedLosses(net, edge);
    expect(stated.length).toBeGreaterThan(3);
    const { plan } = subjectOf(`${join(import.meta.dirname, "bench", "peers.net")}#${net}`, { input: [1, channels, edge, edge, edge], set: {}, predict: false, budget: Infinity }, device);
    const session = await Session.create(device, plan);
    try {
      feed(session, await numbersOf(folder, net, edge));
      const losses: number[] = [];
      for (const _ of stated) {
        await session.run();
        losses.push((await session.read("loss"))[0] ?? NaN);
      }
      // The README gives six digits, the last of them rounded.
      losses.forEach((loss, i) => expect(Math.abs(loss - (stated[i] ?? NaN))).toBeLessThan(1e-5 * loss));
    } finally {
      session.destroy();
    }
  });
});
