// src/host/neighbour/neighbour.ts: one entry of the neighbour table and its states (RFC 4861 §7.3.2 as Linux applies it to ARP).

import { formatIpv4, formatMac } from "../../core/address.ts";
import type { Frame } from "../../core/core.ts";
import type { Timer } from "../../link/clock.ts";
import type { Interface } from "../../link/interface.ts";
import type { NeighConf } from "../sysctl.ts";

/** NUD_* (include/uapi/linux/neighbour.h). */
export enum Nud {
  None = 0,
  Incomplete = 0x01,
  Reachable = 0x02,
  Stale = 0x04,
  Delay = 0x08,
  Probe = 0x10,
  Failed = 0x20,
  Noarp = 0x40,
  Permanent = 0x80,
}

/** States in which packets leave without a question. */
export const CONNECTED = Nud.Permanent | Nud.Noarp | Nud.Reachable;
/** States in which the hardware address is known. */
export const VALID = CONNECTED | Nud.Probe | Nud.Stale | Nud.Delay;
/** States that a timer ends. */
export const IN_TIMER = Nud.Incomplete | Nud.Reachable | Nud.Delay | Nud.Probe;

const names: readonly (readonly [Nud, string])[] = [
  [Nud.Incomplete, "INCOMPLETE"],
  [Nud.Reachable, "REACHABLE"],
  [Nud.Stale, "STALE"],
  [Nud.Delay, "DELAY"],
  [Nud.Probe, "PROBE"],
  [Nud.Failed, "FAILED"],
  [Nud.Noarp, "NOARP"],
  [Nud.Permanent, "PERMANENT"],
];

/** As `ip neigh` prints it; NONE has no word. */
export function nudName(state: Nud): string {
  return names.find(([s]) => s === state)?.[1] ?? "";
}

/** `reachable` → its state; null for an unknown word. */
export function parseNud(word: string): Nud | null {
  if (word === "none") return Nud.None;
  return names.find(([, name]) => name.toLowerCase() === word)?.[0] ?? null;
}

export class Neighbour {
  state = Nud.None;
  /** When reachability was last proved, when a packet last asked for it, when the entry last changed; ns. */
  confirmed = 0;
  used = 0;
  updated = 0;
  probes = 0;
  timer: Timer | null = null;
  /** A header for it was written once (hh_cache). */
  cached = false;
  /** Removed from the table; whoever still holds it must look again. */
  dead = false;
  /** Learned by a daemon, or a router (`extern_learn`, `router`); shown only. */
  router = false;
  externLearned = false;
  /** Packets that wait for the address, linked by `Pkt.Next`. */
  first: Frame = 0;
  last: Frame = 0;
  queued = 0;
  queuedBytes = 0;

  constructor(
    readonly table: DeviceNeighbours,
    /** IPv4 address, unsigned. */
    readonly address: number,
    /** Six bytes in the core. */
    readonly hw: number,
  ) {}

  /** What the timer runs; made when it is set the first time. */
  run: (() => void) | null = null;

  get dev(): Interface {
    return this.table.dev;
  }

  /** As `ip neigh` shows it, without the space at the line's end; who asked for one device is not told its name. */
  format(u8: Uint8Array, withDevice = true): string {
    const dev = withDevice ? ` dev ${this.dev.name}` : "";
    const address = (this.state & VALID) !== 0 ? ` lladdr ${formatMac(u8, this.hw)}` : "";
    const flags = (this.router ? " router" : "") + (this.externLearned ? " extern_learn" : "");
    const state = nudName(this.state);
    return `${formatIpv4(this.address)}${dev}${address}${flags}${state === "" ? "" : ` ${state}`}`;
  }
}

/** The neighbours on one device, with its settings (struct neigh_parms). */
export class DeviceNeighbours {
  readonly entries = new Map<number, Neighbour>();
  /** The one that was asked for last. */
  recent: Neighbour | null = null;
  /** Addresses that this host answers for (`ip neigh add proxy`). */
  proxies: Set<number> | null = null;
  /** Answers in the name of others that wait for their time. */
  proxyQueued = 0;
  /** Reachable time in ns as drawn, the base that it was drawn from, and when. */
  reachable = 0;
  base = -1;
  drawnAt = 0;

  constructor(
    readonly dev: Interface,
    readonly conf: NeighConf,
  ) {}
}
