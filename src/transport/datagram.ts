// src/transport/datagram.ts: what datagram sockets share: path MTU discovery's modes, errors that wait, room for payload, and
// what a datagram costs its reader.

import type { Core } from "../core/core.ts";
import { type Errno, SocketError } from "./errno.ts";

/** IP_MAX_MTU */
export const longest = 65535;

/** IP_MTU_DISCOVER's values. */
export const PmtuDiscovery = { Dont: 0, Want: 1, Do: 2, Probe: 3, Interface: 4, Omit: 5 } as const;

/** What the error queue holds (struct sock_extended_err) with the bytes that the error is about. */
export interface QueuedError {
  readonly errno: Errno;
  readonly origin: "local" | "icmp";
  readonly type: number;
  readonly code: number;
  readonly info: number;
  readonly offender: number;
  /** Where the datagram went. */
  readonly address: number;
  readonly port: number;
  readonly data: Uint8Array;
}

/** Where payload stands before it is in a packet, a core's own. */
const scratches = new WeakMap<Core, number>();

export function scratchOf(core: Core): number {
  let at = scratches.get(core);
  if (at === undefined) {
    at = core.x.alloc(longest);
    if (at === 0) throw new SocketError("ENOBUFS");
    scratches.set(core, at);
  }
  return at;
}

/**
 * What the kernel charges for a received datagram of `size` bytes with its IP header (skb->truesize as its allocator
 * makes it for a packet from the loopback device; 6.18): 256 datagrams of 100 bytes, 92 of 1,400 fit into 212,992 bytes.
 */
export function truesize(size: number): number {
  const room = size + 31;
  if (room <= 256) return 832;
  let head = 1024;
  while (head < room + 320) head *= 2;
  return head + 256;
}
