// src/transport/tcp/algorithms.ts: the congestion controls by name (net.ipv4.tcp_available_congestion_control).

import type { Congestion } from "./congestion.ts";
import { Cubic } from "./cubic.ts";
import { Reno } from "./reno.ts";

const reno = new Reno();
const cubic = new Cubic();

export function congestionOf(name: "reno" | "cubic"): Congestion {
  return name === "reno" ? reno : cubic;
}
