// Colour, progress and tables; and what happens when the reader of a pipe goes away.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lineProgress, logProgress, quietly, table, terminalOn } from "../../cli/terminal.ts";

function sink(isTTY: boolean) {
  const written: string[] = [];
  return { written, isTTY, columns: 20, write: (text: string) => written.push(text) };
}

describe("colour", () => {
  it.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: "1" }, false],
    [true, { TERM: "dumb" }, false],
    [false, { FORCE_COLOR: "1" }, true],
    [true, { NO_COLOR: "1", FORCE_COLOR: "1" }, false],
  ])("on a terminal (%s) with %j: %s", (isTTY, env, expected) => {
    expect(terminalOn(sink(false), sink(isTTY), env).colour).toBe(expected);
  });
});

describe("progress", () => {
  it("rewrites one line on a terminal, throttled and cut to its width", () => {
    const err = sink(true);
    let now = 0;
    const progress = lineProgress(err, () => now);
    progress.update("step 1");
    progress.update("step 2");
    now = 200;
    progress.update("step 3 of a very long story");
    progress.log("epoch 1 done");
    progress.done();
    const clear = "\r\u001b[2K";
    expect(err.written).toEqual([`${clear}step 1`, `${clear}step 3 of a very l…`.slice(0, clear.length + 18) + "…", `${clear}epoch 1 done\nstep 3 of a very l…`, clear]);
  });

  it("draws how much is done as a bar on a terminal, and leaves it away elsewhere", () => {
    const [err, log] = [sink(true), sink(false)];
    let now = 0;
    const wide = { ...err, columns: 60 };
    const [progress, plain] = [lineProgress(wide, () => now), logProgress(log, () => now)];
    for (const done of [0, 0.384, 1]) {
      now += 11_000;
      progress.update("window", done);
      plain.update("window", done);
    }
    expect(err.written.map((text) => text.slice(5))).toEqual(["[----------]   0 % window", "[====------]  38 % window, 18 s left", "[==========] 100 % window"]);
    expect(log.written).toEqual(["window\n", "window, 18 s left\n", "window\n"]);
  });

  it("counts the time that is left from where a piece of work began, and says it once", () => {
    const err = { ...sink(true), columns: 60 };
    let now = 0;
    const progress = lineProgress(err, () => now);
    const shown = (text: string, done?: number): string => {
      now += 4000;
      progress.update(text, done);
      return err.written.at(-1)?.slice(5) ?? "";
    };
    shown("a", 0.5);
    expect(shown("a", 0.75)).toBe("[========--]  75 % a, 4.0 s left");
    expect(shown("a, 1 s left", 0.8)).toBe("[========--]  80 % a, 1 s left");
    // Another piece of work.
    expect(shown("b", 0)).toBe("[----------]   0 % b");
    expect(shown("b", 0.1)).toBe("[=---------]  10 % b, 36 s left");
    expect(shown("c")).toBe("c");
    expect(shown("c", 0.5)).toBe("[=====-----]  50 % c");
  });

  it("says nothing quietly; messages and results remain", () => {
    const [out, err] = [sink(false), sink(true)];
    const terminal = quietly(terminalOn(out, err, {}));
    const progress = terminal.progress();
    progress.update("a");
    progress.log("b");
    progress.done();
    terminal.say("c");
    terminal.print("d");
    expect([err.written, out.written]).toEqual([["c\n"], ["d\n"]]);
  });

  it("writes plain lines elsewhere, a sign of life every ten seconds", () => {
    const err = sink(false);
    let now = 0;
    const progress = logProgress(err, () => now);
    progress.update("step 1");
    now = 11_000;
    progress.update("step 2");
    progress.update("step 3");
    progress.log("epoch 1 done");
    progress.done();
    expect(err.written).toEqual(["step 2\n", "epoch 1 done\n"]);
  });
});

describe("table", () => {
  it("sets columns", () => {
    expect(table([["a", "1"], ["long", "20"]], [1])).toBe("a      1\nlong  20");
  });
});

describe("a closed pipe", () => {
  it("ends the command quietly", async () => {
    const root = join(import.meta.dirname, "..", "..");
    const child = spawn(process.execPath, ["--import", "tsx", "cli/main.ts", "--help"], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.destroy();
    let said = "";
    child.stderr.on("data", (text) => (said += String(text)));
    const [code] = await once(child, "close");
    expect([code, said]).toEqual([0, ""]);
  });
});
