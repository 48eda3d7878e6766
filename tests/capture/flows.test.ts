// Flows and counters against naive ones, made from the JSON lines of the same frames.

import fc from "fast-check";
import { expect, it } from "vitest";
import { FlowEntry } from "../../assembly/flowlayout.ts";
import { ColumnReader } from "../../src/capture/columns.ts";
import { type Flow, Flows, flowsOf } from "../../src/capture/flows.ts";
import { addStats, sizeBounds, StatsCounter } from "../../src/capture/stats.ts";
import { PcapWriter } from "../../src/capture/writer.ts";
import type { Core } from "../../src/core/core.ts";
import { parseIpv4 } from "../../src/core/address.ts";
import { decodeLines, fixture } from "../support/decode.ts";
import { overBuilds } from "../support/cores.ts";

interface Plain {
  src: number;
  dst: number;
  ports: string | null;
  proto: number;
  packets: [number, number];
  bytes: [number, number];
  flags: [number, number];
  first: number;
  last: number;
}

/** Microseconds: exact as a double. */
const microseconds = (f: Flow, s: FlowEntry, ns: FlowEntry): number => f.f64(s) * 1e6 + f.u32(ns) / 1000;

function plain(flows: Iterable<Flow>): Plain[] {
  return Array.from(flows, (f) => ({
    src: f.u32(FlowEntry.Src),
    dst: f.u32(FlowEntry.Dst),
    ports: f.hasPorts ? `${f.sourcePort} ${f.destinationPort}` : null,
    proto: f.protocol,
    packets: [f.u32(FlowEntry.Packets), f.u32(FlowEntry.PacketsBack)],
    bytes: [f.f64(FlowEntry.Bytes), f.f64(FlowEntry.BytesBack)],
    flags: [f.tcpFlags, f.tcpFlagsBack],
    first: microseconds(f, FlowEntry.FirstSeconds, FlowEntry.FirstNanoseconds),
    last: microseconds(f, FlowEntry.LastSeconds, FlowEntry.LastNanoseconds),
  }));
}

interface Packet {
  readonly src: number;
  readonly dst: number;
  readonly sport: number;
  readonly dport: number;
  readonly proto: number;
  readonly flags: number;
  readonly pad: number;
  readonly micros: number;
  readonly later: boolean;
}

/** The frame: checksums are left at zero, nothing here depends on them. */
function frameOf(p: Packet): Uint8Array {
  const b = new Uint8Array(14 + 20 + 20 + p.pad);
  const v = new DataView(b.buffer);
  v.setUint16(12, 0x0800);
  b[14] = 0x45;
  v.setUint16(16, b.length - 14);
  v.setUint16(20, p.later ? 100 : 0);
  b[23] = p.proto;
  v.setUint32(26, p.src);
  v.setUint32(30, p.dst);
  v.setUint16(34, p.sport);
  v.setUint16(36, p.dport);
  if (p.proto === 17) v.setUint16(38, 20 + p.pad);
  else {
    b[46] = 0x50;
    b[47] = p.flags;
  }
  return b;
}

function captureOf(packets: readonly Packet[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const w = new PcapWriter((bytes) => void parts.push(bytes.slice()));
  for (const p of packets) w.write(1000 + Math.floor(p.micros / 1e6), (p.micros % 1e6) * 1000, frameOf(p));
  w.flush();
  return Buffer.concat(parts);
}

/** The same with a Map of strings. */
function naive(packets: readonly Packet[]): Plain[] {
  const flows = new Map<string, Plain>();
  for (const p of packets) {
    const known = !p.later && (p.proto === 6 || p.proto === 17);
    const [sport, dport] = known ? [p.sport, p.dport] : [0, 0];
    const key = (a: number, ap: number, b: number, bp: number): string => `${known} ${p.proto} ${a}:${ap} ${b}:${bp}`;
    let way = 0;
    let f = flows.get(key(p.src, sport, p.dst, dport));
    if (f === undefined) {
      f = flows.get(key(p.dst, dport, p.src, sport));
      if (f !== undefined) way = 1;
    }
    const time = 1e9 + p.micros;
    if (f === undefined) {
      const ports = known ? `${sport} ${dport}` : null;
      f = {
        src: p.src,
        dst: p.dst,
        ports,
        proto: p.proto,
        packets: [0, 0],
        bytes: [0, 0],
        flags: [0, 0],
        first: time,
        last: time,
      };
      flows.set(key(p.src, sport, p.dst, dport), f);
    }
    f.packets[way]!++;
    f.bytes[way]! += 54 + p.pad;
    if (known && p.proto === 6) f.flags[way]! |= p.flags;
    f.first = Math.min(f.first, time);
    f.last = Math.max(f.last, time);
  }
  return [...flows.values()];
}

const packet: fc.Arbitrary<Packet> = fc.record({
  src: fc.constantFrom(1, 2, 0xffffffff, 0x0a000001),
  dst: fc.constantFrom(1, 2, 0xffffffff, 0x0a000001),
  sport: fc.constantFrom(0, 1, 80, 65535),
  dport: fc.constantFrom(0, 1, 80, 65535),
  proto: fc.constantFrom(6, 6, 17, 1, 47),
  flags: fc.nat(255),
  pad: fc.nat(30),
  micros: fc.nat(3_000_000),
  later: fc.boolean(),
});

function read(core: Core, capture: Uint8Array, use: (c: ColumnReader) => void): void {
  const c = new ColumnReader(core);
  for (let from = 0; from < capture.length; from += c.chunk.length) {
    const part = capture.subarray(from, from + c.chunk.length);
    c.chunk.set(part);
    c.push(part.length);
    while (c.next()) use(c);
  }
  c.end();
  c.free();
}

overBuilds("flows", (make) => {
  const core = make();

  it("are those of a naive table, also put together from parts", () => {
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 60 }), fc.nat(60), fc.nat(0xffffffff), (packets, cut, seed) => {
        const whole = new Flows(core, 1000, seed);
        read(core, captureOf(packets), (c) => whole.add(c));
        const want = naive(packets);
        expect(plain(whole)).toEqual(want);
        expect(plain(flowsOf(whole.bytes()))).toEqual(want);
        const merged = new Flows(core, 1000, seed ^ 1);
        for (const part of [packets.slice(0, cut), packets.slice(cut)]) {
          const flows = new Flows(core);
          read(core, captureOf(part), (c) => flows.add(c));
          merged.merge(flows.bytes());
          flows.free();
        }
        expect(plain(merged)).toEqual(want);
        whole.free();
        merged.free();
      }),
      { numRuns: 300 },
    );
  });

  it("keep their order while the table grows, and stop at the limit", () => {
    const packets = Array.from({ length: 30_000 }, (_, i): Packet => ({
      src: Math.imul(i % 15_000, 0x9e3779b1) >>> 0,
      dst: 7,
      sport: i % 15_000,
      dport: 9,
      proto: 17,
      flags: 0,
      pad: 0,
      micros: i,
      later: false,
    }));
    const capture = captureOf(packets);
    const flows = new Flows(core, 20_000);
    read(core, capture, (c) => flows.add(c));
    expect(plain(flows)).toEqual(naive(packets));
    expect([flows.count, flows.missed, flows.outside]).toEqual([15_000, 0, 0]);
    flows.free();
    const few = new Flows(core, 5000);
    read(core, capture, (c) => few.add(c));
    expect([few.count, few.missed]).toEqual([5000, 20_000]);
    expect(plain(few)).toEqual(naive(packets.filter((p) => p.sport < 5000)));
    few.free();
    const before = core.x.arenaUsed();
    for (let i = 0; i < 20; i++) new Flows(core, 20_000).free();
    expect(core.x.arenaUsed()).toBe(before);
  });
});

const captures = ["text", "mutated", "cut", "options", "link", "sll", "null", "rawip"].map(
  (name) => `decode/${name}.pcap`,
);

overBuilds("counters", (make) => {
  const core = make();

  it.each(captures)("%s: as its JSON lines count", (name) => {
    const capture = fixture(name);
    const counter = new StatsCounter(core);
    const flows = new Flows(core);
    read(core, capture, (c) => {
      counter.add(c);
      flows.add(c);
    });
    const s = counter.read();
    const want = { frames: 0, bytes: 0, captured: 0, sizes: Array.from({ length: 10 }, () => 0) };
    const protocols = new Map<string, number>();
    const checksums: Record<string, number[]> = {
      ip: [0, 0, 0, 0],
      icmp: [0, 0, 0, 0],
      udp: [0, 0, 0, 0],
      tcp: [0, 0, 0, 0],
    };
    let addressed = 0;
    for (const line of decodeLines(core, capture, "json")) {
      const f = JSON.parse(line) as Record<string, number> & { proto: string[] };
      const len = f["frame.len"]!;
      want.frames++;
      want.bytes += len;
      want.captured += f["frame.cap_len"]!;
      const size = sizeBounds.findIndex((bound) => len < bound);
      want.sizes[size < 0 ? 9 : size]!++;
      // to the transport, and stacked tags as one
      const chain =
        f.proto
          .filter((p, i) => p !== "http" && p !== "dns" && (p !== "vlan" || f.proto[i - 1] !== "vlan"))
          .join(":") || "other";
      protocols.set(chain, (protocols.get(chain) ?? 0) + 1);
      for (const layer of Object.keys(checksums)) {
        const status = f[`${layer}.checksum.status`];
        if (status !== undefined) checksums[layer]![status]!++;
      }
      if (f["ip.src"] !== undefined) {
        expect(parseIpv4(String(f["ip.src"]))).not.toBeNull();
        addressed++;
      }
    }
    expect({ frames: s.frames, bytes: s.bytes, captured: s.captured, sizes: s.sizes }).toEqual(want);
    expect(new Map([...s.protocols].map(([chain, n]) => [chain, n.frames]))).toEqual(protocols);
    for (const [layer, n] of Object.entries(checksums)) {
      expect([layer, ...Object.values(s.checksums[layer as "ip"])]).toEqual([layer, ...n]);
    }
    const total = plain(flows).reduce((n, f) => n + f.packets[0] + f.packets[1], 0);
    expect(total + flows.outside).toBe(s.frames);
    expect(total).toBeLessThanOrEqual(addressed);
    // twice the same file is twice of everything, over the same time
    const twice = counter.read();
    addStats(twice, s);
    read(core, capture, (c) => counter.add(c));
    expect(counter.read()).toEqual(twice);
    counter.free();
    flows.free();
  });
});
