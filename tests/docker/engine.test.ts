import { expect, it } from "vitest";
import { decodeDns, encodeDns } from "../../src/core/dns.ts";
import { formatIpv4, formatMac } from "../../src/core/address.ts";
import { parsePublish } from "../../src/docker/ports.ts";
import { resolvConf } from "../../src/docker/resolve.ts";
import { whoami } from "../../src/docker/whoami.ts";
import { Stub } from "../../src/service/dns/stub.ts";
import { programHost } from "../../src/service/program.ts";
import { overBuilds } from "../support/cores.ts";
import { askUdp, CLIENT, echo, get, greet, hear, HOST, place } from "./support.ts";

overBuilds("docker engine", (core) => {
  it("addresses, routes and devices are where docker puts them", () => {
    const { engine, host } = place(core(), { macs: "address" });
    const app = engine.createNetwork("app");
    const c = engine.run("web", { networks: { app: {} } });
    const d = engine.run("old");
    expect(app.device).toMatch(/^br-[0-9a-f]{12}$/);
    expect(host.fib.listRoutes()).toContain("172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1");
    expect(host.fib.listRoutes()).toContain(`172.18.0.0/16 dev ${app.device} proto kernel scope link src 172.18.0.1`);
    const e = c.endpoints.get("app")!;
    expect(formatIpv4(e.address)).toBe("172.18.0.2");
    expect(formatMac(e.mac)).toBe("02:42:ac:12:00:02");
    expect(c.ns!.fib.listRoutes()[0]).toBe("default via 172.18.0.1 dev eth0");
    expect(c.nameServers.map(formatIpv4)).toEqual(["127.0.0.11"]);
    expect(formatIpv4(d.endpoints.get("bridge")!.address)).toBe("172.17.0.2");
    expect(d.nameServers).toEqual([]);
  });

  it("a subnet that overlaps the host's own routes is passed over", () => {
    const { engine, host } = place(core(), { defaultBridge: null });
    host.fib.command("route add 172.17.128.0/17 via 198.51.100.1");
    expect(formatIpv4(engine.createNetwork("a").gateway)).toBe("172.18.0.1");
  });

  it("addresses: the lowest free one, the one asked for, those of the range", () => {
    const { engine } = place(core());
    const net = engine.createNetwork("n", {
      subnet: { address: 0x0a000000, length: 24 },
      ipRange: { address: 0x0a000080, length: 25 },
      gateway: 0x0a0000fe,
      auxAddresses: [0x0a000081],
    });
    const at = (name: string): string => formatIpv4(engine.container(name).endpoints.get("n")!.address);
    engine.run("a", { networks: { n: {} } });
    engine.run("b", { networks: { n: { address: 0x0a000005 } } });
    engine.run("c", { networks: { n: {} } });
    expect([at("a"), at("b"), at("c")]).toEqual(["10.0.0.128", "10.0.0.5", "10.0.0.130"]);
    engine.removeContainer("a");
    engine.run("d", { networks: { n: {} } });
    expect(at("d")).toBe("10.0.0.128");
    expect(() => engine.run("e", { networks: { n: { address: 0x0a000005 } } })).toThrow(
      "10.0.0.5: Address already in use",
    );
    expect(engine.containers.has("e")).toBe(false);
    expect(net.endpoints.size).toBe(3);
  });

  it("a published port: from outside, from the host, from its own network, from another one", () => {
    for (const userlandProxy of [true, false]) {
      const { engine, host, client } = place(core(), { userlandProxy });
      engine.createNetwork("a");
      engine.createNetwork("b");
      const web = engine.run("web", { networks: { a: {} }, publish: parsePublish("8080:80") });
      const peer = engine.run("peer", { networks: { a: {} } });
      const other = engine.run("other", { networks: { b: {} } });
      greet(web.ns!, 80, "web");
      expect(hear(client, HOST, 8080)).toBe("web");
      expect(hear(host, HOST, 8080)).toBe("web");
      expect(hear(host, "127.0.0.1", 8080)).toBe("web");
      expect(hear(host, "172.18.0.2", 80)).toBe("web");
      expect(hear(peer.ns!, "172.18.0.2", 80)).toBe("web");
      expect(hear(peer.ns!, HOST, 8080)).toBe("web");
      expect(hear(peer.ns!, "172.18.0.1", 8080)).toBe("web");
      expect(hear(other.ns!, HOST, 8080)).toBe("web");
      expect(hear(web.ns!, HOST, 8080)).toBe("web");
      // by its own address nobody outside its network
      expect(hear(other.ns!, "172.18.0.2", 80)).toBe("timeout");
      expect(hear(client, "172.18.0.2", 80)).toBe("timeout");
      expect(hear(client, HOST, 8081)).toBe("ECONNREFUSED");
    }
  });

  it("the way out is masqueraded; an internal network has none", () => {
    const { engine, client, host } = place(core());
    engine.createNetwork("in", { internal: true });
    const out = engine.run("out");
    const shut = engine.run("shut", { networks: { in: {} }, publish: parsePublish("9000:80") });
    const also = engine.run("also", { networks: { in: {} } });
    greet(client, 7, "hello");
    greet(shut.ns!, 80, "shut");
    expect(hear(out.ns!, CLIENT, 7)).toBe("hello");
    expect(hear(shut.ns!, CLIENT, 7)).toBe("ENETUNREACH");
    expect(hear(also.ns!, "172.18.0.2", 80)).toBe("shut");
    expect(hear(host, "172.18.0.2", 80)).toBe("shut");
    // ports of a container without a way out are not published
    expect(shut.bindings).toEqual([]);
    expect(hear(client, HOST, 9000)).toBe("ECONNREFUSED");
  });

  it("icc=false: neighbours are parted, published ports are open", () => {
    const { engine, client } = place(core());
    engine.createNetwork("n", { icc: false });
    const a = engine.run("a", { networks: { n: {} }, publish: parsePublish("8080:80") });
    const b = engine.run("b", { networks: { n: {} } });
    greet(a.ns!, 80, "a");
    expect(hear(b.ns!, "172.18.0.2", 80)).toBe("timeout");
    expect(hear(client, HOST, 8080)).toBe("a");
  });

  it("a port of the loopback address is the host's own", () => {
    const { engine, client, host } = place(core());
    const c = engine.run("c", { publish: parsePublish("127.0.0.1:8080:80") });
    greet(c.ns!, 80, "c");
    expect(hear(host, "127.0.0.1", 8080)).toBe("c");
    expect(hear(client, HOST, 8080)).toBe("ECONNREFUSED");
  });

  it("udp ports, with the proxy and past it", () => {
    const { engine, client, host } = place(core());
    const names = engine.createNetwork("n");
    const c = engine.run("c", { networks: { n: {} }, publish: parsePublish("5353:53/udp") });
    const peer = engine.run("peer", { networks: { n: {} } });
    const query = encodeDns(core(), { id: 7, rd: true, questions: [{ name: "peer", type: "A", class: 1 }] });
    // somebody who says back what he hears
    echo(c.ns!, 53);
    for (const ns of [client, host, peer.ns!]) expect(askUdp(ns, HOST, 5353, query)).toEqual(query);
    expect(names.endpoints.size).toBe(2);
  });

  it("stopping takes rules, ports, addresses and devices away; starting brings them back", () => {
    const { engine, host, client } = place(core());
    engine.createNetwork("n");
    const empty = { rules: host.iptables.save(), devices: host.interfaces.map((d) => d.name) };
    const c = engine.run("c", {
      networks: { n: {} },
      publish: [...parsePublish("8080:80"), ...parsePublish("53:53/udp")],
    });
    greet(c.ns!, 80, "first");
    expect(hear(client, HOST, 8080)).toBe("first");
    const full = host.iptables.save();
    c.stop();
    // the raw table stays once it was there
    expect(host.iptables.save().replace(/^\*raw[^]*?COMMIT\n/m, "")).toBe(empty.rules);
    expect(host.interfaces.map((d) => d.name)).toEqual(empty.devices);
    expect(hear(client, HOST, 8080)).toBe("ECONNREFUSED");
    c.start();
    greet(c.ns!, 80, "second");
    expect(host.iptables.save()).toBe(full);
    expect(hear(client, HOST, 8080)).toBe("second");
    engine.removeContainer("c");
    engine.removeNetwork("n");
    expect(host.interfaces.map((d) => d.name)).toEqual(["lo", "eth0", "docker0"]);
    expect(host.iptables.save()).not.toContain("172.18.");
  });

  it("ephemeral ports, ranges, and ports that are taken", () => {
    const { engine, host } = place(core());
    const port = (name: string): number[] => engine.container(name).bindings.map((b) => b.hostPort);
    engine.run("a", { publish: parsePublish("80") });
    engine.run("b", { publish: parsePublish("3000-3002:80") });
    engine.run("c", { publish: parsePublish("3000-3002:80") });
    engine.run("d", { publish: parsePublish("4000-4002:5000-5002") });
    expect([port("a"), port("b"), port("c"), port("d")]).toEqual([[32768], [3000], [3001], [4000, 4001, 4002]]);
    expect(() => engine.run("e", { publish: parsePublish("4001:1") })).toThrow(
      "Bind for 0.0.0.0:4001 failed: port is already allocated",
    );
    greet(host, 9999, "host");
    expect(() => engine.run("e", { publish: parsePublish("9999:1") })).toThrow(
      "failed to bind host port 0.0.0.0:9999/tcp: address already in use",
    );
    expect(engine.containers.has("e")).toBe(false);
    expect(() => parsePublish("80:70000")).toThrow("'70000' in '80:70000' is no port or range of ports");
    expect(() => parsePublish("80-90:1-5")).toThrow("the ranges differ in length");
    expect(() => parsePublish("80/sctp")).toThrow("protocol 'sctp', expected tcp or udp");
    expect(() => parsePublish("300.1.1.1:80:80")).toThrow("is no IPv4 address");
  });

  it("several networks: the default route and the published ports follow the gateway's", () => {
    const { engine, client } = place(core());
    engine.createNetwork("zeta");
    engine.createNetwork("alpha");
    engine.createNetwork("back", { internal: true });
    const c = engine.run("c", { networks: { back: {}, zeta: {}, alpha: {} }, publish: parsePublish("8080:80") });
    expect([...c.endpoints.values()].map((e) => e.device.name)).toEqual(["eth0", "eth1", "eth2"]);
    expect(c.gateway!.network.name).toBe("alpha");
    greet(c.ns!, 80, "c");
    expect(hear(client, HOST, 8080)).toBe("c");
    c.disconnect(engine.network("alpha"));
    expect(c.gateway!.network.name).toBe("zeta");
    expect(c.ns!.fib.listRoutes()[0]).toBe("default via 172.18.0.1 dev eth1");
    expect(hear(client, HOST, 8080)).toBe("c");
    c.connect(engine.network("alpha"), { gatewayPriority: 1 });
    expect(c.gateway!.network.name).toBe("alpha");
  });

  it("names: containers, aliases and the other way round, each on its network only", () => {
    const c = core();
    const { engine } = place(c);
    engine.createNetwork("front");
    engine.createNetwork("back");
    const web = engine.run("web-1", { networks: { front: { aliases: ["web"] } } });
    const app = engine.run("app-1", { networks: { front: { aliases: ["app", "api"] }, back: { aliases: ["app"] } } });
    engine.run("db-1", { networks: { back: { aliases: ["db"] } } });
    const ask = (from: typeof web, name: string, type: "A" | "AAAA" | "PTR" = "A"): string => {
      const query = encodeDns(c, { id: 9, rd: true, questions: [{ name, type, class: 1 }] });
      const bytes = askUdp(from.ns!, "127.0.0.11", 53, query);
      if (bytes === null) return "nothing";
      const m = decodeDns(c, bytes);
      expect([m.id, m.qr, m.ra]).toEqual([9, true, true]);
      if (m.rcode !== 0) return `rcode ${m.rcode}`;
      return m.answers
        .map((r) => (r.type === "A" ? formatIpv4(r.address) : r.type === "PTR" ? r.target : "?"))
        .join(" ");
    };
    expect(ask(web, "app")).toBe("172.18.0.3");
    expect(ask(web, "API")).toBe("172.18.0.3");
    expect(ask(web, "app-1.front")).toBe("172.18.0.3");
    expect(ask(web, app.id.slice(0, 12))).toBe("172.18.0.3");
    expect(ask(web, "app", "AAAA")).toBe("");
    // on another network, and there is nobody to ask
    expect(ask(web, "db")).toBe("rcode 2");
    expect(ask(app, "db")).toBe("172.19.0.3");
    expect(ask(app, "3.0.19.172.in-addr.arpa", "PTR")).toBe("db-1.back");
    engine.container("db-1").stop();
    expect(ask(app, "db")).toBe("rcode 2");
  });

  it("other names go to the host's name server, out of the container", () => {
    const c = core();
    const { engine, client } = place(c, { nameServers: [0xc633640a] });
    engine.createNetwork("n");
    engine.createNetwork("shut", { internal: true });
    const a = engine.run("a", { networks: { n: {} } });
    const b = engine.run("b", { networks: { shut: {} } });
    echo(client, 53, (q) => encodeDns(c, { ...decodeDns(c, q), qr: true, rcode: 3 }));
    const query = encodeDns(c, { id: 5, rd: true, questions: [{ name: "www.example", type: "A", class: 1 }] });
    const steps: string[] = [];
    a.resolver!.watcher = (s) => steps.push(s.by);
    expect(decodeDns(c, askUdp(a.ns!, "127.0.0.11", 53, query)!).rcode).toBe(3);
    expect(decodeDns(c, askUdp(b.ns!, "127.0.0.11", 53, query)!).rcode).toBe(2);
    expect(steps).toEqual(["forward"]);
  });

  it("whoami answers GET with what it sees", () => {
    const { engine, client } = place(core());
    const c = engine.run("w", { image: whoami, publish: parsePublish("8080:80"), environment: { WHOAMI_NAME: "one" } });
    const text = get(client, HOST, 8080, "GET /x?y=1 HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\n\r\n");
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\nContent-Length: \d+\r\n/);
    expect(text).toContain(
      `Name: one\nHostname: ${c.id.slice(0, 12)}\nIP: 127.0.0.1\nIP: 172.17.0.2\nRemoteAddr: ${CLIENT}:`,
    );
    expect(text).toContain("GET /x?y=1 HTTP/1.1\nHost: shop\nAccept: */*\n");
    expect(get(client, HOST, 8080, "GET /\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 Bad Request/);
  });
});

overBuilds("docker names for programs", (core) => {
  it("the stub of a container asks 127.0.0.11, over UDP and TCP", () => {
    const { engine, world } = place(core());
    engine.createNetwork("n");
    const a = engine.run("a", { networks: { n: {} }, extraHosts: [["gw", "host-gateway"]] });
    engine.run("db", { networks: { n: { aliases: ["data"] } } });
    const heard: string[] = [];
    for (const useVc of [false, true]) {
      const stub = new Stub(programHost(a.ns!), { ...resolvConf(a), useVc });
      stub.resolve4("data", (error, addresses) => heard.push(error?.message ?? addresses.join()));
      stub.resolve4("nobody", (error, addresses) => heard.push(error?.message ?? addresses.join()));
    }
    world.clock.advance(60_000_000_000);
    expect(heard.toSorted()).toEqual([
      "172.18.0.3",
      "172.18.0.3",
      "queryA ESERVFAIL nobody",
      "queryA ESERVFAIL nobody",
    ]);
    expect(a.hosts).toEqual([
      ["localhost", "127.0.0.1"],
      ["gw", "172.17.0.1"],
      [a.hostname, "172.18.0.2"],
    ]);
  });
});
