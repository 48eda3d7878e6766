import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Drop } from "../../../assembly/drop.ts";
import { Pkt, PktFlag } from "../../../assembly/layout.ts";
import type { Frame } from "../../../src/core/core.ts";
import { Hook, Verdict } from "../../../src/host/netfilter/hooks.ts";
import { overBuilds } from "../../support/cores.ts";
import { hex, ip, Rig } from "./rig.ts";

interface Probe {
  readonly label: string;
  readonly in: readonly (readonly [number, string])[];
  readonly out: readonly (readonly ["docker0" | "eth0", string])[];
  readonly drops: readonly (readonly [string, string])[] | null;
}

const probes = JSON.parse(
  readFileSync(new URL("../../../fixtures/conntrack/fragments.json", import.meta.url), "utf8"),
) as Probe[];

/** What the packet looked like in the middle of the router. */
interface Seen {
  readonly lengths: number[];
  readonly fragMax: number;
  readonly flags: number;
}

function look(rig: Rig, frame: Frame): Seen {
  const { u32 } = rig.world.core;
  const geometry = u32[(frame + Pkt.Geometry) >> 2]! >> 2;
  const lengths: number[] = [];
  const count = geometry === 0 ? 0 : u32[geometry]!;
  for (let i = 0; i < count; i++) lengths.push(u32[geometry + 1 + i]!);
  return { lengths, fragMax: u32[(frame + Pkt.FragMax) >> 2]!, flags: u32[(frame + Pkt.Flags) >> 2]! };
}

function host(rig: Rig): void {
  const { nat } = rig.conntrack;
  const { core, x } = rig.world;
  rig.sysctl.set("net.ipv4.ipfrag_time", 1);
  rig.conntrack.use();
  const to = (port: number) => ({
    flags: 3,
    minAddr: ip("172.17.0.2"),
    maxAddr: ip("172.17.0.2"),
    minPort: port,
    maxPort: port,
    basePort: 0,
  });
  const [udp, tcp] = [to(9000), to(80)];
  nat.registerChain(Hook.Prerouting, -100, (f) => {
    const p = core.u32[(f + Pkt.Data) >> 2]!;
    if (x.ipv4Dst(p) >>> 0 !== ip("198.51.100.20")) return Verdict.Accept;
    const [proto, port] = [x.ipv4Proto(p), x.udpDstPort(p + 20)];
    if (proto === 17 && port === 9000) return nat.setup(f, "dst", udp);
    return proto === 6 && port === 8080 ? nat.setup(f, "dst", tcp) : Verdict.Accept;
  });
}

overBuilds("fragments against a recorded kernel", (core) => {
  it("puts together what the kernel did, and remembers the geometry that it left with", () => {
    const rig = new Rig(core(), "198.51.100.20", "172.17.0.1");
    host(rig);
    for (const probe of probes) {
      rig.drops.length = 0;
      rig.sent.length = 0;
      let seen: Seen | null = null;
      const whole: string[] = [];
      for (const [t, bytes] of probe.in) {
        rig.at(t);
        const out = rig.receive(rig.wan, hex(bytes), (f) => {
          seen = look(rig, f);
        });
        if (out !== "gone" && out !== "local") whole.push(out);
      }
      rig.at(probe.in[probe.in.length - 1]![0] + 1_200_000);
      const forwarded = probe.out.filter(([dev]) => dev === "docker0").map(([, b]) => b);
      if (forwarded.length > 0) {
        expect(whole.length, probe.label).toBe(1);
        // what the kernel cut it into again: the same bytes behind the header, each piece as long
        expect(whole[0]!.slice(40), probe.label).toBe(forwarded.map((b) => b.slice(40)).join(""));
        expect(seen!.lengths, probe.label).toEqual(forwarded.map((b) => b.length / 2 - 20));
        expect(seen!.fragMax, probe.label).toBe(Math.max(...probe.in.map(([, b]) => b.length / 2)));
        // version, TOS, id, TTL, protocol and addresses are the first piece's
        const first = forwarded[0]!;
        expect(whole[0]!.slice(0, 4) + whole[0]!.slice(8, 12) + whole[0]!.slice(16, 20), probe.label).toBe(
          first.slice(0, 4) + first.slice(8, 12) + first.slice(16, 20),
        );
        expect(whole[0]!.slice(24, 40), probe.label).toBe(first.slice(24, 40));
        expect((seen!.flags & PktFlag.FragComplete) !== 0, probe.label).toBe(true);
        const df = probe.label.startsWith("DF ");
        expect((seen!.flags & PktFlag.FragPmtu) !== 0, probe.label).toBe(df);
        expect(whole[0]!.slice(12, 16), probe.label).toBe(df ? "4000" : "0000");
      } else {
        expect(whole, probe.label).toEqual([]);
      }
      // Fragment reassembly time exceeded, type 11 code 1, and only that
      const asked = probe.out.some(([dev, b]) => dev === "eth0" && b.slice(40, 44) === "0b01");
      expect(
        rig.sent.map((s) => [s.type, s.code]),
        probe.label,
      ).toEqual(asked ? [[11, 1]] : []);
      const duplicates = (probe.drops ?? []).filter(([why]) => why === "DUP_FRAG").length;
      expect(rig.drops.filter((d) => d === Drop.FragDuplicate).length, probe.label).toBe(duplicates);
      if (/overlap|zero-length/.test(probe.label)) expect(rig.drops, probe.label).toContain(Drop.FragOverlap);
    }
    rig.at(120_000_000_000);
    expect(rig.conntrack.defragmenter.queues).toBe(0);
    expect(rig.conntrack.defragmenter.memory).toBe(0);
    expect(rig.world.x.packetsInUse()).toBe(0);
  });
});
