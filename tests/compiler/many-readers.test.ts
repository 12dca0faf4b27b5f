// A tensor that many others read: its gradient is a sum of as many terms, more than a device binds at once.

import { expect, test } from "vitest";
import { prepareTraining } from "../../compiler/front/front.ts";
import { compileTraining } from "../../compiler/pipeline.ts";
import { leastProfile } from "../../compiler/plan/profile.ts";
import { program } from "../front/library.ts";

const net = (readers: number): string => `network Case(image: [N, M, *S], classes: int) {
  z = image |> Conv(32) as first
  y[0] = z |> Conv(classes)
  y[i in 1..<${readers}] = relu(y[i - 1] + (z |> Conv(classes)))
  out logits = y[${readers - 1}]
}
train case for Case {
  patch = [8, 8]
  batch = 1
  loss = cross_entropy(logits, label)
  optimizer = sgd(lr = 0.01)
}
`;

test.each([8, 60])("a gradient of %i terms is added up in steps", (readers) => {
  const { training } = prepareTraining(program("case.net", { "case.net": net(readers) }), "case", { channels: 1, classes: 32 });
  if (!training) throw new Error("no graph");
  const { plan } = compileTraining(training, leastProfile);
  const widest = Math.max(...plan.steps.map((s) => (s.kind === "dispatch" ? s.bindings.length : 0)));
  expect(widest).toBeLessThanOrEqual(leastProfile.maxBindings);
});
