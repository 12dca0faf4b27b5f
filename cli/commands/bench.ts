// `netc bench`: how long a step takes, where the time goes, and how near that is to what the device can do.

import { adapterChoices } from "../../runtime/adapters/find.ts";
import { measureCeiling, type Ceiling } from "../../runtime/ceiling.ts";
import { openDevice, type Device } from "../../runtime/device.ts";
import { Interrupt } from "../../runtime/train/interrupt.ts";
import { measure, type Report } from "../bench/measure.ts";
import { edgeOf, feed, numbersOf } from "../bench/numbers.ts";
import { comparison, peerRows, type PeerRow } from "../bench/peers.ts";
import { ceilingLine, reportText, summaryText } from "../bench/report.ts";
import { subjectOf, type Wish } from "../bench/subject.ts";
import { wishFlags, wishOf } from "../bench/wish.ts";
import { UsageError } from "../arguments.ts";
import { command as define, exit, type Command } from "../command.ts";
import { quietly } from "../terminal.ts";

/** The command `bench`. */
export const command: Command = define({
  name: "bench",
  operands: { name: "FILE#Net", least: 1, most: 100 },
  flags: {
    ...wishFlags,
    edges: { kind: "integers", least: 1, holds: "N,N,…", text: "in turn with patches of these edges, in place of `--input`'s" },
    repeat: { kind: "integer", least: 1, text: "steps that are timed, 10 by default" },
    warmup: { kind: "integer", least: 0, text: "steps before them, 2 by default; the very first is told by itself" },
    top: { kind: "integer", least: 1, text: "launches in the table, the slowest first; 15 by default" },
    all: { kind: "switch", text: "every launch in the table" },
    against: { kind: "text", holds: "DIR", text: "other frameworks, in turn on the same adapter; see docs/benchmarks.md" },
    json: { kind: "switch", text: "everything as JSON" },
    quiet: { kind: "switch", text: "say nothing but what is wrong, and the result", short: "q" },
    adapter: { kind: "choice", of: adapterChoices, text: "the device to compute on; by default the first that works" },
  },
  details: [
    "A step is timed from its start to the moment its loss is read, a prediction until the device is idle. Inputs are random and",
    "stay on the device. Launches are timed one by one by the device's clock, each in a pass of its own, so their sum is not the",
    "step's time. `moved` counts what a launch reads and writes once, `work` its scalar operations as the definitions state them;",
    "`of ceiling` is the least time that the measured ceilings allow, as a share of the time. Several operands are timed in turn.",
  ].join("\n"),
  run: async ({ values, operands }, loud) => {
    const terminal = values.quiet ? quietly(loud) : loud;
    const adapter = values.adapter === undefined ? {} : { adapter: values.adapter };
    const wishes = wishesOf(wishOf(values), values.edges);
    const repeat = values.repeat ?? 10;
    const progress = terminal.progress();
    const stop = new AbortController();
    const stopped = (): void => {
      progress.log("stopping; once more leaves at once");
      stop.abort();
    };
    const interrupt = new Interrupt(process, stopped, () => process.exit(exit.interrupted));
    const tell = (text: string, done?: number): void => progress.update(text, done);
    const reports: Report[] = [];
    const peers: PeerRow[] = [];
    let ceiling: Ceiling | undefined;
    let device: Device | undefined;
    try {
      for (const { operand, wish } of operands.flatMap((one) => wishes.map((each) => ({ operand: one, wish: each })))) {
        if (interrupt.asked) break;
        // A device of its own for each, so that nothing is compiled yet.
        device = await openDevice(adapter);
        tell("planning kernels");
        const subject = subjectOf(operand, wish, device);
        const numbers = values.against === undefined ? undefined : await numbersOf(values.against, subject.name, edgeOf(subject.plan));
        if (ceiling === undefined) {
          tell("measuring what the device can do");
          ceiling = await measureCeiling(device);
          if (!values.json) terminal.print(`${device.name}\n${ceilingLine(ceiling)}\n`);
        }
        const report = await measure(device, subject, {
          repeat, warmup: values.warmup ?? 2, ceiling, tell, interrupted: () => interrupt.asked, ...(numbers && { prime: (session) => feed(session, numbers) }),
        });
        const { kind, name } = device;
        device.close();
        if (report === undefined) break;
        reports.push(report);
        progress.done();
        if (!values.json) terminal.print(`${reportText(report, ceiling, values.all ? Infinity : (values.top ?? 15))}\n`);
        if (values.against !== undefined) {
          const rows = await peerRows(values.against, report, { device: { kind, name }, repeat, tell, stop: stop.signal });
          peers.push(...rows);
          progress.done();
          if (!values.json && rows.length > 0) terminal.print(`${comparison(report, rows)}\n`);
        }
      }
      if (values.json) terminal.print(JSON.stringify({ ceiling, reports, peers }, null, 2));
      else if (reports.length > 1) terminal.print(summaryText(reports));
      return interrupt.asked ? exit.interrupted : exit.done;
    } finally {
      interrupt.dispose();
      progress.done();
      device?.close();
    }
  },
});

/** One wish for each edge. */
function wishesOf(wish: Wish, edges: readonly number[] | undefined): readonly Wish[] {
  if (edges === undefined) return [wish];
  const { input } = wish;
  if (input === undefined) throw new UsageError("edges of which input?", "for example --input 1,1,32,32,32 --edges 32,48,64");
  return edges.map((edge) => ({ ...wish, input: input.map((extent, axis) => (axis < 2 ? extent : edge)) }));
}
