// From a command line to an exit code: finds the command, runs it, and turns every failure into a message.

import { join } from "node:path";
import { Fault } from "../compiler/report/diagnostic.ts";
import { renderAll } from "../compiler/report/render.ts";
import { nearest } from "../compiler/report/spelling.ts";
import { UsageError } from "./arguments.ts";
import { exit } from "./command.ts";
import { commands } from "./commands.ts";
import { packageRoot, read } from "./files.ts";
import { table, type Terminal } from "./terminal.ts";

/** Runs the command line `argv` (without node and script) and gives the exit code. */
export async function dispatch(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined) {
    terminal.say(overview());
    return exit.usage;
  }
  if (name === "--version" || name === "-V") {
    terminal.print(version());
    return exit.done;
  }
  if (name === "--help" || name === "-h" || (name === "help" && rest.length === 0)) {
    terminal.print(overview());
    return exit.done;
  }
  const wanted = name === "help" ? (rest[0] ?? "") : name;
  const entry = commands.find((one) => one.name === wanted);
  if (entry === undefined) {
    const meant = nearest(wanted, commands.map((one) => one.name));
    terminal.say(`error: there is no command \`${wanted}\`${meant === undefined ? "" : `; did you mean \`${meant}\`?`}`);
    terminal.say("`netc --help` lists the commands.");
    return exit.usage;
  }
  const { command } = await entry.load();
  const own = rest.indexOf("--") === -1 ? rest : rest.slice(0, rest.indexOf("--"));
  if (name === "help" || own.includes("--help") || own.includes("-h")) {
    terminal.print(command.help(entry.summary).trimEnd());
    return exit.done;
  }
  try {
    return await command.run(rest, terminal);
  } catch (thrown) {
    return failed(thrown, wanted, terminal);
  }
}

function failed(thrown: unknown, name: string, terminal: Terminal): number {
  if (thrown instanceof UsageError) {
    terminal.say(`error: ${thrown.message}${thrown.hint === undefined ? "" : `; ${thrown.hint}`}`);
    terminal.say(`\`netc ${name} --help\` tells how it is used.`);
    return exit.usage;
  }
  if (thrown instanceof Fault) {
    terminal.say(renderAll(thrown.findings, terminal));
    return thrown.findings.some((finding) => finding.code.startsWith("N09")) ? exit.device : exit.fault;
  }
  if (thrown instanceof Error && "syscall" in thrown) {
    terminal.say(`error: ${thrown.message}`);
    return exit.fault;
  }
  const trace = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  terminal.say(`This is a fault of netc, not of your files. Please report it with what follows.\n\n${trace}`);
  return exit.bug;
}

function overview(): string {
  const rows = commands.map(({ name, summary }) => [`  ${name}`, summary]);
  return [
    "usage: netc COMMAND [arguments]",
    "Networks for image segmentation in a small declarative language, compiled to compute kernels.",
    table([...rows, ["  help", "Print this text, or with a command's name how that one is used."]]),
    "`netc COMMAND --help` tells about one command; `netc --version` prints the version.\n" +
      "Exit codes: 0 done, 1 something is wrong in what was given, 2 wrong usage, 3 the device failed.",
  ].join("\n\n");
}

function version(): string {
  const text = read(join(packageRoot(), "package.json")) ?? "{}";
  return `netc ${(JSON.parse(text) as { version?: string }).version ?? "unknown"}`;
}
