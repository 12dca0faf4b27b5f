// A session that predicts, for one set of weights or for several that take turns, as those of several folds.

import type { Port } from "../../compiler/plan/plan.ts";
import type { Session } from "../session.ts";
import type { RunWindows } from "./window.ts";

/** Runs windows one after the other; the next one is accepted while the one before is computed. */
export class Engine {
  readonly #session: Pick<Session, "plan" | "write" | "run" | "read">;
  readonly #output: Port;
  #turn: Promise<unknown> = Promise.resolve();
  #loaded: RunWindows | undefined;

  /** `output` is [N, K, D, H, W]. */
  constructor(session: Pick<Session, "plan" | "write" | "run" | "read">, output: Port) {
    this.#session = session;
    this.#output = output;
  }

  /** Values of the network per voxel. */
  get outputs(): number {
    return this.#output.shape[1] ?? 1;
  }

  /** How windows are run with some weights; `load` puts them into the session, where others may have been meanwhile. */
  runner(load: () => void): RunWindows {
    const run: RunWindows = (windows) => {
      const accepted = this.#turn.then(async () => {
        const [input] = this.#session.plan.inputs;
        if (input === undefined) throw new Error("internal: a network without an input");
        if (this.#loaded !== run) load();
        this.#loaded = run;
        this.#session.write(input.name, windows);
        await this.#session.run();
        return { values: this.#session.read(this.#output.name) };
      });
      this.#turn = accepted.catch(() => undefined);
      return accepted.then(({ values }) => values);
    };
    return run;
  }
}
