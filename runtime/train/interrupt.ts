// Ctrl-C during a training run: the first asks it to stop after the step, the second leaves at once.

/** Where the process's signals come from; `process` outside tests. */
export interface Signals {
  on(signal: "SIGINT" | "SIGTERM", listener: () => void): unknown;
  off(signal: "SIGINT" | "SIGTERM", listener: () => void): unknown;
}

const signals = ["SIGINT", "SIGTERM"] as const;

/** Whether somebody wants the run to end. */
export class Interrupt {
  readonly #from: Signals;
  readonly #listener: () => void;
  #asked = false;

  /** `first` is called once, `again` at every further signal. */
  constructor(from: Signals, first: () => void, again: () => void) {
    this.#from = from;
    this.#listener = () => {
      if (this.#asked) {
        again();
        return;
      }
      this.#asked = true;
      first();
    };
    for (const signal of signals) from.on(signal, this.#listener);
  }

  get asked(): boolean {
    return this.#asked;
  }

  /** Signals do again what they did before. */
  dispose(): void {
    for (const signal of signals) this.#from.off(signal, this.#listener);
  }
}
