// erf on the device, which WGSL lacks, against the interpreter's.

import { expect, it } from "vitest";
import { apply, index, makeAxis, read } from "../../compiler/ir/expr.ts";
import { define, source } from "../../compiler/ir/graph.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { compileDefinitions } from "../../compiler/pipeline.ts";
import { openDevice } from "../../runtime/device.ts";
import { Session } from "../../runtime/session.ts";

const origin = { span: undefined, path: "erf" };

it("is off by less than 3e-7 and never beyond 1, one by one and in fours", { timeout: 60_000 }, async () => {
  const device = await openDevice();
  try {
    for (const count of [4001, 4000]) {
      const x = source("x", [count], origin);
      const i = makeAxis("i", count);
      const y = define("y", [i], apply("erf", read(x, [index(i)])), origin);
      const { plan } = compileDefinitions("erf", [x], [{ name: "y", tensor: y }], device.profile);
      const values = Float32Array.from({ length: count }, (_, n) => (n === 0 ? 1e30 : n === 1 ? -1e30 : (n - count / 2) / 300));
      const session = await Session.create(device, plan);
      try {
        session.write("x", values);
        session.poison();
        await session.run();
        const got = await session.read("y");
        interpret(y, { values: new Map([[x, Float64Array.from(values)]]) }).forEach((v, n) => {
          expect(Math.abs((got[n] ?? NaN) - v), `erf(${values[n]})`).toBeLessThan(3e-7);
          expect(Math.abs(got[n] ?? NaN)).toBeLessThanOrEqual(1);
        });
      } finally {
        session.destroy();
      }
    }
  } finally {
    device.close();
  }
});
