// Batches made ahead: while the device computes one, the processor prepares the next, sample by sample.

import { fillBatch, type Draw, type Indexed, type Sampling } from "../data/patches.ts";
import type { Plan } from "../../compiler/plan/plan.ts";
import type { Session } from "../session.ts";

/** What the compiler calls the input for the true classes. */
const labelPort = "label";

/** The two inputs of a training plan. */
export function batchPorts(plan: Plan): { readonly image: Plan["inputs"][number]; readonly label: Plan["inputs"][number] } {
  const label = plan.inputs.find(({ name }) => name === labelPort);
  const image = plan.inputs.find(({ name }) => name !== labelPort);
  if (label === undefined || image === undefined) throw new Error(`internal: a training plan with the inputs ${plan.inputs.map(({ name }) => name).join(", ")}`);
  return { image, label };
}

/** In how many parts a plan takes the batch of a step. */
export function partsOf(plan: Plan, { batch }: Sampling): number {
  return batch / (plan.inputs[0]?.shape[0] ?? batch);
}

/** Gives a session the parts of batches; they are numbered through the run, `parts` to a step. */
export class Feed {
  /** Parts of a step. */
  readonly parts: number;
  readonly #session: Session;
  readonly #cases: readonly Indexed[];
  readonly #sampling: Sampling;
  readonly #images: Float32Array;
  readonly #labels: Float32Array;
  readonly #samples: number;
  #filling: Promise<void> = Promise.resolve();
  #draws: Draw[] = [];
  #part = -1;
  /** When the sample made last was ready, and how long it took, in milliseconds. */
  #last = { at: 0, took: 0 };

  /** Fills the inputs of a session's plan. */
  constructor(session: Session, cases: readonly Indexed[], sampling: Sampling) {
    const { image, label } = batchPorts(session.plan);
    this.#session = session;
    this.#cases = cases;
    const [, , d, h, w] = image.shape;
    // Where patches are turned, the plan asks for what is around them too.
    this.#sampling = d !== undefined && h !== undefined && w !== undefined ? { ...sampling, around: [d, h, w] } : sampling;
    this.#images = new Float32Array(image.slice.bytes / 4);
    this.#labels = new Float32Array(label.slice.bytes / 4);
    this.parts = partsOf(session.plan, sampling);
    this.#samples = sampling.batch / this.parts;
  }

  /** Begins to make a part, between other work, and queues it behind what the device has been told to do. */
  prepare(part: number): void {
    this.#part = part;
    this.#filling = this.#fill(part);
    // Told by whoever awaits it.
    this.#filling.catch(() => undefined);
  }

  /** Gives the session its inputs for a part, at once where the part was prepared. */
  async give(part: number): Promise<void> {
    if (this.#part !== part) this.prepare(part);
    await this.#filling;
    this.#part = -1;
  }

  /** Waits until nothing is on its way to the device that nobody will want. */
  async close(): Promise<void> {
    await this.#filling.catch(() => undefined);
  }

  /** Milliseconds that a device which was found ready now may have been so unseen, since a sample was being made. */
  unseen(): number {
    return performance.now() - this.#last.at < latency ? this.#last.took : 0;
  }

  /** What the part given last was made from, and its images [N, C, D, H, W] and labels [N, 1, D, H, W]. */
  get given(): { readonly draws: readonly Draw[]; readonly images: Float32Array; readonly labels: Float32Array } {
    return { draws: this.#draws, images: this.#images, labels: this.#labels };
  }

  async #fill(part: number): Promise<void> {
    const step = Math.floor(part / this.parts);
    const first = (part % this.parts) * this.#samples;
    const [image, label] = [this.#images.length / this.#samples, this.#labels.length / this.#samples];
    this.#draws = [];
    for (let n = 0; n < this.#samples; n++) {
      const began = performance.now();
      this.#draws.push(...fillBatch(this.#cases, this.#sampling, step, this.#images.subarray(n * image, (n + 1) * image), this.#labels.subarray(n * label, (n + 1) * label), first + n));
      const at = performance.now();
      this.#last = { at, took: at - began };
      // News of the device is heard only between two turns.
      await new Promise((resolve) => setImmediate(resolve));
    }
    const ports = batchPorts(this.#session.plan);
    this.#session.write(ports.image.name, this.#images);
    this.#session.write(ports.label.name, this.#labels);
  }
}

/** News of the device takes this long, in milliseconds. */
const latency = 2;
