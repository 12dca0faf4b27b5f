// Keeps the processor free for kernels while Dawn waits for them.

const cell = new Int32Array(new SharedArrayBuffer(4));
const longest = 0.5;
let waiting = 0;
let running = false;
let since = 0;

/**
 * Waits for promises of Dawn, which asks the GPU for news in a busy loop on Node's own. Sleeping up to half a
 * millisecond in each round leaves the processor to the kernels: on a software device of two cores that is a third
 * of it. A sleep is a twentieth of the wait so far, so that a fast GPU is not kept waiting.
 */
export async function dozing<T>(promise: Promise<T>): Promise<T> {
  since = performance.now();
  waiting++;
  if (!running) setImmediate(doze);
  running = true;
  try {
    return await promise;
  } finally {
    waiting--;
  }
}

function doze(): void {
  running = waiting > 0;
  if (!running) return;
  const nap = Math.min(longest, (performance.now() - since) / 20);
  if (nap > 0.02) Atomics.wait(cell, 0, 0, nap);
  setImmediate(doze);
}
