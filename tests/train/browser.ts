// A headless Chromium for tests, out of the optional package's archives; spoken to over a pipe.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { readTar } from "../../runtime/adapters/archive.ts";

/** A page that is open. */
export interface Page {
  /** The value of an expression, after its promise. */
  readonly evaluate: (expression: string) => Promise<unknown>;
  /** A PNG file of what is seen. */
  readonly screenshot: () => Promise<Buffer>;
  /** Moves the pointer to a place, in pixels. */
  readonly point: (x: number, y: number) => Promise<void>;
  /** Presses a key, e.g. `ArrowRight`. */
  readonly press: (key: string) => Promise<void>;
  /** Light or dark, as the system would say. */
  readonly prefer: (scheme: "light" | "dark") => Promise<void>;
  /** What the page asked the network for. */
  readonly requests: readonly string[];
  readonly errors: readonly string[];
}

/** Where the package's archives are; undefined where it is not installed. */
export function carrier(): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  let folder: string;
  try {
    folder = dirname(createRequire(import.meta.url).resolve("@sparticuz/chromium"));
  } catch {
    return undefined;
  }
  for (; dirname(folder) !== folder; folder = dirname(folder)) if (existsSync(join(folder, "bin", "chromium.br"))) return join(folder, "bin");
  return undefined;
}

function unpack(from: string, to: string): string {
  const archive = (name: string): Buffer => brotliDecompressSync(readFileSync(join(from, name)));
  mkdirSync(to, { recursive: true });
  writeFileSync(join(to, "chromium"), archive("chromium.br"), { mode: 0o755 });
  for (const name of ["al2023.tar.br", "swiftshader.tar.br"]) for (const [file, bytes] of readTar(archive(name))) writeFileSync(join(to, file), bytes, { mode: 0o755 });
  return to;
}

const flags = [
  "--remote-debugging-pipe", "--headless", "--no-sandbox", "--no-zygote", "--single-process", "--in-process-gpu", "--disable-dev-shm-usage", "--no-first-run",
  "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--font-render-hinting=none", "--hide-scrollbars",
];

/** Opens a file in a browser of its own, uses it, and ends it. */
export async function withPage<T>(archives: string, file: string, size: { readonly width: number; readonly height: number }, use: (page: Page) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "netc-browser-"));
  const own = unpack(archives, join(folder, "bin"));
  const child = spawn(join(own, "chromium"), [...flags, `--user-data-dir=${join(folder, "user")}`, `--window-size=${size.width},${size.height}`, "about:blank"], {
    env: { ...process.env, LD_LIBRARY_PATH: own, HOME: folder }, stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const [, , , into, out] = child.stdio;
  const waiting = new Map<number, (answer: Answer) => void>();
  const requests: string[] = [];
  const errors: string[] = [];
  let rest = "";
  out?.on("data", (bytes: Buffer) => {
    const messages = (rest + bytes.toString()).split("\0");
    rest = messages.pop() ?? "";
    for (const message of messages.map((text) => JSON.parse(text) as Answer)) {
      if (message.id !== undefined) waiting.get(message.id)?.(message);
      if (message.method === "Network.requestWillBeSent") requests.push(message.params?.request?.url ?? "");
      if (message.method === "Runtime.exceptionThrown") errors.push(JSON.stringify(message.params));
    }
  });
  let last = 0;
  const call = (method: string, params: object = {}, sessionId?: string): Promise<Result> => new Promise((resolve, reject) => {
    const id = ++last;
    void ended.then(() => reject(new Error(`the browser ended before ${method}`)));
    waiting.set(id, ({ result, error }) => (result === undefined ? reject(new Error(`${method}: ${error?.message ?? "no answer"}`)) : resolve(result)));
    if (into !== null && into !== undefined && "write" in into) into.write(`${JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) })}\0`);
  });
  try {
    const { targetId } = await call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
    const send = (method: string, params: object = {}): Promise<Result> => call(method, params, sessionId);
    for (const domain of ["Page", "Network", "Runtime"]) await send(`${domain}.enable`);
    const evaluate = async (expression: string): Promise<unknown> => {
      const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
      if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
      return result?.value;
    };
    await send("Emulation.setDeviceMetricsOverride", { ...size, deviceScaleFactor: 1, mobile: false });
    await send("Page.navigate", { url: `file://${file}` });
    for (let n = 0; n < 200 && (await evaluate("document.readyState + location.protocol")) !== "completefile:"; n++) await new Promise((resolve) => setTimeout(resolve, 50));
    return await use({
      evaluate, requests, errors,
      screenshot: async () => Buffer.from((await send("Page.captureScreenshot", { format: "png" })).data ?? "", "base64"),
      point: async (x, y) => void (await send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y })),
      press: async (key) => void (await send("Input.dispatchKeyEvent", { type: "keyDown", key })),
      prefer: async (scheme) => void (await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] })),
    });
  } finally {
    child.kill("SIGKILL");
    await ended;
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

interface Result {
  readonly targetId?: string;
  readonly sessionId?: string;
  readonly data?: string;
  readonly result?: { readonly value?: unknown };
  readonly exceptionDetails?: object;
}

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly request?: { readonly url?: string } };
  readonly result?: Result;
  readonly error?: { readonly message?: string };
}
