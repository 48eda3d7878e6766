// src/link/wire.ts: what joins two devices.

import type { Interface } from "./interface.ts";

/** Joins two devices as a veth pair: what one sends the other receives, at the same instant. */
export function connect(a: Interface, b: Interface): void {
  a.peer = b;
  b.peer = a;
  a.crossesHosts = b.crossesHosts = a.owner !== b.owner;
}
