import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Pkt } from "../../../assembly/layout.ts";
import { Hook, Verdict } from "../../../src/host/netfilter/hooks.ts";
import { overBuilds } from "../../support/cores.ts";
import { hex, ip, Rig } from "./rig.ts";

interface Fixture {
  readonly events: readonly string[];
  readonly probes: readonly {
    readonly label: string;
    readonly in: readonly (readonly [number, "wan" | "lan", string])[];
    readonly out: readonly (readonly [number, string, string])[];
    readonly conntrack: readonly string[] | null;
  }[];
}

const fixture = JSON.parse(
  readFileSync(new URL("../../../fixtures/conntrack/raw-segments.json", import.meta.url), "utf8"),
) as Fixture;

/** DNAT of tcp 8080, MASQUERADE of 172.17.0.0/16, and FORWARD dropping INVALID: the router that was recorded. */
function router(rig: Rig): void {
  const { nat } = rig.conntrack;
  const { core, x } = rig.world;
  const header = (f: number): number => core.u32[(f + Pkt.Data) >> 2]!;
  rig.conntrack.use();
  const to = { flags: 3, minAddr: ip("172.17.0.2"), maxAddr: ip("172.17.0.2"), minPort: 80, maxPort: 80, basePort: 0 };
  const any = { flags: 0, minAddr: 0, maxAddr: 0, minPort: 0, maxPort: 0, basePort: 0 };
  nat.registerChain(Hook.Prerouting, -100, (f, _h, input) => {
    const p = header(f);
    const hit =
      input === rig.wan &&
      x.ipv4Dst(p) >>> 0 === ip("198.51.100.20") &&
      x.ipv4Proto(p) === 6 &&
      x.tcpDstPort(p + 20) === 8080;
    return hit ? nat.setup(f, "dst", to) : Verdict.Accept;
  });
  nat.registerChain(Hook.Postrouting, 100, (f, _h, _i, output) =>
    (x.ipv4Src(header(f)) & 0xffff0000) >>> 0 === ip("172.17.0.0") && output === rig.wan
      ? nat.masquerade(f, any, output)
      : Verdict.Accept,
  );
  rig.hooks.register(Hook.Forward, 0, "filter", (f) => (rig.conntrack.tracked(f) ? Verdict.Accept : Verdict.Drop));
}

/** The kernel's clock had its own phase within a second: a timeout may show one second more or less. */
const close = (line: string): string => line.replace(/^(ipv4 +2 +)?(\w+ +\d+) \d+ /, "$2 # ");
const timeout = (line: string): number => Number(/^(?:ipv4 +2 +)?\w+ +\d+ (\d+) /.exec(line)![1]);

overBuilds("conntrack against a recorded kernel", (core) => {
  it("forwards every packet as the kernel did, and has its state after each", () => {
    const rig = new Rig(core(), "198.51.100.20", "172.17.0.1");
    router(rig);
    for (const [i, probe] of fixture.probes.entries()) {
      const what = `${i}: ${probe.label}`;
      const [t, dev, bytes] = probe.in[0]!;
      rig.at(t);
      const out = rig.receive(dev === "wan" ? rig.wan : rig.lan, hex(bytes));
      // what the router's own stack answers (resets, port unreachable) is not conntrack's
      const forwarded = probe.out.filter(([, to]) => to !== dev);
      if (forwarded.length > 0) expect(out, what).toBe(forwarded[0]![2]);
      else expect(["local", "gone"], what).toContain(out);
      if (probe.conntrack === null) continue;
      const first = probe.conntrack[0];
      const port = `sport=${Math.max(parseInt(bytes.slice(40, 44), 16), parseInt(bytes.slice(44, 48), 16))} `;
      const ours = rig.conntrack.list().filter((l) => (first === undefined ? l.includes(port) : sharesFlow(l, first)));
      expect(ours.map(close), what).toEqual(probe.conntrack.map(close));
      for (const [j, line] of ours.entries())
        expect(Math.abs(timeout(line) - timeout(probe.conntrack[j]!)), what).toBeLessThan(2);
    }
    expect(rig.world.x.packetsInUse()).toBe(0);
  });

  it("tells the kernel's events", () => {
    const rig = new Rig(core(), "198.51.100.20", "172.17.0.1");
    router(rig);
    const said: string[] = [];
    rig.conntrack.onEvent((line) => said.push(line.trim().replace(/ +/g, " ")));
    for (const probe of fixture.probes) {
      rig.at(probe.in[0]![0]);
      rig.receive(probe.in[0]![1] === "wan" ? rig.wan : rig.lan, hex(probe.in[0]![2]));
    }
    const plain = (l: string): string => l.replace(/(\w+ \d+) \d+ /, "$1 # ");
    const theirs = fixture.events.map((l) => plain(l));
    expect(said.map((l) => plain(l))).toEqual(theirs);
  });
});

/** Whether two lines are about one flow: the words of the original tuple. */
function sharesFlow(a: string, b: string): boolean {
  const tuple = (l: string): string =>
    /src=\S+ dst=\S+(?: (?:sport|type)=\S+ (?:dport|code)=\S+)?(?: id=\S+)?/.exec(l)![0];
  return tuple(a) === tuple(b);
}
