// src/transport/ports.ts: net.ipv4.ip_local_port_range: the ports that connect and send choose from.

import type { Sysctl } from "../host/sysctl.ts";

const fallback: readonly [number, number] = [32768, 28232];

/** The first port and how many there are. */
export function portRange(sysctl: Sysctl): readonly [number, number] {
  const m = /^\s*(\d+)\s+(\d+)\s*$/.exec(sysctl.getText("net.ipv4.ip_local_port_range"));
  if (m === null) return fallback;
  const low = Number(m[1]);
  const high = Number(m[2]);
  return low < 1 || high > 65535 || low > high ? fallback : [low, high - low + 1];
}
