// `netc train`: runs, stops, goes on exactly, and refuses what would lose something.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadCheckpoint } from "../../runtime/train/checkpoint.ts";
import { netc } from "./cli.ts";

const root = join(import.meta.dirname, "..", "..");
const tiny = join(root, "tests", "train", "nets", "tiny.net");
const data = join(root, "tests", "data", "Dataset001_TotalSegSample");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "netc-train-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const train = (out: string, ...more: readonly string[]) => netc(["train", tiny, "--data", data, "--out", join(folder, out), ...more]);

/** Stops a run when its progress line says that a step is done, as Ctrl-C would. */
const stopAt = (step: number, of: number) => {
  let asked = false;
  return (text: string): void => {
    if (asked || !text.startsWith(`step ${step}/${of} `)) return;
    asked = true;
    process.emit("SIGINT");
  };
};

const entries = (out: string): Record<string, unknown>[] => readFileSync(join(folder, out, "log.jsonl"), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);

/** Everything of a run that must not depend on how often it was stopped. */
function kept(out: string, which: "latest" | "best" | "final"): Record<string, unknown> {
  const { tensors, meta } = loadCheckpoint(join(folder, out), which);
  return { ...meta, tensors: Object.fromEntries([...tensors].sort().map(([name, { data: values }]) => [name, Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("hex")])) };
}

describe("a run", () => {
  it("goes on after a stop as if nothing had happened, to the last bit", async () => {
    // What is drawn in a step is drawn again.
    const augment = ["--set", "augment=[rotate(30, chance = 0.7), noise(1, chance = 0.7)]"];
    const whole = await train("whole", "--steps", "4", ...augment);
    expect(whole.err).toContain("Tiny, 150 parameters, 6 classes");
    expect(whole.code).toBe(0);
    expect(whole.out).toMatch(/^trained 4 steps/);

    const stopped = await netc(["train", tiny, "--data", data, "--out", join(folder, "parts"), "--steps", "4", ...augment], stopAt(2, 4));
    expect(stopped.code).toBe(130);
    expect(stopped.out).toMatch(/^stopped after step 2 of 4/);
    expect(loadCheckpoint(join(folder, "parts"), "latest").meta["step"]).toBe(2);

    // What was logged after the checkpoint is done again.
    writeFileSync(join(folder, "parts", "log.jsonl"), `${readFileSync(join(folder, "parts", "log.jsonl"), "utf8")}{"step":3,"loss":99}\n`);
    const resumed = await train("parts", "--resume");
    expect(resumed.err).not.toContain("W1071");
    expect(resumed.code).toBe(0);

    expect(kept("parts", "latest")).toEqual(kept("whole", "latest"));
    expect(kept("parts", "best")).toEqual(kept("whole", "best"));
    const plain = (out: string) => entries(out).map(({ seconds: _, time: __, wait: ___, ...rest }) => rest).filter((entry) => "loss" in entry);
    expect(plain("parts")).toEqual(plain("whole"));
    expect(plain("whole").map(({ step }) => step)).toEqual([1, 2, 3, 4]);

    // Different steps were really taken: running statistics, memories and weights all moved.
    const first = loadCheckpoint(join(folder, "whole"), "latest").tensors;
    const names = [...first.keys()];
    expect(names.some((name) => name.startsWith("memory/m/"))).toBe(true);
    expect(names.some((name) => name.includes("seen_var"))).toBe(true);
    for (const name of names.filter((one) => one.includes("seen_mu") || one.startsWith("memory/v/"))) expect(first.get(name)?.data.some((value) => value !== 0), name).toBe(true);
  });

  it("leaves all that a prediction needs", () => {
    expect(readdirSync(join(folder, "whole")).filter((name) => !name.startsWith("events.")).sort()).toEqual([
      "checkpoint_best.safetensors", "checkpoint_final.safetensors", "checkpoint_latest.safetensors", "log.jsonl", "plan.json", "progress.png", "report.html", "run.json", "slices.json", "source", "training.log",
    ]);
    expect(kept("whole", "final")).toEqual(kept("whole", "latest"));
    const record = JSON.parse(readFileSync(join(folder, "whole", "run.json"), "utf8")) as Record<string, unknown>;
    expect(record).toMatchObject({
      format: 1, network: "Tiny", run: "tiny", channels: ["CT"], classes: ["background", "bone", "muscle", "liver", "bowel", "kidney"],
      patch: [8, 12, 16], batch: 2, total: 4, steps: 2, seed: 0, parameters: 150,
    });
    expect(readFileSync(join(folder, "whole", "source", "tiny.net"), "utf8")).toBe(readFileSync(tiny, "utf8"));
    expect(existsSync(join(folder, "whole", "source", "std", "layers.net"))).toBe(true);
  });

  it("follows its schedule over the steps it was given", () => {
    const rates = entries("whole").flatMap(({ rate }) => (typeof rate === "number" ? [rate] : []));
    const poly = (epoch: number): number => 1e-2 * (1 - epoch / 2) ** 0.9;
    [poly(0), poly(0), poly(1), poly(1)].forEach((rate, n) => expect(rates[n]).toBeCloseTo(rate, 8));
  });

  it("begins elsewhere with another seed, and at the same place with the same one", async () => {
    await train("seed-7", "--steps", "1", "--seed", "7", "--validate-every", "0");
    await train("seed-7-again", "--steps", "1", "--seed", "7", "--validate-every", "0");
    expect(kept("seed-7-again", "latest")).toEqual(kept("seed-7", "latest"));
    expect(entries("seed-7")[0]?.["loss"]).not.toBe(entries("whole")[0]?.["loss"]);
    expect(existsSync(join(folder, "seed-7", "checkpoint_best.safetensors"))).toBe(false);
  });

  it("with nothing left to do says so", async () => {
    const { code, out } = await train("whole", "--resume");
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining("4 of 4 steps") as string });
  });

  it("warns when it goes on differently, and holds cases out when asked", async () => {
    const { code, err } = await train("seed-7", "--resume", "--steps", "2", "--hold-out", "2", "--set", "accumulate=2");
    expect(code).toBe(0);
    expect(err).toContain("W1071");
    expect(err).toContain("the number of steps was 1 and is 2");
    expect(err).toMatch(/4 training cases, 2 held out/);
    expect(err).toContain("2 per step, in 2 parts");
  });
});

describe("what would go wrong", () => {
  it.each<{ what: string; argv: () => readonly string[]; says: readonly string[] }>([
    { what: "a folder that holds a run", argv: () => ["train", tiny, "--data", data, "--out", join(folder, "whole")], says: ["N1062", "--resume"] },
    { what: "nothing to resume", argv: () => ["train", tiny, "--data", data, "--out", join(folder, "nowhere"), "--resume"], says: ["N1063", "nowhere"] },
    { what: "a folder that cannot be written", argv: () => ["train", tiny, "--data", data, "--out", join(tiny, "run")], says: ["N1007", "tiny.net"] },
    { what: "no data set", argv: () => ["train", tiny, "--data", join(folder, "no-data"), "--out", join(folder, "new")], says: ["N1006", "no-data"] },
    { what: "a folder without dataset.json", argv: () => ["train", tiny, "--data", join(folder, "whole"), "--out", join(folder, "new")], says: ["N1011", "dataset.json"] },
    { what: "a patch that the network does not take", argv: () => ["train", tiny, "--data", data, "--out", join(folder, "new"), "--patch", "8,12,18"], says: ["N0402", "18"] },
    { what: "a flat patch", argv: () => ["train", tiny, "--data", data, "--out", join(folder, "new"), "--patch", "12,16"], says: ["N1066", "[12, 16]"] },
    { what: "fewer classes than the data has", argv: () => ["train", tiny, "--data", data, "--out", join(folder, "new"), "--set", "classes=3"], says: ["N0802", "3 classes"] },
    { what: "a file that is not there", argv: () => ["train", "missing.net", "--data", data, "--out", join(folder, "new")], says: ["missing.net"] },
    { what: "a run that is not there", argv: () => ["train", tiny, "tinny", "--data", data, "--out", join(folder, "new")], says: ["N0805", "`tiny`"] },
  ])("$what is told of in one message", async ({ argv, says }) => {
    const before = existsSync(join(folder, "whole")) ? kept("whole", "latest") : undefined;
    const { code, err } = await netc(argv());
    expect(code).toBe(1);
    for (const part of says) expect(err).toContain(part);
    expect(err).not.toMatch(/\n\s+at /);
    expect(existsSync(join(folder, "new"))).toBe(false);
    expect(before && kept("whole", "latest")).toEqual(before);
  });

  it("needs its two folders named", async () => {
    expect((await netc(["train", tiny, "--out", join(folder, "new")])).code).toBe(2);
    expect((await netc(["train", tiny, "--data", data])).code).toBe(2);
  });

  it("goes not on with the weights of another network", async () => {
    const before = kept("whole", "latest");
    const { code, err } = await train("whole", "--resume", "--steps", "6", "--set", "width=5");
    expect(code).toBe(1);
    expect(err).toContain("N1042");
    expect(err).toMatch(/the network has \[5, 1, 3, 3, 3\], the file \[4, 1, 3, 3, 3\]/);
    expect(kept("whole", "latest")).toEqual(before);
  });

  it("stops at a loss that is no number and keeps no such weights", async () => {
    const { code, err } = await netc(["train", tiny, "wild", "--data", data, "--out", join(folder, "wild"), "--steps", "5"]);
    expect(code).toBe(1);
    expect(err).toContain("N1061");
    expect(err).toMatch(/step \d/);
    expect(existsSync(join(folder, "wild", "checkpoint_latest.safetensors"))).toBe(false);

    const again = await netc(["train", tiny, "tiny", "--data", data, "--out", join(folder, "wild"), "--steps", "1", "--resume"]);
    expect(again.code).toBe(0);
    expect(again.err).toContain("the run begins again");
    expect(entries("wild").flatMap(({ step, loss }) => (loss === undefined ? [] : [step]))).toEqual([1]);
  });
});
