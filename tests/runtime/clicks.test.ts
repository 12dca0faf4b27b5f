// Clicks from flags and files: what is read, and what is said of those that cannot be used.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { locateClick } from "../../runtime/data/click.ts";
import { nearestAxes } from "../../runtime/data/geometry.ts";
import { encodeLabels } from "../../runtime/data/nifti.ts";
import { turnedShape } from "../../runtime/data/voxels.ts";
import type { Affine, StoredGrid } from "../../runtime/data/volume.ts";
import { withClicks, type GivenClicks } from "../../runtime/infer/clicks.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "netc-clicks-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cases = ["a", "b", "c"].map((name) => ({ name, images: [`${name}_0000.nii`], label: undefined, output: `${name}.nii` }));
const none: GivenClicks = { voxels: [], mm: [], file: undefined };
const use = { needed: true, target: undefined };
const written = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
/** What every case got, and what was said. */
function outcome(given: Partial<GivenClicks>, needed = true) {
  const { requests, errors } = withClicks(cases, { ...none, ...given }, { ...use, needed });
  return { got: Object.fromEntries(requests.map(({ name, click }) => [name, click && [click.unit, ...click.at]])), errors: errors.map(({ code, headline, facts }) => `${code} ${headline} ${facts.join(" ")}`) };
}

describe("clicks", () => {
  it("come from flags", () => {
    expect(outcome({ voxels: ["a=1,2,3", "b=0, 0, 0"], mm: ["c=-1.5,2e1,.5"] })).toEqual({ got: { a: ["voxel", 1, 2, 3], b: ["voxel", 0, 0, 0], c: ["mm", -1.5, 20, 0.5] }, errors: [] });
  });

  it.each([
    { what: "commas", name: "v.csv", text: "case,i,j,k\na,1,2,3\n\nb,4,5,6\nc,7,8,9\n", unit: "voxel" },
    { what: "semicolons, quotes, a mark of byte order and other line ends", name: "w.csv", text: '\uFEFF"Case";"X";"Y";"Z"\r\n"a";1;2;3\r\nb;4;5;6\r\nc;7;8;9', unit: "mm" },
    { what: "tabs", name: "t.tsv", text: "case\ti\tj\tk\na\t1\t2\t3\nb\t4\t5\t6\nc\t7\t8\t9", unit: "voxel" },
    { what: "JSON", name: "v.json", text: '{ "a": [1, 2, 3], "b": [4, 5, 6], "c": [7, 8, 9] }', unit: "voxel" },
    { what: "JSON in mm", name: "m.json", text: '{ "a": { "mm": [1, 2, 3] }, "b": { "mm": [4, 5, 6] }, "c": { "mm": [7, 8, 9] } }', unit: "mm" },
  ])("come from a file with $what", ({ name, text, unit }) => {
    expect(outcome({ file: written(name, text) })).toEqual({ got: { a: [unit, 1, 2, 3], b: [unit, 4, 5, 6], c: [unit, 7, 8, 9] }, errors: [] });
  });

  it("come from label maps, on a voxel of the target", () => {
    mkdirSync(join(folder, "labels"), { recursive: true });
    const affine: Affine = [[0, 0, -2, 5], [3, 0, 0, 6], [0, -4, 0, 7]];
    const grid: StoredGrid = { size: [4, 5, 6], affine, sources: nearestAxes(affine), sformCode: 1, qformCode: 0, version: 1 };
    const labels = Uint8Array.from({ length: 120 }, (_, n) => (n % 7 === 3 ? 2 : n % 3 === 0 ? 1 : 0));
    writeFileSync(join(folder, "labels", "a.nii"), encodeLabels(labels, grid, false));
    writeFileSync(join(folder, "labels", "b.nii"), encodeLabels(labels.map((value) => (value === 2 ? 0 : value)), grid, false));
    const { requests, errors } = withClicks(cases, { ...none, file: join(folder, "labels") }, { needed: true, target: 2 });
    expect(requests.map(({ name }) => name)).toEqual(["a"]);
    expect(errors.map(({ code, headline }) => [code, headline.includes("b.nii") || headline.startsWith("c ")])).toEqual([["N1083", true], ["N1083", true]]);
    const click = requests[0]?.click;
    const [z, y, x] = click === undefined ? [0, 0, 0] : locateClick(click, grid, "a");
    const [, height, width] = turnedShape(grid);
    expect(labels[(z * height + y) * width + x]).toBe(2);
  });

  it("that lack or cannot be used are told of; the other cases keep theirs", () => {
    const { got, errors } = outcome({ voxels: ["a=1,2", "d=1,2,3", "c=1,1,1"] });
    expect(got).toEqual({ c: ["voxel", 1, 1, 1] });
    expect(errors).toEqual([
      expect.stringMatching(/^N1081 `--click a=1,2` is no click: `a=1,2`.*CASE=i,j,k/),
      expect.stringMatching(/^N1081 there is no case d.*`--click d=1,2,3`.*a, b, c/),
      expect.stringMatching(/^N1083 b has no click/),
    ]);
  });

  it.each(["a=1.5,2,3", "a=1,2,x", "a=1,2,3,4", "a", "=1,2,3", "a=1,,3", "a=Infinity,0,0"])("%s is none", (text) => {
    const { got, errors } = outcome({ voxels: [text, "b=1,1,1", "c=1,1,1"] });
    expect(Object.keys(got)).toEqual(["b", "c"]);
    expect(errors[0]).toContain("N1081");
    expect(errors[0]).toContain(text);
  });

  it("of a file name its line; twice is too often", () => {
    const path = written("bad.csv", "case,i,j,k\na,1,2,3\nb,one,2,3\na,4,5,6\nc,1,1,1\n");
    const { got, errors } = outcome({ file: path });
    expect(got).toEqual({ c: ["voxel", 1, 1, 1] });
    expect(errors).toEqual([expect.stringContaining(`${path}, line 3`), expect.stringMatching(/a is clicked twice .*line 2.*line 4/)]);
  });

  it.each([["no header", "a,1,2,3"], ["broken JSON", '{ "a": [1, 2'], ["nothing", ""]])("a file with %s is one error", (_, text) => {
    const path = written("broken", text);
    expect(() => outcome({ file: path })).toThrow(`N1081: ${path} holds no clicks`);
  });

  it("are not asked for by networks that see none", () => {
    expect(outcome({}, false)).toEqual({ got: { a: undefined, b: undefined, c: undefined }, errors: [] });
  });
});
