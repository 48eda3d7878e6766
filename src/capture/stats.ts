// src/capture/stats.ts: what a capture has: frames and bytes by protocol, by size, by checksum, over how long.

import { Stats, StatsSize } from "../../assembly/flowlayout.ts";
import { Layer } from "../../assembly/record.ts";
import type { Core } from "../core/core.ts";
import type { ColumnReader } from "./columns.ts";

export interface Time {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** Frames with a checksum of this layer, by Wireshark's status. */
export interface ChecksumCounts {
  bad: number;
  good: number;
  unverified: number;
  absent: number;
}

export const checksumLayers = ["ip", "icmp", "udp", "tcp"] as const;

/** Lengths on the wire below these, and longer ones: tshark's `-z plen,tree`. */
export const sizeBounds = [20, 40, 80, 160, 320, 640, 1280, 2560, 5120] as const;

/** Counters of a capture: plain data, which adds up. */
export interface CaptureStats {
  frames: number;
  bytes: number;
  captured: number;
  first: Time | null;
  last: Time | null;
  /** By layers up to the transport: `eth:ip:tcp`, stacked tags as one `vlan`; `other` where nothing was recognized. */
  protocols: Map<string, { frames: number; bytes: number }>;
  /** Ethernet frames without ARP and IPv4, by EtherType; lengths (802.3) are 0. */
  etherTypes: Map<number, number>;
  /** IPv4 packets without an ICMP, UDP or TCP header, by protocol. */
  ipProtocols: Map<number, number>;
  /** Ten: `sizeBounds`, and longer. */
  sizes: number[];
  checksums: Record<(typeof checksumLayers)[number], ChecksumCounts>;
}

const layerNames: readonly (readonly [Layer, string])[] = [
  [Layer.Eth, "eth"],
  [Layer.Vlan, "vlan"],
  [Layer.Arp, "arp"],
  [Layer.Ip, "ip"],
  [Layer.Icmp, "icmp"],
  [Layer.Udp, "udp"],
  [Layer.Tcp, "tcp"],
];

/** The least EtherType (IEEE 802.3): below are lengths. */
const TYPE_MIN = 0x600;

/** Counts in the core. */
export class StatsCounter {
  private readonly core: Core;
  private readonly at: number;

  /** Throws when the core's memory is used up. */
  constructor(core: Core) {
    this.core = core;
    this.at = core.x.statsNew() >>> 0;
    if (this.at === 0) throw new Error("stats: the core's memory is used up");
  }

  /** Counts the first `count` frames of a batch. */
  add(columns: ColumnReader, count = columns.count): void {
    this.core.x.statsAdd(this.at, columns.records, count);
  }

  free(): void {
    this.core.x.release(this.at, Stats.Size);
  }

  /** What was counted so far. */
  read(): CaptureStats {
    const f64 = (at: number): number => this.core.view.getFloat64(this.at + at, true);
    const time = (seconds: Stats, nanoseconds: Stats): Time | null =>
      Number.isNaN(f64(seconds))
        ? null
        : { seconds: f64(seconds), nanoseconds: this.core.u32[(this.at + nanoseconds) >>> 2]! };
    const protocols: CaptureStats["protocols"] = new Map();
    for (let bits = 0; bits < StatsSize.Chains; bits++) {
      const frames = f64(Stats.Chains + bits * 16);
      if (frames === 0) continue;
      const chain = layerNames.filter(([layer]) => (bits & layer) !== 0).map(([, name]) => name);
      protocols.set(chain.length === 0 ? "other" : chain.join(":"), {
        frames,
        bytes: f64(Stats.Chains + bits * 16 + 8),
      });
    }
    const etherTypes = new Map<number, number>();
    for (let type = 0; type < 65536; type++) {
      const n = f64(Stats.Types + type * 8);
      if (n > 0) increase(etherTypes, type < TYPE_MIN ? 0 : type, n);
    }
    const ipProtocols = new Map<number, number>();
    for (let p = 0; p < 256; p++)
      if (f64(Stats.Protocols + p * 8) > 0) ipProtocols.set(p, f64(Stats.Protocols + p * 8));
    const counts = (row: number): ChecksumCounts => {
      const [bad, good, unverified, absent] = [0, 8, 16, 24].map((i) => f64(Stats.Checksums + row * 32 + i));
      return { bad: bad!, good: good!, unverified: unverified!, absent: absent! };
    };
    return {
      frames: f64(Stats.Frames),
      bytes: f64(Stats.Bytes),
      captured: f64(Stats.Captured),
      first: time(Stats.FirstSeconds, Stats.FirstNanoseconds),
      last: time(Stats.LastSeconds, Stats.LastNanoseconds),
      protocols,
      etherTypes,
      ipProtocols,
      sizes: Array.from({ length: StatsSize.Sizes }, (_, i) => f64(Stats.Sizes + i * 8)),
      checksums: { ip: counts(0), icmp: counts(1), udp: counts(2), tcp: counts(3) },
    };
  }
}

function increase(map: Map<number, number>, key: number, n: number): void {
  map.set(key, (map.get(key) ?? 0) + n);
}

function earlier(a: Time, b: Time): boolean {
  return a.seconds < b.seconds || (a.seconds === b.seconds && a.nanoseconds <= b.nanoseconds);
}

/** Adds `more` to `to`. */
export function addStats(to: CaptureStats, more: CaptureStats): void {
  to.frames += more.frames;
  to.bytes += more.bytes;
  to.captured += more.captured;
  if (more.first !== null && (to.first === null || earlier(more.first, to.first))) to.first = more.first;
  if (more.last !== null && (to.last === null || earlier(to.last, more.last))) to.last = more.last;
  for (const [chain, n] of more.protocols) {
    const old = to.protocols.get(chain);
    to.protocols.set(chain, { frames: n.frames + (old?.frames ?? 0), bytes: n.bytes + (old?.bytes ?? 0) });
  }
  for (const [type, n] of more.etherTypes) increase(to.etherTypes, type, n);
  for (const [p, n] of more.ipProtocols) increase(to.ipProtocols, p, n);
  more.sizes.forEach((n, i) => (to.sizes[i] = to.sizes[i]! + n));
  for (const layer of checksumLayers) {
    for (const status of ["bad", "good", "unverified", "absent"] as const) {
      to.checksums[layer][status] += more.checksums[layer][status];
    }
  }
}
