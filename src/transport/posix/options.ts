// src/transport/posix/options.ts: how setsockopt's numbers are taken.

import { SocketError } from "../errno.ts";
import type { Level, OptionValue } from "./file.ts";

/** net.core.rmem_max and wmem_max: what SO_RCVBUF and SO_SNDBUF may ask for. */
export const maxBuffer = 4194304;

const levels: Readonly<Record<string, Level>> = {
  SOL_SOCKET: "socket",
  SOL_IP: "ip",
  IPPROTO_IP: "ip",
  SOL_TCP: "tcp",
  IPPROTO_TCP: "tcp",
  SOL_UDP: "udp",
  IPPROTO_UDP: "udp",
};

/** `SOL_SOCKET`, `IPPROTO_TCP` ...; null for what is none. */
export function levelOf(name: string): Level | null {
  return Object.hasOwn(levels, name) ? levels[name]! : null;
}

/** The level that an option's name says. */
export function levelOfOption(name: string): Level {
  return name.startsWith("TCP_") ? "tcp" : name.startsWith("IP_") ? "ip" : name.startsWith("UDP_") ? "udp" : "socket";
}

/** An int as the kernel reads it. */
export function integer(value: OptionValue): number {
  if (typeof value !== "number" || !Number.isInteger(value)) throw new SocketError("EINVAL");
  return value | 0;
}

/** sock_setsockopt caps what is asked for before it doubles it. */
export function setBuffer(v: number): number {
  return Math.min(v < 0 ? maxBuffer : v, maxBuffer);
}

/** SO_RCVLOWAT: none is one, less than none is as much as there can be. */
export function lowWater(v: number): number {
  return v < 0 ? 2 ** 31 - 1 : v || 1;
}
