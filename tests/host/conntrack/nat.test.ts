import { expect, it } from "vitest";
import { CtStatus, RangeFlag } from "../../../assembly/conntracklayout.ts";
import { Drop } from "../../../assembly/drop.ts";
import { Pkt } from "../../../assembly/layout.ts";
import { Hook, type HookFn, Verdict } from "../../../src/host/netfilter/hooks.ts";
import { overBuilds } from "../../support/cores.ts";
import { hex, ip, Rig } from "./rig.ts";

const any = { flags: 0, minAddr: 0, maxAddr: 0, minPort: 0, maxPort: 0, basePort: 0 };
const WAN = "198.51.100.20";
const PEER = "203.0.113.10";

/** Masquerades 172.17.0.0/16 with that range; the rule, to take it away again. */
function masquerade(rig: Rig, range = any): HookFn {
  const { nat } = rig.conntrack;
  const { core, x } = rig.world;
  rig.conntrack.use();
  const rule: HookFn = (f, _h, _i, output) =>
    output === rig.wan && x.ipv4Src(core.u32[(f + Pkt.Data) >> 2]!) >>> 16 === 0xac11
      ? nat.masquerade(f, range, output)
      : Verdict.Accept;
  nat.registerChain(Hook.Postrouting, 100, rule);
  return rule;
}

function udp(rig: Rig, src: string, sport: number, dst: string, dport: number): Uint8Array {
  const { core, x } = rig.world;
  const at = x.alloc(64) >>> 0;
  x.ipv4Emit(at, 0, 32, 1, 0, 64, 17, ip(src), ip(dst));
  core.u8.set([1, 2, 3, 4], at + 28);
  x.udpEmit(at + 20, sport, dport, 12);
  x.udpFillChecksum(at + 20, ip(src), ip(dst));
  const b = core.u8.slice(at, at + 32);
  x.release(at, 64);
  return b;
}

function echo(rig: Rig, src: string, id: number, dst: string): Uint8Array {
  const { core, x } = rig.world;
  const at = x.alloc(64) >>> 0;
  x.ipv4Emit(at, 0, 28, 1, 0, 64, 1, ip(src), ip(dst));
  x.icmpEmit(at + 20, 8, 0, id << 16);
  x.icmpFillChecksum(at + 20, 8);
  const b = core.u8.slice(at, at + 28);
  x.release(at, 64);
  return b;
}

/** Source address and port (or ICMP id) of a packet that left; its checksums are right. */
function source(rig: Rig, out: string): [string, number] {
  const { core, x } = rig.world;
  const b = hex(out);
  const at = x.alloc(64) >>> 0;
  core.u8.set(b, at);
  expect(x.ipv4Check(at, b.length)).toBe(Drop.None);
  if (b[9] === 17) expect(x.udpVerify(at + 20, x.ipv4Src(at), x.ipv4Dst(at))).toBeTruthy();
  else expect(x.icmpVerify(at + 20, b.length - 20)).toBeTruthy();
  x.release(at, 64);
  const port = b[9] === 17 ? (b[20]! << 8) | b[21]! : (b[24]! << 8) | b[25]!;
  return [`${b[12]}.${b[13]}.${b[14]}.${b[15]}`, port];
}

overBuilds("NAT", (core) => {
  it("keeps a port that is free and chooses within its class when it is taken", () => {
    const rig = new Rig(core(), WAN, "172.17.0.1");
    masquerade(rig);
    for (const [port, low, high] of [
      [5353, 1024, 65535],
      [123, 1, 511],
      [511, 1, 511],
      [700, 600, 1023],
      [1023, 600, 1023],
    ] as const) {
      expect(source(rig, rig.receive(rig.lan, udp(rig, "172.17.0.2", port, PEER, 53)))).toEqual([WAN, port]);
      // the same source keeps its mapping towards others
      expect(source(rig, rig.receive(rig.lan, udp(rig, "172.17.0.2", port, PEER, 54)))).toEqual([WAN, port]);
      const [address, other] = source(rig, rig.receive(rig.lan, udp(rig, "172.17.0.3", port, PEER, 53)));
      expect(address).toBe(WAN);
      expect(other).not.toBe(port);
      expect(other).toBeGreaterThanOrEqual(low);
      expect(other).toBeLessThanOrEqual(high);
      // and its answer finds the way back
      const back = rig.receive(rig.wan, udp(rig, PEER, 53, WAN, other));
      expect(back.slice(32, 40)).toBe("ac110003");
      expect(parseInt(back.slice(44, 48), 16)).toBe(port);
    }
    expect(source(rig, rig.receive(rig.lan, echo(rig, "172.17.0.2", 77, PEER)))).toEqual([WAN, 77]);
    expect(source(rig, rig.receive(rig.lan, echo(rig, "172.17.0.3", 77, PEER)))[1]).not.toBe(77);
  });

  it("takes what a real box chose, where it may choose", () => {
    const rig = new Rig(core(), WAN, "172.17.0.1");
    masquerade(rig);
    rig.conntrack.nat.addChoice({
      proto: "udp",
      src: "172.17.0.3",
      dst: PEER,
      sport_or_id: 5353,
      dport: 53,
      new_src: WAN,
      new_sport_or_id: 50725,
    });
    rig.receive(rig.lan, udp(rig, "172.17.0.2", 5353, PEER, 53));
    expect(source(rig, rig.receive(rig.lan, udp(rig, "172.17.0.3", 5353, PEER, 53)))).toEqual([WAN, 50725]);
    expect(() =>
      rig.conntrack.nat.addChoice({
        proto: "x",
        src: WAN,
        dst: WAN,
        sport_or_id: 1,
        dport: 1,
        new_src: WAN,
        new_sport_or_id: 1,
      }),
    ).toThrow("unknown protocol 'x'");
  });

  it("remaps the host's own connection when a masqueraded one holds its port", () => {
    const rig = new Rig(core(), WAN, "172.17.0.1");
    masquerade(rig);
    rig.receive(rig.lan, udp(rig, "172.17.0.2", 4000, PEER, 53));
    const [address, port] = source(rig, rig.output(rig.wan, udp(rig, WAN, 4000, PEER, 53)));
    expect(address).toBe(WAN);
    expect(port).not.toBe(4000);
  });

  it("loses a connection only when it is confirmed, once every port of the range is taken", () => {
    const rig = new Rig(core(), WAN, "172.17.0.1");
    masquerade(rig, { ...any, flags: RangeFlag.ProtoSpecified, minPort: 6000, maxPort: 6001 });
    const ports = [2, 3].map((n) => source(rig, rig.receive(rig.lan, udp(rig, `172.17.0.${n}`, 99, PEER, 53)))[1]);
    expect(ports.toSorted((a, b) => a - b)).toEqual([6000, 6001]);
    // the third gets a tuple that is taken, and confirming it fails
    expect(rig.receive(rig.lan, udp(rig, "172.17.0.4", 99, PEER, 53))).toBe("gone");
    expect(rig.drops).toEqual([Drop.ConntrackInvalid]);
  });

  it("forgets what masquerades behind a device that goes down, and kills a flow that leaves by another", () => {
    const rig = new Rig(core(), WAN, "172.17.0.1");
    masquerade(rig);
    rig.receive(rig.lan, udp(rig, "172.17.0.2", 1, PEER, 53));
    rig.output(rig.lan, udp(rig, "172.17.0.1", 1, "172.17.0.2", 2));
    expect(rig.conntrack.count).toBe(2);
    rig.conntrack.linkDown(rig.wan);
    expect(rig.conntrack.list().map((l) => l.includes("src=172.17.0.1"))).toEqual([true]);
    // another way out: the address is no longer the device's
    rig.receive(rig.lan, udp(rig, "172.17.0.2", 1, PEER, 53));
    const h = rig.frame(udp(rig, "172.17.0.2", 1, PEER, 53));
    rig.hooks.run(Hook.Prerouting, h, rig.lan, null);
    expect(rig.hooks.run(Hook.Postrouting, h, rig.lan, rig.lan)).toBe(false);
    expect(rig.drops).toEqual([Drop.NatFailed]);
    expect(rig.conntrack.count).toBe(1);
  });

  it("stops with the last rule that needs it, keeps its entries, and goes on with the next", () => {
    const rig = new Rig(core(), WAN, "172.17.0.1");
    masquerade(rig);
    const out = udp(rig, "172.17.0.2", 7, PEER, 53);
    expect(source(rig, rig.receive(rig.lan, out))).toEqual([WAN, 7]);
    rig.conntrack.release();
    expect(source(rig, rig.receive(rig.lan, out))).toEqual(["172.17.0.2", 7]);
    expect(rig.conntrack.list().length).toBe(1);
    rig.conntrack.use();
    expect(source(rig, rig.receive(rig.lan, out))).toEqual([WAN, 7]);
    expect(() => {
      rig.conntrack.release();
      rig.conntrack.release();
    }).toThrow("released more often");
  });

  it("says what it did to whoever traces, and gives rules what they ask for", () => {
    const rig = new Rig(core(), WAN, "172.17.0.1");
    masquerade(rig);
    rig.listen();
    const seen: unknown[] = [];
    rig.receive(rig.lan, udp(rig, "172.17.0.2", 7, PEER, 53), (f) => {
      const c = rig.conntrack;
      c.setMark(f, 9);
      seen.push(
        c.state(f),
        c.direction(f),
        c.status(f),
        c.mark(f),
        c.protocol(f),
        c.tupleSport(f, 0),
        c.tupleDport(f, 1),
        c.expires(f),
      );
    });
    expect(seen).toEqual([8, 0, CtStatus.DstNatDone, 9, 17, 7, 7, 30]);
    expect(rig.traces.filter((l) => !l.startsWith("hook: "))).toEqual([
      `conntrack: NEW udp      17 30 src=172.17.0.2 dst=${PEER} sport=7 dport=53 [UNREPLIED] src=${PEER} dst=172.17.0.2 sport=53 dport=7 mark=0 use=1`,
      `rewrite: snat: ${WAN} > ${PEER} (src=172.17.0.2 dst=${PEER} sport=7 dport=53 / src=${PEER} dst=${WAN} sport=53 dport=7)`,
    ]);
    expect(rig.conntrack.list()).toEqual([
      `udp      17 30 src=172.17.0.2 dst=${PEER} sport=7 dport=53 [UNREPLIED] src=${PEER} dst=${WAN} sport=53 dport=7 mark=9 use=1`,
    ]);
  });
});
