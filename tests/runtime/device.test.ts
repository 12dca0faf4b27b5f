// Which device is opened, what it offers, and that a process that used one ends by itself.

import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Fault } from "../../compiler/report/diagnostic.ts";
import { readTar } from "../../runtime/adapters/archive.ts";
import { embeddedDriver } from "../../runtime/adapters/embedded.ts";
import { installedDrivers } from "../../runtime/adapters/manifests.ts";
import { adapterChoice, openDevice } from "../../runtime/device.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "netc-test-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

afterEach(() => {
  vi.unstubAllEnvs();
});

const carried = typeof embeddedDriver() !== "string";

/** The finding a promise fails with. */
async function finding(promise: Promise<unknown>): Promise<Fault["findings"][number]> {
  const cause: unknown = await promise.then(() => "it went well", (thrown: unknown) => thrown);
  if (!(cause instanceof Fault) || cause.findings[0] === undefined) throw new Error(`no fault but: ${String(cause)}`);
  return cause.findings[0];
}

describe("the choice", () => {
  it("is the flag, then NETC_ADAPTER, then auto", () => {
    vi.stubEnv("NETC_ADAPTER", undefined);
    expect(adapterChoice(undefined)).toBe("auto");
    vi.stubEnv("NETC_ADAPTER", "system");
    expect(adapterChoice(undefined)).toBe("system");
    expect(adapterChoice("gpu")).toBe("gpu");
    expect(() => adapterChoice("gpo")).toThrow("N0904: `--adapter` is `gpo`");
    vi.stubEnv("NETC_ADAPTER", "fast");
    expect(() => adapterChoice(undefined)).toThrow("N0904: NETC_ADAPTER is `fast`");
  });

  it("of none is a finding that says so", async () => {
    expect(await finding(openDevice({ adapter: "none" }))).toMatchObject({ code: "N0903", headline: "this needs a device, and `none` was asked for" });
  });

  it("tells what was tried where nothing works", async () => {
    const found = await openDevice({ adapter: "gpu" }).catch((cause: unknown) => cause);
    if (!(found instanceof Fault)) return (found as { close(): void }).close();
    expect(found.findings[0]).toMatchObject({ code: "N0903", headline: "there is no `gpu` adapter here" });
    expect(found.findings[0]?.facts.join()).toMatch(/^gpu: /);
  });
});

describe("the device", () => {
  it("offers what the adapter has", async () => {
    const device = await openDevice();
    expect(device.attempts.at(-1)).toEqual({ kind: device.kind, found: true, what: device.name });
    expect(device.profile.maxBinding).toBeGreaterThanOrEqual(2 ** 27);
    expect(device.profile.maxBindings).toBeGreaterThanOrEqual(8);
    expect(device.profile.maxInvocations).toBeGreaterThanOrEqual(128);
    expect(device.profile.maxGroups).toBeGreaterThanOrEqual(65535);
    device.close();
    device.close();
    await expect(device.idle()).rejects.toThrow("after it was closed");
  });

  it.runIf(carried)("is there on request from what the install brings", async () => {
    const device = await openDevice({ adapter: "embedded" });
    expect(device.kind).toBe("embedded");
    expect(device.software).toBe(true);
    device.close();
  });
});

describe("a process that used a device", () => {
  const script = (end: string): string => `
    import { openDevice } from "${process.cwd()}/runtime/device.ts";
    import { Session } from "${process.cwd()}/runtime/session.ts";
    import { doubling } from "${process.cwd()}/tests/runtime/device-plans.ts";
    const device = await openDevice();
    const session = await Session.create(device, doubling(100000));
    session.write("x", new Float32Array(100000).fill(3));
    await session.run();
    console.log((await session.read("y"))[99999]);
    ${end}`;

  it.each([
    ["after close", "device.close();", 0],
    ["without close", "", 0],
    ["with work under way", "session.run(); session.read('y');", 0],
    ["by exit", "session.run(); process.exit(3);", 3],
    ["by an error", "await session.run(); throw new Error('on purpose');", 1],
  ])("ends %s", (_, end, code) => {
    const file = join(folder, "run.mts");
    writeFileSync(file, script(end));
    const ran = spawnSync(process.execPath, ["--import", "tsx", file], { cwd: process.cwd(), encoding: "utf8", timeout: 60_000 });
    expect({ status: ran.status, signal: ran.signal, stdout: ran.stdout }).toEqual({ status: code, signal: null, stdout: "6\n" });
    // Dawn tells this of Mesa's software device, and a pipe between Node processes cannot be led elsewhere meanwhile.
    const said = ran.stderr.split("\n").filter((line) => line !== "" && !line.includes("artificially reduced"));
    if (code !== 1) expect(said).toEqual([]);
  });

  it("does not mind the collector", () => {
    const file = join(folder, "run.mts");
    writeFileSync(file, script("for (let i = 0; i < 20; i++) { gc(); await session.run(); await session.read('y'); } console.log('done');"));
    const ran = spawnSync(process.execPath, ["--expose-gc", "--import", "tsx", file], { cwd: process.cwd(), encoding: "utf8", timeout: 60_000 });
    expect({ status: ran.status, stdout: ran.stdout }).toEqual({ status: 0, stdout: "6\ndone\n" });
  });
});

describe.runIf(carried)("the embedded driver", () => {
  it("is unpacked once, by whichever of many processes comes first", async () => {
    const file = join(folder, "unpack.mts");
    writeFileSync(file, `import { embeddedDriver } from "${process.cwd()}/runtime/adapters/embedded.ts"; console.log(JSON.stringify(embeddedDriver()));`);
    const env = { ...process.env, XDG_CACHE_HOME: join(folder, "cache") };
    const ran = await Promise.all(Array.from({ length: 4 }, () => promisify(execFile)(process.execPath, ["--import", "tsx", file], { cwd: process.cwd(), env })));
    const answers = new Set(ran.map(({ stdout }) => stdout));
    expect(answers.size).toBe(1);
    const { manifest } = JSON.parse(ran[0]?.stdout ?? "") as { manifest: string };
    expect(existsSync(manifest)).toBe(true);
    expect(readdirSync(join(folder, "cache", "netc"))).toHaveLength(1);
  });

  it("is mended where a file is missing, and goes elsewhere where it cannot be kept", () => {
    vi.stubEnv("XDG_CACHE_HOME", folder);
    const first = embeddedDriver();
    if (typeof first === "string") throw new Error(first);
    rmSync(first.loader);
    expect(embeddedDriver()).toEqual(first);
    expect(existsSync(first.loader)).toBe(true);
    writeFileSync(join(folder, "file"), "");
    vi.stubEnv("XDG_CACHE_HOME", join(folder, "file"));
    const second = embeddedDriver();
    if (typeof second === "string") throw new Error(second);
    expect(second.manifest.startsWith(tmpdir())).toBe(true);
  });
});

describe("drivers", () => {
  it("are found where the loader looks", () => {
    for (const name of ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES"]) vi.stubEnv(name, undefined);
    vi.stubEnv("VK_DRIVER_FILES", "/a.json:/b.json");
    expect(installedDrivers()).toEqual(["/a.json", "/b.json"]);
  });
});

describe("archives", () => {
  it("that are cut off are refused", () => {
    const header = new Uint8Array(512);
    header.set(Buffer.from("a.txt"), 0);
    header.set(Buffer.from("00000001000"), 124);
    header.set(Buffer.from("0"), 156);
    expect(() => readTar(header)).toThrow("`a.txt` is cut off");
    const whole = new Uint8Array(512 + 512 + 1024);
    whole.set(header);
    whole.set(Buffer.from("hello"), 512);
    expect(Buffer.from(readTar(whole).get("a.txt") ?? []).toString("latin1", 0, 5)).toBe("hello");
  });
});
