// Random frames on random ports against a naive model of 802.1D and 802.1Q: a list of stations, a set of members.

import fc from "fast-check";
import { expect, test } from "vitest";
import { Bridge } from "../../src/device/bridge.ts";
import { PortState } from "../../src/device/bridgeport.ts";
import { Fdb, type FdbTarget } from "../../src/device/fdb.ts";
import { Clock, SECOND } from "../../src/link/clock.ts";
import { coreOf } from "../support/cores.ts";
import { ether, FakeOwner, makeWorld } from "../support/owner.ts";

const PORTS = 4;
const OWN = "02:00:00:00:0b:00";
const station = (n: number): string => `02:00:00:00:0a:0${n}`;

type Step =
  | { kind: "frame"; port: number; src: number; dst: number; tag: number | null }
  | { kind: "wait"; seconds: number }
  | { kind: "state"; port: number; state: PortState }
  | {
      kind: "flag";
      port: number;
      flag: "hairpin" | "learning" | "flood" | "mcastFlood" | "bcastFlood" | "isolated";
      on: boolean;
    }
  | { kind: "link"; port: number; up: boolean }
  | { kind: "vlan"; port: number; vid: number; add: boolean; pvid: boolean; untagged: boolean };

const port = fc.integer({ min: 0, max: PORTS - 1 });
// destinations: six stations, broadcast, a group, the bridge, a port
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("frame" as const),
      port,
      src: fc.integer({ min: 1, max: 6 }),
      dst: fc.integer({ min: 1, max: 10 }),
      tag: fc.option(fc.constantFrom(0, 1, 2, 3, 4095)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), seconds: fc.integer({ min: 1, max: 400 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("state" as const),
      port,
      state: fc.constantFrom(0, 1, 2, 3, 3, 3, 3, 3, 3, 4),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("flag" as const),
      port,
      on: fc.boolean(),
      flag: fc.constantFrom(
        "hairpin" as const,
        "learning" as const,
        "flood" as const,
        "mcastFlood" as const,
        "bcastFlood" as const,
        "isolated" as const,
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("link" as const), port, up: fc.constantFrom(true, true, true, false) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("vlan" as const),
      port,
      vid: fc.integer({ min: 1, max: 3 }),
      add: fc.boolean(),
      pvid: fc.boolean(),
      untagged: fc.boolean(),
    }),
  },
);

interface ModelPort {
  state: PortState;
  up: boolean;
  hairpin: boolean;
  learning: boolean;
  flood: boolean;
  mcastFlood: boolean;
  bcastFlood: boolean;
  isolated: boolean;
  pvid: number;
  members: Map<number, boolean>;
}

/** What leaves, as `port/vid-or-untagged`, and whether the host gets it. */
class Model {
  now = 0;
  readonly ports: ModelPort[] = Array.from({ length: PORTS }, () => ({
    state: PortState.Forwarding,
    up: true,
    hairpin: false,
    learning: true,
    flood: true,
    mcastFlood: true,
    bcastFlood: true,
    isolated: false,
    pvid: 1,
    members: new Map([[1, true]]),
  }));
  stations: { mac: number; vid: number; port: number; seen: number }[] = [];

  constructor(readonly filtering: boolean) {}

  frame(at: number, src: number, dst: number, tag: number | null): { out: string[]; up: boolean } {
    const nothing = { out: [], up: false };
    const from = this.ports[at]!;
    if (!from.up || (from.state !== PortState.Forwarding && from.state !== PortState.Learning)) return nothing;
    let vid = 0;
    if (this.filtering) {
      vid = tag === null || tag === 0 ? from.pvid : tag;
      if (vid === 0 || !from.members.has(vid)) return nothing;
    }
    this.stations = this.stations.filter((s) => this.now - s.seen < 300);
    if (from.learning) {
      this.stations = this.stations.filter((s) => s.mac !== src || s.vid !== vid);
      this.stations.push({ mac: src, vid, port: at, seen: this.now });
    }
    if (from.state === PortState.Learning) return nothing;
    const hostIn = !this.filtering || vid === 1;
    const own = dst === 9 || dst === 10;
    // the own addresses stand in the VLANs of their devices
    if (own && (!this.filtering || (dst === 9 ? vid === 1 : this.ports[0]!.members.has(vid))))
      return { out: [], up: hostIn };
    const known = this.stations.find((s) => s.mac === dst && s.vid === vid);
    const out: string[] = [];
    for (let k = PORTS - 1; k >= 0; k--) {
      const to = this.ports[k]!;
      if (known !== undefined ? known.port !== k : !(dst === 7 ? to.bcastFlood : dst === 8 ? to.mcastFlood : to.flood))
        continue;
      if (k === at && !to.hairpin) continue;
      if (!to.up || to.state !== PortState.Forwarding) continue;
      if (from.isolated && to.isolated) continue;
      const untagged = to.members.get(vid);
      if (this.filtering && untagged === undefined) continue;
      const label = this.filtering ? (untagged === true ? "-" : String(vid)) : tag === null ? "-" : String(tag);
      out.push(`p${k}/${label}`);
    }
    return { out, up: hostIn && (dst === 7 || dst === 8) };
  }
}

const macOf = (n: number): string =>
  n <= 6
    ? station(n)
    : n === 7
      ? "ff:ff:ff:ff:ff:ff"
      : n === 8
        ? "01:00:5e:00:00:09"
        : n === 9
          ? OWN
          : "02:00:00:00:0b:10";

for (const filtering of [false, true]) {
  test(`every frame goes where the model says, and none is lost (vlan_filtering ${Number(filtering)})`, () => {
    const core = coreOf("debug");
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 150, size: "max" }), (steps) => {
        const owner = new FakeOwner(makeWorld(core));
        const used = core.x.packetsInUse();
        const br = new Bridge(owner.device("br0", OWN, "bridge"));
        const devs = Array.from({ length: PORTS }, (_, k) => owner.device(`p${k}`, `02:00:00:00:0b:1${k}`));
        for (const d of devs) br.addPort(d);
        br.setVlanFiltering(filtering);
        const model = new Model(filtering);
        for (const s of steps) {
          if (s.kind === "wait") {
            model.now += s.seconds;
            owner.world.clock.advance(model.now * SECOND);
            continue;
          }
          const p = br.port(`p${s.port}`)!;
          const m = model.ports[s.port]!;
          if (s.kind === "state") {
            br.setState(p, s.state);
            if (m.up) m.state = s.state === PortState.Blocking ? PortState.Forwarding : s.state;
          } else if (s.kind === "flag") p[s.flag] = m[s.flag] = s.on;
          else if (s.kind === "link") {
            if (!s.up && m.up) model.stations = model.stations.filter((x) => x.port !== s.port);
            if (s.up && !m.up) m.state = PortState.Forwarding;
            m.up = devs[s.port]!.up = s.up;
            br.linkChanged();
          } else if (s.kind === "vlan") {
            if (s.add) {
              br.addVlan(p, s.vid, s.pvid, s.untagged);
              m.members.set(s.vid, s.untagged);
              if (s.pvid) m.pvid = s.vid;
              else if (m.pvid === s.vid) m.pvid = 0;
            } else {
              br.deleteVlan(p, s.vid);
              m.members.delete(s.vid);
              if (m.pvid === s.vid) m.pvid = 0;
              model.stations = model.stations.filter((x) => x.port !== s.port || x.vid !== s.vid);
            }
          } else {
            const f = s.tag === null ? ether(macOf(s.src), macOf(s.dst)) : tagged(macOf(s.src), macOf(s.dst), s.tag);
            const want = model.frame(s.port, s.src, s.dst, s.tag);
            owner.feed(devs[s.port]!, f);
            const got = owner.sent
              .splice(0)
              .map((o) => `${o.dev}/${o.bytes[12] === 0x81 ? ((o.bytes[14]! & 15) << 8) | o.bytes[15]! : "-"}`);
            expect(got).toEqual(want.out);
            expect(owner.delivered.splice(0).length === 1).toBe(want.up);
          }
        }
        expect(core.x.packetsInUse()).toBe(used);
      }),
      { numRuns: 300, seed: 7 },
    );
  });
}

function tagged(src: string, dst: string, vid: number): Uint8Array {
  const f = ether(src, dst, 0x8100);
  f[14] = vid >> 8;
  f[15] = vid & 255;
  f[16] = 0x88;
  f[17] = 0xb5;
  return f;
}

test("the table agrees with a Map, through growth, removal and ageing", () => {
  const key = fc.record({
    high: fc.constantFrom(0x0200, 0x7fff),
    low: fc.integer({ min: -40, max: 40 }),
    vid: fc.constantFrom(0, 1, 4094),
  });
  const op = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("learn" as const), key, port: fc.constantFrom(0, 1) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("remove" as const), key, port: fc.constant(0) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("wait" as const), key, port: fc.integer({ min: 1, max: 200 }) }),
    },
  );
  const targets: FdbTarget[] = [{ dev: { name: "a", ifindex: 1 } }, { dev: { name: "b", ifindex: 2 } }];
  fc.assert(
    fc.property(fc.array(op, { maxLength: 400 }), (ops) => {
      const clock = new Clock();
      const fdb = new Fdb<FdbTarget>(clock, 30000);
      const model = new Map<string, { port: number; seen: number }>();
      for (const o of ops) {
        const name = `${o.key.high} ${o.key.low} ${o.key.vid}`;
        if (o.kind === "learn") {
          fdb.learn(targets[o.port]!, o.key.high, o.key.low, o.key.vid);
          model.set(name, { port: o.port, seen: clock.now });
        } else if (o.kind === "remove") {
          const e = fdb.find(o.key.high, o.key.low, o.key.vid);
          expect(e !== null).toBe(model.delete(name));
          if (e !== null) fdb.remove(e);
        } else {
          clock.advance(clock.now + o.port * SECOND);
          for (const [k, v] of model) if (clock.now - v.seen >= 300 * SECOND) model.delete(k);
        }
        const e = fdb.find(o.key.high, o.key.low, o.key.vid);
        const m = model.get(name);
        expect(e === null ? -1 : targets.indexOf(e.port!)).toBe(m === undefined ? -1 : m.port);
      }
      expect(fdb.size).toBe(model.size);
      expect(fdb.learned).toBe(model.size);
      let n = 0;
      for (let e = fdb.first; e !== null; e = e.next) n++;
      expect(n).toBe(model.size);
      clock.advance(clock.now + 1000 * SECOND);
      expect([fdb.size, clock.pending]).toEqual([0, 0]);
    }),
    { numRuns: 300, seed: 11 },
  );
});
