// `netc weights`: official names to ours and back, whatever the file is like, and all that does not fit told at once.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadFile } from "../../cli/compile.ts";
import { copySources, version, writeRecord } from "../../cli/run-folder.ts";
import { readVolume } from "../../runtime/data/image.ts";
import { encodeTensors, readTensors, type Writable } from "../../runtime/safetensors.ts";
import { saveCheckpoint } from "../../runtime/train/checkpoint.ts";
import { readStart } from "../../runtime/weights/start.ts";
import { netc } from "../train/cli.ts";

const text = `
block Twice(x: [N, C, *S]) -> [N, C, *S] {
  shared mix = Conv(C, 3)
  return x |> mix |> relu |> mix
}

network Little(image: [N, M, *S], classes: int, width: int = 2) {
  first = image |> Conv(width) |> BatchNorm as norm |> Twice as twice
  out logits[0] = first |> Conv(classes)
  out logits[1] = first |> Conv(classes, 3) when training
}

train quick for Little {
  patch = [32, 48, 48]
  loss = dice_ce(logits[0], label, batch = false)
  optimizer = sgd(lr = 0.1)
}
`;
const names = `
kind conv weight=weight, bias=offset
kind flat weight=weight:_x*, bias=offset
kind bn weight=gain, bias=bias, running_mean=seen_mu, running_var=seen_var
flat stem = first.Conv
bn bn = norm
conv mix.0 = twice.mix
also conv mix.1 = twice.mix
conv head{i} = logits[{i}]
`;

const image = join(import.meta.dirname, "..", "data", "Dataset001_TotalSegSample", "imagesTs", "ct_007_0000.nii.gz");
let folder: string;
const at = (...parts: readonly string[]): string => join(folder, ...parts);
/** An official state dictionary of `Little`; every value of it is another one. */
function official(change: (tensors: Map<string, Writable>) => void = () => undefined, width = 2): Map<string, Writable> {
  let value = 0;
  const some = (...shape: readonly number[]): Writable => ({ shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => ((value += 0.25) % 0.75 === 0 ? -value : value)) });
  const tensors = new Map<string, Writable>([["stem.weight", some(width, 1)], ["stem.bias", some(width)]]);
  for (const name of ["weight", "bias", "running_mean", "running_var"]) tensors.set(`bn.${name}`, some(width));
  tensors.set("bn.running_var", { shape: [width], data: Float32Array.from({ length: width }, (_, i) => 100 + i) });
  tensors.set("bn.num_batches_tracked", { shape: [], data: new BigInt64Array([7n]) });
  const mix = { weight: some(width, width, 3, 3, 3), bias: some(width) };
  for (const place of [0, 1]) for (const name of ["weight", "bias"] as const) tensors.set(`mix.${place}.${name}`, mix[name]);
  for (const [i, kernel] of [1, 3].entries()) {
    tensors.set(`head${i}.weight`, some(3, width, kernel, kernel, kernel));
    tensors.set(`head${i}.bias`, some(3));
  }
  change(tensors);
  return tensors;
}
function file(name: string, tensors: ReadonlyMap<string, Writable>): string {
  writeFileSync(at(name), encodeTensors(tensors));
  return at(name);
}
const weights = (from: string, out: string, ...more: readonly string[]) =>
  netc(["weights", `${at("little.net")}#Little`, "--set", "classes=3", "--from", from, "-o", at(out), ...more]);
const valuesIn = (path: string): Record<string, unknown> => Object.fromEntries([...readTensors(path).tensors].map(([name, { shape, data }]) => [name, { shape, data: [...data].map(Number) }]));

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "netc-weights-"));
  writeFileSync(at("little.net"), text);
  writeFileSync(at("little.names"), names);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("netc weights", () => {
  it("brings official weights to our names and shapes, and back to what they were", async () => {
    const from = file("official.safetensors", official());
    const there = await weights(from, "ours.safetensors");
    expect(there).toEqual({ code: 0, err: "", out: `12 tensors of Little with official names from ${from}, as 12 with netc's names in ${at("ours.safetensors")}` });
    const ours = readTensors(at("ours.safetensors")).tensors;
    expect(ours.get("first.Conv.weight")).toMatchObject({ shape: [2, 1, 1, 1, 1], data: new Float32Array([0.25, 0.5]) });
    expect([...ours.keys()].sort()).toContain("norm.seen_mu");
    expect((await weights(at("ours.safetensors"), "back.safetensors")).out).toContain("with netc's names");
    const wanted = valuesIn(from);
    expect(valuesIn(at("back.safetensors"))).toEqual({ ...wanted, "bn.num_batches_tracked": { shape: [], data: [0] } });
    // What a run that begins with them demands: every tensor, and no other.
    expect(readStart({ how: "load", from: at("ours.safetensors") }, [...ours].map(([name, { shape }]) => ({ name, shape })), 3).tensors.size).toBe(12);
  });

  it("takes a prefix off, and lets the heads of training and one of two copies lack", async () => {
    const bare = official((t) => ["head1.weight", "head1.bias", "mix.0.weight", "bn.num_batches_tracked"].forEach((name) => t.delete(name)));
    const from = file("prefixed.safetensors", new Map([...bare].map(([name, tensor]) => [`module._orig_mod.${name}`, tensor])));
    const { code, err } = await weights(from, "bare.safetensors");
    expect(code).toBe(0);
    expect(err).toContain("All names begin with `module._orig_mod.`; that was taken off.");
    expect(err).toContain("`logits[1].weight`, `logits[1].offset` lack: only training needs them.");
    expect(readTensors(at("bare.safetensors")).tensors.size).toBe(10);
    expect(readTensors(at("bare.safetensors")).tensors.get("twice.mix.weight")?.shape).toEqual([2, 2, 3, 3, 3]);
  });

  it("makes float32 of half and double precision, and says so", async () => {
    const plain = encodeTensors(official());
    // 1.5 in the three formats, in the place of `head0.bias`.
    for (const [dtype, bytes] of [["F16", [0, 0x3e]], ["BF16", [0xc0, 0x3f]], ["F64", [0, 0, 0, 0, 0, 0, 0xf8, 0x3f]]] as const) {
      const length = Number(new DataView(plain.buffer).getBigUint64(0, true));
      const header = JSON.parse(new TextDecoder().decode(plain.subarray(8, 8 + length))) as Record<string, { dtype: string; data_offsets: number[] }>;
      const body = plain.subarray(8 + length);
      header["head0.bias"] = { ...header["head0.bias"], dtype, data_offsets: [body.length, body.length + 3 * bytes.length] };
      const head = new TextEncoder().encode(JSON.stringify(header));
      const size = new Uint8Array(8);
      new DataView(size.buffer).setBigUint64(0, BigInt(head.length), true);
      writeFileSync(at("typed.safetensors"), Buffer.concat([size, head, body, ...[0, 1, 2].map(() => Uint8Array.from(bytes))]));
      const { code, err } = await weights(at("typed.safetensors"), "typed-ours.safetensors");
      expect({ code, err }).toEqual({ code: 0, err: `1 tensor of ${dtype} became float32.` });
      expect(readTensors(at("typed-ours.safetensors")).tensors.get("logits[0].offset")).toMatchObject({ element: "F32", data: new Float32Array([1.5, 1.5, 1.5]) });
    }
  });

  it("tells at once what lacks, has no place or has another shape, and writes nothing", async () => {
    const from = file("wrong.safetensors", official((t) => {
      t.set("stem.weigth", t.get("stem.weight") as Writable);
      t.delete("stem.weight");
      t.set("bn.bias", { shape: [1, 2], data: new Float32Array(2) });
    }));
    const { code, err, out } = await weights(from, "never.safetensors");
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain("N1042");
    expect(err).toContain("`bn.bias` has another shape: the network has [2], the file [1, 2].");
    expect(err).toContain("`stem.weight` [2, 1] is not in the file, which has `stem.weigth`.");
    expect(err).toContain("`stem.weigth` [2, 1] of the file has no place in the network.");
    expect(existsSync(at("never.safetensors"))).toBe(false);
  });

  it("leaves out what the network does not have only when told to", async () => {
    const from = file("more.safetensors", official((t) => t.set("teacher.weight", { shape: [1], data: new Float32Array(1) })));
    expect((await weights(from, "less.safetensors")).code).toBe(1);
    const lenient = await weights(from, "less.safetensors", "--ignore-extra");
    expect([lenient.code, lenient.err]).toEqual([0, "`teacher.weight` of the file left out."]);
  });

  it("refuses copies of a shared module that differ, PyTorch's own files, and networks without a table", async () => {
    const unlike = file("unlike.safetensors", official((t) => t.set("mix.1.bias", { shape: [2], data: new Float32Array(2) })));
    expect((await weights(unlike, "x.safetensors")).err).toContain("N1045");
    writeFileSync(at("model.pth"), Buffer.from("PK\u0003\u0004 and so on"));
    expect((await weights(at("model.pth"), "x.safetensors")).err).toContain("N1044");
    writeFileSync(at("alone.net"), text);
    const alone = await netc(["weights", `${at("alone.net")}#Little`, "--set", "classes=3", "--from", at("ours.safetensors"), "-o", at("x.safetensors")]);
    expect(alone.err).toContain("N1046");
    writeFileSync(at("half.names"), names.replace(/^conv head.*$/m, ""));
    const half = await weights(at("ours.safetensors"), "x.safetensors", "--table", at("half.names"));
    expect(half.err).toContain("has no rule for 4 of 12 tensors of the network");
    expect(half.err).toContain("`logits[0].weight`");
  });

  it("knows the network of a run's folder", async () => {
    const ours = readTensors(at("ours.safetensors")).tensors;
    const tensors = new Map([...ours].map(([name, { shape, data }]) => [name, { shape, data: Float32Array.from(data, Number) }]));
    saveCheckpoint(at("run"), "latest", { tensors: new Map([...tensors, ["memory/m/first.Conv.weight", { shape: [2], data: new Float32Array(2) }]]), meta: {} });
    writeRecord(at("run"), {
      format: 1, netc: version(), file: at("little.net"), run: "quick", network: "Little", asked: { set: {} }, channels: ["CT"], classes: ["a", "b", "c"],
      patch: [8, 8, 8], window: [8, 8, 8], overlap: 0.5, batch: 2, seed: 0, total: 1, steps: 1, parameters: 1, data: { folder: "", training: [], heldOut: [] },
      fingerprint: { channels: [], spacing: [1, 1, 1], shape: [8, 8, 8] }, sources: copySources(at("run"), loadFile(at("little.net")).texts),
    });
    const { code, err } = await netc(["weights", "--from", at("run"), "-o", at("published.safetensors")]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(valuesIn(at("published.safetensors"))).toEqual(valuesIn(at("back.safetensors")));
  });

  it("writes what can be predicted with, and so can the official file itself", { timeout: 60_000 }, async () => {
    const predict = (weights: string, out: string, ...more: readonly string[]) =>
      netc(["predict", "--net", `${at("little.net")}#quick`, "--weights", at(weights), "--set", "classes=3", "--overlap", "0", image, "-o", at(out), ...more]);
    const [direct, renamed] = [await predict("official.safetensors", "direct"), await predict("ours.safetensors", "renamed")];
    for (const { code, err } of [direct, renamed]) expect([code, err]).toEqual([0, expect.stringContaining("standardised by its own mean")]);
    const labels = (folder: string) => readVolume(at(folder, "ct_007.nii.gz")).volume;
    expect(labels("renamed").data).toEqual(labels("direct").data);
    expect(new Set(labels("direct").data).size).toBeGreaterThan(1);
    expect((await predict("wrong.safetensors", "none")).err).toContain("N1042");
    expect(await predict("ours.safetensors", "none", "--run", at("run"))).toMatchObject({ code: 2, err: expect.stringContaining("exclude each other") });
    expect(await netc(["predict", "--net", at("little.net"), image, "-o", at("none")])).toMatchObject({ code: 2, err: expect.stringContaining("go together") });
  });

  it("names the line of a table that it cannot read", async () => {
    for (const line of ["kind odd weight=weight:_xy", "kind odd weight=weight:*x...", "also nothing a = b"]) {
      writeFileSync(at("odd.names"), `${names}${line}\n`);
      const odd = await weights(at("ours.safetensors"), "x.safetensors", "--table", at("odd.names"));
      expect(odd).toMatchObject({ code: 1, err: expect.stringContaining("N0703") });
      expect(odd.err).toContain(line);
    }
  });

  it("is told what it needs", async () => {
    expect(await netc(["weights", "--from", at("ours.safetensors"), "-o", at("x.safetensors")])).toMatchObject({ code: 2, err: expect.stringContaining("FILE#Net") });
    expect(await weights(at("nothing.safetensors"), "x.safetensors")).toMatchObject({ code: 1, err: expect.stringContaining("N1043") });
  });
});
