// Spreads the cases of a data set over worker threads, as many as there are processors and memory for.

import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { diagnostic, Fault, type Diagnostic } from "../../compiler/report/diagnostic.ts";
import type { CaseWork, WorkResult } from "./case-work.ts";
import type { Answer } from "./case-worker.ts";

/** The most threads; beyond, reading is what takes time. */
const MOST_THREADS = 8;

/** Threads for cases that take up to `bytes` each while they are worked on: one processor is left to others, and half of the free memory. */
export function threadsFor(bytes: number, cases: number, processors = availableParallelism(), free = process.availableMemory()): number {
  return Math.max(1, Math.min(cases, processors - 1, MOST_THREADS, Math.floor(free / 2 / Math.max(1, bytes))));
}

/**
 * Does all pieces of work; results in their order. A `Fault` with the findings of all cases, so that one look mends them all.
 * The threads have ended when it returns: nothing is left beside the training.
 */
export async function doAll(work: readonly CaseWork[], threads: number, done: (count: number, name: string) => void): Promise<readonly WorkResult[]> {
  const results: (WorkResult | undefined)[] = [];
  const findings: Diagnostic[] = [];
  let [next, finished] = [0, 0];
  const one = async (): Promise<void> => {
    const worker = newWorker();
    try {
      while (next < work.length) {
        const n = next++;
        const piece = work[n];
        if (piece === undefined) return;
        const answer = await ask(worker, piece);
        if ("broken" in answer) throw new Error(`internal: ${answer.broken}`);
        if ("findings" in answer) findings.push(...answer.findings);
        else results[n] = answer.result;
        done(++finished, piece.files.name);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(threads, work.length) }, one));
  if (findings.length > 0) throw new Fault(...findings);
  return results.filter((result) => result !== undefined);
}

function newWorker(): Worker {
  if (!import.meta.url.endsWith(".ts")) return new Worker(new URL("./case-worker.js", import.meta.url));
  // From the sources: a thread does not inherit the loader that reads them.
  const loader = import.meta.resolve("tsx/esm/api");
  const main = new URL("./case-worker.ts", import.meta.url).href;
  return new Worker(`import(${JSON.stringify(loader)}).then(({ register }) => { register(); return import(${JSON.stringify(main)}); });`, { eval: true });
}

/** A thread that ran out of memory says nothing more than that it ended. */
function ask(worker: Worker, piece: CaseWork): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const settle = (then: () => void): void => {
      worker.off("message", onMessage).off("error", onError).off("exit", onExit);
      then();
    };
    const onMessage = (answer: Answer): void => settle(() => resolve(answer));
    const onError = (error: Error & { code?: string }): void => settle(() => {
      if (error.code === "ERR_WORKER_OUT_OF_MEMORY") resolve({ findings: [tooLarge(piece)] });
      else reject(error);
    });
    const onExit = (): void => settle(() => reject(new Error(`internal: a worker ended while it read ${piece.files.name}`)));
    worker.on("message", onMessage).on("error", onError).on("exit", onExit);
    worker.postMessage(piece);
  });
}

function tooLarge({ files }: CaseWork): Diagnostic {
  return diagnostic("N1023", `${files.name} does not fit into memory`, { facts: [`It is read from ${files.images.join(", ")}.`], hint: "crop the image, or give the machine more memory" });
}
