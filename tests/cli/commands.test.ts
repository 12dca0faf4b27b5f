// The commands as they are typed: what they print, where, and how they end.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { commands } from "../../cli/commands.ts";
import { dispatch } from "../../cli/dispatch.ts";
import { terminalOn } from "../../cli/terminal.ts";

async function netc(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const terminal = terminalOn({ write: (text) => (out += text) }, { write: (text) => (err += text) }, {});
  const code = await dispatch(argv, terminal);
  return { code, out, err };
}

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "netc-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("netc", () => {
  it("tells its commands and its version", async () => {
    const help = await netc("--help");
    expect(help.code).toBe(0);
    for (const { name } of commands) expect(help.out).toContain(name);
    expect(await netc("--version")).toMatchObject({ code: 0, out: expect.stringMatching(/^netc \d+\.\d+\.\d+\n$/) });
    expect(await netc()).toMatchObject({ code: 2, out: "", err: help.out });
  });

  it("suggests the command or flag that was meant", async () => {
    expect(await netc("chekc")).toMatchObject({ code: 2, out: "", err: expect.stringContaining("did you mean `check`?") });
    expect(await netc("fmt", "--chek", "x")).toMatchObject({ code: 2, err: expect.stringContaining("did you mean `--check`?") });
    expect(await netc("check")).toMatchObject({ code: 2, err: expect.stringContaining("FILE is missing") });
  });

  it.each(commands.map(({ name }) => name))("%s has help that names every flag, and says the same with `help`", async (name) => {
    const help = await netc(name, "--help");
    expect(help).toMatchObject({ code: 0, err: "" });
    expect(help.out).toMatch(new RegExp(`^usage: netc ${name}`));
    expect(help.out).toContain("--help");
    expect(await netc("help", name)).toEqual(help);
  });
});

describe("check", () => {
  it("ends with 0 and a word when nothing is wrong", async () => {
    expect(await netc("check", file("a.net", "fn f(x) = x\n"))).toEqual({ code: 0, out: "nothing is wrong\n", err: "" });
  });

  it("tells what is wrong on stderr and ends with 1", async () => {
    const path = file("a.net", "fn f(x) := x\n");
    const { code, out, err } = await netc("check", path);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain(`${path}:1:9`);
    expect(err).toContain("1 error\n");
  });

  it("gives machines JSON on stdout", async () => {
    const { code, out } = await netc("check", "--format", "json", file("a.net", "fn f(x) := x\n"));
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject([{ code: "N0101", level: "error", labels: [{ line: 1, column: 9 }] }]);
  });

  it("names a file that is not there", async () => {
    expect(await netc("check", join(folder, "no.net"))).toMatchObject({ code: 1, err: expect.stringContaining("no.net") });
  });
});

describe("fmt", () => {
  it("writes what is not in form, once, and leaves nothing behind", async () => {
    const path = file("a.net", "fn f(x)=x+1 // why\n");
    expect(await netc("fmt", path)).toEqual({ code: 0, out: `${path}\n`, err: "" });
    expect(readFileSync(path, "utf8")).toBe("fn f(x) = x + 1 // why\n");
    expect(await netc("fmt", path)).toEqual({ code: 0, out: "", err: "" });
    expect(readdirSync(folder)).toEqual(["a.net"]);
  });

  it("--check writes nothing and ends with 1", async () => {
    const path = file("a.net", "fn f(x)=x\n");
    expect(await netc("fmt", "--check", path)).toEqual({ code: 1, out: `${path}\n`, err: "" });
    expect(readFileSync(path, "utf8")).toBe("fn f(x)=x\n");
  });

  it("leaves a file with mistakes as it is, and goes on with the others", async () => {
    const bad = file("a.net", "fn f(x)  := x\n");
    const good = file("b.net", "fn f(x)=x\n");
    const { code, out, err } = await netc("fmt", bad, good);
    expect([code, out]).toEqual([1, `${good}\n`]);
    expect(err).toContain("N0101");
    expect(readFileSync(bad, "utf8")).toBe("fn f(x)  := x\n");
  });
});

describe("explain", () => {
  it("prints a page, in any case", async () => {
    expect(await netc("explain", "n0103")).toMatchObject({ code: 0, out: expect.stringMatching(/^# N0103: [\s\S]*```net/) });
  });

  it("lists all codes, and suggests one for an unknown", async () => {
    expect((await netc("explain")).out).toContain("N0101  a definition uses `=`");
    expect(await netc("explain", "N010l")).toMatchObject({ code: 1, err: expect.stringContaining("did you mean `N010") });
  });
});

describe("show", () => {
  const text = `
network One(image: [N, C, *S], classes: int) where C % 2 == 0 {
  out logits = image |> Conv(classes)
}
data Two {
  channels = 2
}
train run for One(classes = 3) {
  data = Two
  patch = [4, 5, 6]
  batch = 1
  loss = cross_entropy(logits, label)
  optimizer = sgd(lr = 0.1)
}
`;

  it.each([["ast", "network"], ["graph", "image["], ["grad", "d_weight"], ["solved", "sum["], ["kernels", "map"], ["loops", "invocations"], ["wgsl", "@compute"], ["plan", "buffers"]])(
    "prints a training step: %s", async (stage, word) => {
      const { code, out } = await netc("show", `${file("a.net", text)}#run`, "--training", "--stage", stage);
      expect([code, out]).toEqual([0, expect.stringContaining(word)]);
    });

  it("takes channels from the run's data, or from the command line", async () => {
    const run = `${file("a.net", text)}#run`;
    expect(await netc("show", run, "--training", "--stage", "plan")).toMatchObject({ code: 0, out: expect.stringContaining("image") });
    expect(await netc("show", run, "--training", "--input", "1,3,4,5,6")).toMatchObject({ code: 1, err: expect.stringContaining("C % 2 == 0") });
  });
});
