// tests/host/fib/decisions.test.ts: what `ip route get` does not tell: redirects, groups, hashes, sources, links.

import { expect, it } from "vitest";
import { Drop } from "../../../assembly/drop.ts";
import { PktFlag } from "../../../assembly/layout.ts";
import { hashOf } from "../../../src/host/fib/multipath.ts";
import { type Route, RouteType, Scope, routeFlag } from "../../../src/host/fib/route.ts";
import { overBuilds } from "../../support/cores.ts";
import { Network, ip } from "./network.ts";

function router(n: Network): Network {
  for (const dev of ["lan", "wan"]) n.device(dev);
  n.address("lan", "10.1.0.1/24");
  n.address("wan", "10.3.0.1/24");
  n.sysctl.set("net.ipv4.ip_forward", 1);
  n.fib.command("ip route add default via 10.3.0.2");
  n.fib.command("ip route add 10.9.0.0/16 via 10.1.0.9");
  return n;
}

overBuilds("decisions", (make) => {
  it("asks for a redirect when a neighbour's packet goes back to its own link", () => {
    const n = router(new Network(make()));
    const back = { src: "10.1.0.2", dst: "10.9.1.1", iif: "lan" };
    expect(n.input(back)!.dev!.name).toBe("lan");
    expect(n.flags & PktFlag.DoRedirect).toBe(PktFlag.DoRedirect);
    // not from behind another router, nor onto another link
    n.input({ ...back, src: "10.9.7.7" });
    expect(n.flags & PktFlag.DoRedirect).toBe(0);
    n.input({ ...back, dst: "8.8.8.8" });
    expect(n.flags & PktFlag.DoRedirect).toBe(0);
    // without shared_media only when source and gateway are in one subnet
    for (const c of ["all", "lan"]) n.sysctl.set(`net.ipv4.conf.${c}.shared_media`, 0);
    n.input(back);
    expect(n.flags & PktFlag.DoRedirect).toBe(PktFlag.DoRedirect);
    n.fib.command("ip addr add 10.7.0.1/24 dev lan");
    n.input({ ...back, src: "10.7.0.5" });
    expect(n.flags & PktFlag.DoRedirect).toBe(0);
    for (const c of ["all", "lan"]) n.sysctl.set(`net.ipv4.conf.${c}.send_redirects`, 0);
    n.input(back);
    expect(n.flags & PktFlag.DoRedirect).toBe(0);
  });

  it("answers with the same object until something changes", () => {
    const n = router(new Network(make()));
    const first = n.input({ src: "10.1.0.2", dst: "8.8.8.8", iif: "lan" });
    expect(n.input({ src: "10.1.0.3", dst: "1.1.1.1", iif: "lan" }) === first).toBe(true);
    const { generation } = n.fib;
    n.fib.command("ip route add 1.0.0.0/8 via 10.3.0.3");
    expect(n.fib.generation).toBeGreaterThan(generation);
    expect(n.input({ src: "10.1.0.3", dst: "1.1.1.1", iif: "lan" }) === first).toBe(false);
    expect(n.input({ src: "10.1.0.3", dst: "8.8.8.8", iif: "lan" })!.gateway).toBe(ip("10.3.0.2"));
  });

  it("takes in groups that the device listens to, and no others", () => {
    const n = router(new Network(make()));
    const to = (dst: string, src = "10.1.0.2", proto = 17): Route | null => n.input({ src, dst, iif: "lan", proto });
    expect(to("224.0.0.1")).toMatchObject({ type: RouteType.Multicast, flags: routeFlag.multicast | routeFlag.local });
    expect(to("239.1.1.1")).toBe(null);
    expect(n.fib.failure).toBe(Drop.Martian);
    n.fib.joinGroup(n.dev("lan"), ip("239.1.1.1"));
    expect(to("239.1.1.1")!.type).toBe(RouteType.Multicast);
    // 0.0.0.0 may speak to 224.0.0.0/24 and by IGMP only (ip_mc_validate_source)
    expect(to("239.1.1.1", "0.0.0.0")).toBe(null);
    expect(n.fib.failure).toBe(Drop.MartianSource);
    expect(to("239.1.1.1", "0.0.0.0", 2)!.type).toBe(RouteType.Multicast);
    expect(to("224.0.0.1", "0.0.0.0")!.type).toBe(RouteType.Multicast);
    expect(to("224.0.0.1", "224.0.0.9")).toBe(null);
    n.fib.leaveGroup(n.dev("lan"), ip("239.1.1.1"));
    expect(to("239.1.1.1")).toBe(null);
  });

  it("spreads flows by weight, a flow always the same way, and not over dead ways", () => {
    const n = router(new Network(make()));
    n.fib.command("ip route add 10.20.0.0/16 nexthop via 10.1.0.5 weight 3 nexthop via 10.3.0.5 weight 1");
    const count = (): Map<string, number> => {
      const seen = new Map<string, number>();
      for (let i = 0; i < 4000; i++) {
        const p = { src: "10.1.0.2", dst: `10.20.${i >> 8}.${i & 255}`, iif: "lan" };
        const route = n.input(p);
        expect(n.input(p) === route).toBe(true);
        seen.set(route!.dev!.name, (seen.get(route!.dev!.name) ?? 0) + 1);
      }
      return seen;
    };
    const seen = count();
    expect(seen.get("lan")!).toBeGreaterThan(2800);
    expect(seen.get("lan")!).toBeLessThan(3200);
    n.up("wan", false);
    expect(count()).toEqual(new Map([["lan", 4000]]));
    expect(n.fib.listRoutes().join("\n")).toContain("nexthop via 10.3.0.5 dev wan weight 1 dead linkdown");
    n.up("wan", true);
    expect(count()).toEqual(seen);
  });

  it("hashes ports only when the policy says so; an ICMP error by what it speaks of", () => {
    const n = router(new Network(make()));
    const a = hashOf(n.fib, 1, 2, 6, 3, 4);
    expect(hashOf(n.fib, 1, 2, 17, 5, 6)).toBe(a);
    n.sysctl.set("net.ipv4.fib_multipath_hash_policy", 1);
    expect(hashOf(n.fib, 1, 2, 6, 3, 4)).not.toBe(hashOf(n.fib, 1, 2, 6, 3, 5));
    expect(hashOf(n.fib, 1, 2, 6, 3, 4)).toBe(hashOf(n.fib, 1, 2, 6, 3, 4));
    expect(hashOf(n.fib, 1, 2, 6, 3, 4)).toBeLessThan(2 ** 31);
    n.fib.hashSeed = 99;
    expect(hashOf(n.fib, 1, 2, 6, 3, 4)).not.toBe(a);
  });

  it("loses a device's routes with its link, and gets back those of its addresses only", () => {
    const n = router(new Network(make()));
    const before = n.fib.listRoutes();
    n.up("wan", false);
    expect(n.input({ src: "10.1.0.2", dst: "8.8.8.8", iif: "lan" })!.error).toBe(101);
    expect(n.fib.addrType(ip("10.3.0.1"))).toBe(RouteType.Local);
    expect(n.fib.addrType(ip("10.3.0.255"))).toBe(RouteType.Unicast);
    n.up("wan", true);
    expect(n.fib.listRoutes()).toEqual(before.filter((r) => !r.startsWith("default")));
  });

  it("says what an address is, and which one to use", () => {
    const n = router(new Network(make()));
    const { fib } = n;
    const lan = n.dev("lan");
    fib.command("ip addr add 10.1.0.7/24 dev lan");
    fib.command("ip addr add 10.2.0.1/24 dev lan scope link");
    expect(fib.addrType(ip("10.1.0.1"))).toBe(RouteType.Local);
    expect(fib.addrType(ip("10.1.0.1"), n.dev("wan"))).toBe(RouteType.Unicast);
    expect(fib.addrType(ip("10.1.0.255"))).toBe(RouteType.Broadcast);
    expect(fib.addrType(ip("255.255.255.255"))).toBe(RouteType.Broadcast);
    expect(fib.addrType(0)).toBe(RouteType.Broadcast);
    expect(fib.addrType(ip("0.0.0.5"))).toBe(RouteType.Unicast);
    expect(fib.addrType(ip("239.0.0.1"))).toBe(RouteType.Multicast);
    expect(fib.addrType(ip("8.8.8.8"))).toBe(RouteType.Unicast);
    // inet_select_addr: the subnet's primary; link scope only when asked for it; another device's failing all
    expect(fib.selectAddress(lan, ip("10.1.0.50"), Scope.Universe)).toBe(ip("10.1.0.1"));
    expect(fib.selectAddress(lan, ip("10.2.0.50"), Scope.Link)).toBe(ip("10.2.0.1"));
    expect(fib.selectAddress(lan, ip("10.2.0.50"), Scope.Universe)).toBe(ip("10.1.0.1"));
    expect(fib.selectAddress(n.dev("lo"), 0, Scope.Universe)).toBe(ip("10.1.0.1"));
    expect(fib.selectAddress(null, 0, Scope.Universe)).toBe(ip("10.1.0.1"));
    // inet_confirm_addr
    expect(fib.confirmAddress(lan, ip("10.1.0.9"), ip("10.1.0.7"), Scope.Link)).toBe(ip("10.1.0.7"));
    expect(fib.confirmAddress(lan, ip("10.3.0.9"), ip("10.1.0.7"), Scope.Link)).toBe(0);
    expect(fib.confirmAddress(null, ip("10.3.0.9"), 0, Scope.Link)).toBe(ip("10.3.0.1"));
    expect(fib.isOnlink(lan, ip("10.1.0.9"), ip("10.1.0.10"))).toBe(true);
    expect(fib.isOnlink(lan, ip("10.1.0.9"), ip("10.2.0.10"))).toBe(false);
    expect(fib.deviceOfAddress(ip("127.5.5.5"))!.name).toBe("lo");
    expect(fib.deviceOfAddress(ip("8.8.8.8"))).toBe(null);
    // fib_compute_spec_dst: a unicast's own destination; else what a route back would be sent from
    expect(fib.specificDestination(lan, routeFlag.local, ip("10.1.0.2"), ip("10.1.0.7"), 0, 0)).toBe(ip("10.1.0.7"));
    const group = routeFlag.local | routeFlag.broadcast;
    expect(fib.specificDestination(lan, group, ip("8.8.8.8"), ip("10.1.0.255"), 0, 0)).toBe(ip("10.3.0.1"));
    // addresses of nearer scope stand first (__inet_insert_ifa)
    expect(fib.specificDestination(lan, group, 0, ip("255.255.255.255"), 0, 0)).toBe(ip("10.2.0.1"));
  });

  it("passes directed broadcasts on only with bc_forwarding", () => {
    const n = router(new Network(make()));
    const p = { src: "10.1.0.2", dst: "10.3.0.255", iif: "lan" };
    expect(n.input(p)!.type).toBe(RouteType.Broadcast);
    for (const c of ["all", "lan"]) n.sysctl.set(`net.ipv4.conf.${c}.bc_forwarding`, 1);
    const route = n.input(p)!;
    expect([route.type, route.gateway, route.dev!.name]).toEqual([RouteType.Unicast, 0, "wan"]);
  });

  it("is gone with the device: addresses, routes, rules' devices", () => {
    const n = router(new Network(make()));
    n.fib.command("ip rule add iif wan lookup 7");
    n.fib.removeInterface(n.dev("wan"));
    expect(n.fib.listRoutes().join("\n")).not.toContain("wan");
    expect(n.fib.listRules()[1]).toBe("32765:\tfrom all iif wan [detached] lookup 7");
    expect(n.fib.isOwnAddress(ip("10.3.0.1"))).toBe(false);
  });
});
