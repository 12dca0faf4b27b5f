// What to assume of an adapter when none is open: the least that WebGPU promises, and halves for who asks for them.

import type { Profile } from "./plan.ts";

/** The default limits of WebGPU, with a card's number of lanes. */
export const leastProfile: Profile = { name: "an adapter with WebGPU's default limits", half: true, maxBinding: 134217728, maxBindings: 8, maxInvocations: 256, maxShared: 16384, maxGroups: 65535, ranges: false, lanes: 32768 };
