// The rows of IEEE 802.1D's and 802.1Q's requirements (B1 to B13, V1 to V5), one test a row.

import { expect, test } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { Bridge } from "../../src/device/bridge.ts";
import { PortState } from "../../src/device/bridgeport.ts";
import { SECOND } from "../../src/link/clock.ts";
import { overBuilds } from "../support/cores.ts";
import { ether, FakeOwner, makeWorld } from "../support/owner.ts";

const A = "02:00:00:00:0a:01";
const B = "02:00:00:00:0a:02";
const C = "02:00:00:00:0a:03";
const UNKNOWN = "02:00:00:00:0a:99";
const ALL = "ff:ff:ff:ff:ff:ff";
const OWN = "02:00:00:00:0b:00";

overBuilds("the learning bridge", (core) => {
  function setup(ports = 4) {
    const owner = new FakeOwner(makeWorld(core()));
    const br = new Bridge(owner.device("br0", OWN, "bridge"));
    const p = [];
    for (let k = 1; k <= ports; k++) {
      const dev = owner.device(`p${k}`, `02:00:00:00:0b:0${k}`);
      p.push(dev);
      br.addPort(dev);
    }
    const [p1, p2, p3, p4] = p;
    const outs = (on: typeof p1, bytes: Uint8Array) => {
      owner.feed(on!, bytes);
      return owner.sent.splice(0).map((s) => s.dev);
    };
    return { owner, br, p1: p1!, p2: p2!, p3: p3!, p4: p4!, outs };
  }

  test("B1: a source is learned on the port it came in on", () => {
    const t = setup();
    t.outs(t.p1, ether(A, B));
    expect(t.outs(t.p2, ether(B, A))).toEqual(["p1"]);
  });

  test("B2, B3: unknown unicast leaves on all but its own port, the newest port first", () => {
    const t = setup();
    expect(t.outs(t.p1, ether(A, UNKNOWN))).toEqual(["p4", "p3", "p2"]);
    expect(t.owner.delivered).toEqual([]);
  });

  test("B3: a destination behind the port of arrival is filtered", () => {
    const t = setup();
    t.outs(t.p1, ether(A, ALL));
    expect(t.outs(t.p1, ether(B, A))).toEqual([]);
    expect(t.owner.drops).toEqual([Drop.BridgeNoPort]);
  });

  test("B4: broadcast and multicast are flooded, and go up", () => {
    const t = setup();
    expect(t.outs(t.p3, ether(A, ALL))).toEqual(["p4", "p2", "p1"]);
    expect(t.outs(t.p4, ether(B, "01:00:5e:01:02:03"))).toEqual(["p3", "p2", "p1"]);
    expect(t.owner.delivered.map((d) => d.dev)).toEqual(["br0", "br0"]);
  });

  test("B5: a group address as source is dropped and not learned", () => {
    const t = setup();
    for (const src of [ALL, "01:00:5e:00:00:01", "00:00:00:00:00:00"]) {
      expect(t.outs(t.p1, ether(src, B))).toEqual([]);
    }
    expect(t.owner.drops).toEqual([Drop.BadSourceMac, Drop.BadSourceMac, Drop.BadSourceMac]);
    expect(t.br.fdb.learned).toBe(0);
  });

  test("B6: a station that moves is found at its new port", () => {
    const t = setup();
    t.outs(t.p1, ether(A, ALL));
    t.outs(t.p2, ether(A, ALL));
    expect(t.outs(t.p3, ether(C, A))).toEqual(["p2"]);
  });

  test("B7: an entry lives 300 s after its last frame", () => {
    const t = setup();
    const { clock } = t.owner.world;
    t.outs(t.p1, ether(A, ALL));
    clock.advance(200 * SECOND);
    t.outs(t.p1, ether(A, ALL));
    clock.advance(499.9 * SECOND);
    expect(t.outs(t.p2, ether(B, A))).toEqual(["p1"]);
    clock.advance(500.1 * SECOND);
    expect(t.outs(t.p2, ether(B, A))).toEqual(["p4", "p3", "p1"]);
    clock.advance(2000 * SECOND);
    expect(clock.pending).toBe(0);
  });

  test("B7: ageing_time in centiseconds; 0 learns nothing and forgets at once", () => {
    const t = setup();
    t.br.setAgeing(100);
    t.outs(t.p3, ether(C, A));
    expect(t.outs(t.p1, ether(A, C))).toEqual(["p3"]);
    t.owner.world.clock.advance(1.6 * SECOND);
    expect(t.outs(t.p1, ether(A, C))).toEqual(["p4", "p3", "p2"]);
    t.br.setAgeing(0);
    t.outs(t.p3, ether(C, A));
    expect(t.outs(t.p1, ether(A, C))).toEqual(["p4", "p3", "p2"]);
    expect(t.br.fdb.learned).toBe(0);
  });

  test("B8: reserved groups are not relayed; without STP its own group is", () => {
    const t = setup();
    expect(t.outs(t.p1, ether(A, "01:80:c2:00:00:00"))).toEqual(["p4", "p3", "p2"]);
    expect(t.owner.delivered.pop()!.dev).toBe("br0");
    for (let k = 1; k < 16; k++) {
      expect(t.outs(t.p1, ether(A, `01:80:c2:00:00:0${k.toString(16)}`))).toEqual([]);
    }
    // all but the pause frame were offered to the port's own stack, and their source was learned
    expect(t.owner.delivered.map((d) => d.dev)).toEqual(Array(14).fill("p1"));
    expect(t.owner.drops).toEqual([Drop.BridgeReserved]);
    expect(t.br.fdb.learned).toBe(1);
    expect(t.outs(t.p1, ether(A, "01:80:c2:00:00:10"))).toEqual(["p4", "p3", "p2"]);
  });

  test("B8: group_fwd_mask lets LLDP through, but no pause frame", () => {
    const t = setup();
    t.br.groupFwdMask = 0x4002;
    expect(t.outs(t.p1, ether(A, "01:80:c2:00:00:0e"))).toEqual(["p4", "p3", "p2"]);
    expect(t.outs(t.p1, ether(A, "01:80:c2:00:00:01"))).toEqual([]);
  });

  test("B9, B10: frames stay in order and unchanged, each once a port", () => {
    const t = setup();
    t.outs(t.p2, ether(B, ALL));
    t.owner.sent.length = 0;
    const frames = Array.from({ length: 50 }, (_, i) => ether(A, B, 0x88b5, Uint8Array.of(i, 1, 2, 3)));
    for (const f of frames) t.owner.feed(t.p1, f);
    expect(t.owner.sent.map((s) => s.bytes)).toEqual(frames);
    expect(new Set(t.owner.sent.map((s) => s.dev))).toEqual(new Set(["p2"]));
  });

  test("B11: above the port's MTU (and room for a tag) nothing passes, and nobody is told", () => {
    const t = setup(2);
    expect(t.outs(t.p1, ether(A, B, 0x88b5, 1504))).toEqual(["p2"]);
    expect(t.outs(t.p1, ether(A, B, 0x88b5, 1505))).toEqual([]);
    expect(t.owner.drops).toEqual([Drop.PacketTooBig]);
    expect(t.outs(t.p1, ether(A, B, 0x8100, 1508))).toEqual(["p2"]);
  });

  test("B12: learning changes no permanent entry, nor a sticky one", () => {
    const t = setup();
    t.br.fdb.insert(0x0200, 0x0a01, 0, t.br.port("p3"), true, true);
    t.br.fdb.insert(0x0200, 0x0a02, 0, t.br.port("p3"), false, true).sticky = true;
    t.outs(t.p1, ether(A, ALL));
    t.outs(t.p1, ether(B, ALL));
    expect(t.br.fdb.find(0x0200, 0x0a01, 0)!.port!.dev.name).toBe("p3");
    expect(t.br.fdb.find(0x0200, 0x0a02, 0)!.port!.dev.name).toBe("p3");
  });

  test("B12: a frame for the bridge's or a port's address goes up only", () => {
    const t = setup();
    expect(t.outs(t.p2, ether(B, OWN))).toEqual([]);
    expect(t.outs(t.p2, ether(B, "02:00:00:00:0b:03"))).toEqual([]);
    expect(t.owner.delivered.map((d) => d.dev)).toEqual(["br0", "br0"]);
  });

  test("without STP nothing stays blocked, and a port that comes up forwards (br_port_state_selection)", () => {
    const t = setup();
    const port = t.br.port("p1")!;
    t.br.setState(port, PortState.Blocking);
    expect(port.state).toBe(PortState.Forwarding);
    t.br.setState(port, PortState.Disabled);
    t.p1.up = false;
    t.br.linkChanged();
    t.br.setState(port, PortState.Learning); // ENETDOWN
    expect(port.state).toBe(PortState.Disabled);
    t.p1.up = true;
    t.br.linkChanged();
    expect(port.state).toBe(PortState.Forwarding);
  });

  test("B13: a listening port neither learns nor relays, a learning port only learns", () => {
    const t = setup();
    const port = t.br.port("p1")!;
    t.br.setState(port, PortState.Listening);
    expect(t.outs(t.p1, ether(A, ALL))).toEqual([]);
    expect(t.br.fdb.learned).toBe(0);
    expect(t.outs(t.p2, ether(B, ALL))).toEqual(["p4", "p3"]);
    t.br.setState(port, PortState.Learning);
    expect(t.outs(t.p1, ether(A, ALL))).toEqual([]);
    expect(t.br.fdb.learned).toBe(2);
    expect(t.outs(t.p2, ether(B, A))).toEqual([]);
    expect(t.owner.drops).toEqual([Drop.BridgePortState, Drop.BridgePortState, Drop.BridgePortState]);
  });

  test("a link that goes down takes its learned entries along; static ones stay", () => {
    const t = setup();
    t.outs(t.p2, ether(B, ALL));
    t.br.fdb.insert(0x0200, 0x77, 0, t.br.port("p2"), false, true);
    t.p2.up = false;
    t.br.linkChanged();
    expect(t.br.fdb.learned).toBe(0);
    expect(t.br.fdb.find(0x0200, 0x77, 0)).not.toBeNull();
    expect(t.outs(t.p1, ether(A, B))).toEqual(["p4", "p3"]);
    t.p2.up = true;
    t.br.linkChanged();
    expect(t.outs(t.p1, ether(A, B))).toEqual(["p4", "p3", "p2"]);
  });

  test("port attributes: flood, mcast_flood, bcast_flood, learning, isolated, hairpin, locked", () => {
    const t = setup();
    const [p4, , p2, p1] = t.br.ports as [never, never, (typeof t.br.ports)[0], (typeof t.br.ports)[0]];
    expect(p4).toBe(t.br.port("p4"));
    p2.flood = false;
    expect(t.outs(t.p1, ether(A, UNKNOWN))).toEqual(["p4", "p3"]);
    expect(t.outs(t.p1, ether(A, ALL))).toEqual(["p4", "p3", "p2"]);
    p2.flood = true;
    p2.mcastFlood = false;
    expect(t.outs(t.p1, ether(A, "01:00:5e:01:02:03"))).toEqual(["p4", "p3"]);
    p2.mcastFlood = true;
    p2.bcastFlood = false;
    expect(t.outs(t.p1, ether(A, ALL))).toEqual(["p4", "p3"]);
    // the host's own broadcasts are not held back
    t.owner.devices.get("br0")!.transmit(frameOf(t.owner, ether(OWN, ALL)));
    expect(t.owner.sent.splice(0).map((s) => s.dev)).toEqual(["p4", "p3", "p2", "p1"]);
    p2.bcastFlood = true;
    p2.learning = false;
    t.outs(t.p2, ether(B, A));
    expect(t.outs(t.p1, ether(A, B))).toEqual(["p4", "p3", "p2"]);
    p2.learning = true;
    t.outs(t.p2, ether(B, A));
    p1.isolated = p2.isolated = true;
    expect(t.outs(t.p1, ether(A, B))).toEqual([]);
    expect(t.owner.drops.splice(0)).toEqual([Drop.BridgeIsolated]);
    expect(t.outs(t.p1, ether(A, ALL))).toEqual(["p4", "p3"]);
    p1.isolated = p2.isolated = false;
    p1.hairpin = true;
    expect(t.outs(t.p1, ether(C, A))).toEqual(["p1"]);
    expect(t.outs(t.p1, ether(A, ALL))).toEqual(["p4", "p3", "p2", "p1"]);
    p1.hairpin = false;
    p1.locked = true;
    expect(t.outs(t.p1, ether(A, B))).toEqual(["p2"]);
    expect(t.outs(t.p1, ether(UNKNOWN, B))).toEqual([]);
  });

  test("the bridge device sends: to the port that knows, else to all; not to itself", () => {
    const t = setup();
    const br0 = t.owner.devices.get("br0")!;
    t.outs(t.p2, ether(B, ALL));
    br0.transmit(frameOf(t.owner, ether(OWN, B)));
    br0.transmit(frameOf(t.owner, ether(OWN, A)));
    br0.transmit(frameOf(t.owner, ether(OWN, OWN)));
    // a port's own address leads out of that port
    br0.transmit(frameOf(t.owner, ether(OWN, "02:00:00:00:0b:03")));
    expect(t.owner.sent.map((s) => s.dev)).toEqual(["p2", "p4", "p3", "p2", "p1", "p3"]);
    expect(t.owner.drops).toEqual([Drop.BridgeNoPort]);
  });

  function vlans() {
    const t = setup();
    t.br.setVlanFiltering(true);
    const add = (port: string, vid: number, pvid: boolean, untagged: boolean) =>
      t.br.addVlan(t.br.port(port), vid, pvid, untagged);
    // p1, p2: access ports of 10 and 20; p3: trunk of both; p4: default VLAN 1
    for (const [port, vid] of [
      ["p1", 10],
      ["p2", 20],
    ] as const) {
      add(port, vid, true, true);
      t.br.deleteVlan(t.br.port(port), 1);
    }
    add("p3", 10, false, false);
    add("p3", 20, false, false);
    const run = (on: typeof t.p1, bytes: Uint8Array) => {
      t.owner.feed(on, bytes);
      return t.owner.sent.splice(0);
    };
    return { ...t, run, add };
  }

  test("V1: untagged frames get the PVID; the untagged set leaves untagged, the others tagged", () => {
    const t = vlans();
    const plain = ether(A, ALL);
    const out = t.run(t.p1, plain);
    expect(out.map((s) => s.dev)).toEqual(["p3"]);
    expect(Buffer.from(out[0]!.bytes).toString("hex")).toBe(
      Buffer.concat([plain.slice(0, 12), Buffer.from("8100000a", "hex"), plain.slice(12)]).toString("hex"),
    );
    const back = t.run(
      t.p3,
      out[0]!.bytes.map((b, i) => (i === 11 ? 0x55 : b)),
    );
    expect(back.map((s) => s.dev)).toEqual(["p1"]);
    expect(back[0]!.bytes.length).toBe(plain.length);
    expect(back[0]!.bytes.slice(12)).toEqual(plain.slice(12));
  });

  test("V1: a port without PVID drops untagged frames", () => {
    const t = vlans();
    t.add("p1", 10, false, true);
    expect(t.run(t.p1, ether(A, ALL))).toEqual([]);
    expect(t.owner.drops).toEqual([Drop.BridgeVlan]);
  });

  test("V2: a tag that the port is no member of is dropped", () => {
    const t = vlans();
    expect(t.run(t.p3, tagged(A, ALL, 30))).toEqual([]);
    expect(t.run(t.p1, tagged(A, ALL, 20))).toEqual([]);
    expect(t.owner.drops).toEqual([Drop.BridgeVlan, Drop.BridgeVlan]);
    expect(t.br.fdb.learned).toBe(0);
  });

  test("V3: a priority tag counts as untagged and keeps its priority", () => {
    const t = vlans();
    const out = t.run(t.p1, tagged(A, ALL, 0xa000));
    expect(out.map((s) => s.dev)).toEqual(["p3"]);
    expect([out[0]!.bytes[14], out[0]!.bytes[15]]).toEqual([0xa0, 10]);
  });

  test("V4: VID 4095 is never relayed", () => {
    const t = vlans();
    expect(t.run(t.p3, tagged(A, ALL, 0xfff))).toEqual([]);
    expect(t.owner.drops).toEqual([Drop.BridgeVlan]);
  });

  test("V5: one address in two VLANs on two ports", () => {
    const t = vlans();
    t.run(t.p1, ether(A, ALL));
    t.run(t.p2, ether(A, ALL));
    expect(t.run(t.p3, tagged(B, A, 10)).map((s) => s.dev)).toEqual(["p1"]);
    expect(t.run(t.p3, tagged(B, A, 20)).map((s) => s.dev)).toEqual(["p2"]);
  });

  test("VLANs reach the host as the bridge's own set says", () => {
    const t = vlans();
    t.run(t.p4, ether(A, OWN));
    expect(t.run(t.p1, ether(B, OWN)).map((s) => s.dev)).toEqual(["p3"]);
    expect(t.owner.delivered.map((d) => d.bytes.length)).toEqual([60]);
    // in VLAN 10 nobody is known to have that address
    expect(t.owner.sent.splice(0)).toEqual([]);
    t.br.addVlan(null, 10, false, false);
    t.run(t.p1, ether(B, OWN));
    expect(t.owner.delivered.map((d) => d.bytes.length)).toEqual([60, 64]);
  });

  test("without filtering tags pass untouched; a tag cut short is dropped", () => {
    const t = setup(2);
    const f = tagged(A, B, 0xfff);
    expect(t.outs(t.p1, f)).toEqual(["p2"]);
    expect(t.outs(t.p1, f.slice(0, 19))).toEqual([]);
    expect(t.outs(t.p1, f.slice(0, 13))).toEqual([]);
    expect(t.outs(t.p1, f.slice(0, 20))).toEqual(["p2"]);
    expect(t.outs(t.p1, ether(A, B).slice(0, 14))).toEqual(["p2"]);
  });

  test("a removed port gets and gives nothing; its numbers are used again", () => {
    const t = setup();
    t.outs(t.p2, ether(B, ALL));
    t.br.removePort(t.p2);
    expect(t.outs(t.p1, ether(A, B))).toEqual(["p4", "p3"]);
    expect(() => t.br.removePort(t.p2)).toThrow("p2 is no port of br0");
    expect(t.br.addPort(t.p2).number).toBe(2);
    expect(() => t.br.addPort(t.p2)).toThrow("p2 is a bridge port already");
    expect(t.outs(t.p1, ether(A, ALL))).toEqual(["p2", "p4", "p3"]);
  });
});

function frameOf(owner: FakeOwner, bytes: Uint8Array): number {
  const { core } = owner.world;
  const h = core.x.packetAlloc(bytes.length);
  core.u8.set(bytes, core.u32[h >> 2]!);
  return h;
}

function tagged(src: string, dst: string, tci: number): Uint8Array {
  const f = ether(src, dst, 0x8100);
  f[14] = tci >> 8;
  f[15] = tci & 255;
  f[16] = 0x88;
  f[17] = 0xb5;
  return f;
}
