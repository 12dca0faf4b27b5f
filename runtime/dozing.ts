// Keeps the processor free for kernels while Dawn waits for them.

const cell = new Int32Array(new SharedArrayBuffer(4));
const nap = 0.5;
let waiting = 0;

/**
 * Waits for promises of Dawn, which asks the GPU for news in a busy loop on Node's own. Half a millisecond of
 * sleep in each round leaves the processor to the kernels: on a software device of two cores that is a third of it.
 */
export async function dozing<T>(promise: Promise<T>): Promise<T> {
  if (waiting++ === 0) setImmediate(doze);
  try {
    return await promise;
  } finally {
    waiting--;
  }
}

function doze(): void {
  if (waiting === 0) return;
  Atomics.wait(cell, 0, 0, nap);
  setImmediate(doze);
}
