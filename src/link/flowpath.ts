// src/link/flowpath.ts: what devices and bridges tell a host that remembers the ways of flows (src/host/flowtable.ts).

import type { Frame } from "../core/core.ts";
import type { Interface } from "./interface.ts";

/** The short way through a host. */
export interface FlowPath {
  /** In the core; packets may take the short way while `on`. */
  readonly table: number;
  readonly on: boolean;
  readonly notes: FlowWatch;
  /** A frame comes in by the device: true when it was taken. */
  receive(dev: Interface, frame: Frame): boolean;
  /** Something changed that a flow may depend on. */
  changed(): void;
  /** Counters are going to be read: what the short way counted is added to them. */
  settle(): void;
}

/** What is noted about the one packet that is watched; each is called for that packet alone. */
export interface FlowWatch {
  /** The packet; 0: none. */
  readonly frame: Frame;
  /** Something happens to it that no flow repeats. */
  forget(): void;
  /** A bridge takes it from a port, for its own host or for another port. */
  bridge(): void;
  /** The bridge knew the sender (an entry whose time of use counts, or null); `address`: where its own one stands. */
  learned(entry: { updated: number } | null, address: number): void;
  /** It goes up by the bridge device. */
  passUp(dev: Interface): void;
  /** The bridge device sends it out of a port that takes packets of `mtu` bytes. */
  port(mtu: number): void;
  /** A hook's functions run; `repeats`: all of them tell what flows repeat. */
  hook(hook: number, repeats: boolean): void;
  /** A rule or a policy counts it, connection tracking finds its connection, NAT translates as that is bound. */
  counted(c: { packets: number; bytes: number }): void;
  /** A rule asked for any of TCP's flags. */
  asksFlags(): void;
  track(): void;
  translate(hook: number): void;
  /** The neighbour's address is known; `sure`: and needs no question, or else its use counts. */
  resolved(n: { used: number }, sure: boolean): void;
  /** It leaves by a device; `Data` at the Ethernet header. */
  leaves(dev: Interface): void;
}
