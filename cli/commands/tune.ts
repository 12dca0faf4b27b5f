// `netc tune`: finds by measurement how the launches of a step run fastest on an adapter, and keeps that for all that is compiled later.

import { adapterChoices } from "../../runtime/adapters/find.ts";
import { openDevice } from "../../runtime/device.ts";
import { Interrupt } from "../../runtime/train/interrupt.ts";
import { forgetFindings, readFindings, tunedPath, writeFindings } from "../../runtime/tuned.ts";
import { subjectsOf } from "../bench/subject.ts";
import { wishFlags, wishOf } from "../bench/wish.ts";
import { command as define, exit, type Command } from "../command.ts";
import { quietly, table } from "../terminal.ts";
import { search, type Found } from "../tune/search.ts";

/** Minutes that a search takes unless told otherwise. */
const usual = 10;

/** The command `tune`. */
export const command: Command = define({
  name: "tune",
  operands: { name: "FILE#Net", least: 0, most: 1 },
  flags: {
    minutes: { kind: "integer", least: 1, text: `how long to search, ${usual} by default; a round that has begun is ended` },
    ...wishFlags,
    forget: { kind: "switch", text: "forget all that was found for this adapter; takes no operand" },
    quiet: { kind: "switch", text: "say nothing but what is wrong, and the result", short: "q" },
    adapter: { kind: "choice", of: adapterChoices, text: "the device to tune for; by default the first that works" },
  },
  details: [
    "The compiler offers up to ten schedules for each launch (fourteen on a card), the one that it thinks fastest first. Each is timed",
    "within the whole step by the device's clock, and where another is clearly faster it is kept, by adapter, driver and launch, in the user's folder of caches.",
    "Everything that is compiled for this adapter later uses it. Sums are then added in another order, so results differ by roundings",
    "from those before. Ctrl-C ends the search after its round and keeps what was found.",
  ].join("\n"),
  run: async ({ values, operands }, loud) => {
    const terminal = values.quiet ? quietly(loud) : loud;
    const device = await openDevice({ untuned: true, ...(values.adapter !== undefined && { adapter: values.adapter }) });
    const path = tunedPath(device.name);
    const progress = terminal.progress();
    const stop = (): void => progress.log("stopping after this round; once more leaves at once");
    const interrupt = new Interrupt(process, stop, () => process.exit(exit.interrupted));
    try {
      if (values.forget) {
        terminal.print(forgetFindings(path) ? `forgot what was found for ${device.name}` : `nothing was known of ${device.name}`);
        return exit.done;
      }
      const [operand] = operands;
      if (operand === undefined) {
        const known = readFindings(path);
        terminal.print(`${device.name}\n${known.size} launches are tuned${known.size > 0 ? `, in ${path}` : ""}; \`netc tune FILE#Net\` tunes those of a step`);
        return exit.done;
      }
      const wish = wishOf(values);
      const subject = subjectsOf(operand, wish);
      const found = await search(device, { compile: (choose) => subject.compile({ ...device.profile, apart: true, choose }), feed: subject.feed }, {
        until: performance.now() + (values.minutes ?? usual) * 60_000,
        tell: (text, done) => progress.update(text, done),
        interrupted: () => interrupt.asked,
      });
      progress.done();
      if (found === undefined) {
        terminal.print(`${device.name} has no clock for launches (\`timestamp-query\`); nothing can be tuned`);
        return exit.device;
      }
      writeFindings(path, device.name, new Map([...readFindings(path), ...found.findings]));
      terminal.print(`${device.name}\n${text(found)}`);
      return interrupt.asked ? exit.interrupted : exit.done;
    } finally {
      interrupt.dispose();
      progress.done();
      device.close();
    }
  },
});

/** What was found, the largest gain first. */
function text({ findings, before, after, launches, rounds }: Found): string {
  const ms = (n: number): string => n.toPrecision(3);
  const rows = launches.flatMap(({ key, name, path, count }) => {
    const f = findings.get(key);
    return f ? [{ gain: (f.before - f.time) * count, row: [ms(f.before * count), ms(f.time * count), String(count), name, path, f.choice] }] : [];
  }).sort((a, b) => b.gain - a.gain);
  const head = findings.size === 0 ? `${rounds} choices were timed; the compiler's own are the fastest together.`
    : `${rounds} choices were timed; ${findings.size} launches are faster with another one.`;
  const total = `all launches of a step: ${ms(before)} ms before, ${ms(after)} ms after`;
  return [head, ...(rows.length > 0 ? [table([["before ms", "after ms", "launches", "kernel", "of", "choice"], ...rows.map((r) => r.row)], [0, 1, 2])] : []), total].join("\n");
}
