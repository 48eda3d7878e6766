import { expect, it, describe } from "vitest";
import { formatIpv4 } from "../../src/core/address.ts";
import { buildCompose, type ComposeWorld } from "../../src/docker/composebuild.ts";
import { Compose, ComposeError, type ComposeOptions } from "../../src/docker/compose.ts";
import { interpolate, parseEnvFile } from "../../src/docker/interpolate.ts";
import { formatNetworks, formatPs, formatPublished, inspectNetwork } from "../../src/docker/show.ts";
import { coreOf } from "../support/cores.ts";
import { get, greet, hear } from "./support.ts";

const read = (text: string, options: ComposeOptions = {}): Compose => new Compose("compose.yaml", text, options);
const build = (text: string, options: ComposeOptions = {}): ComposeWorld =>
  buildCompose(coreOf("release"), read(text, options), { anyImage: true });

const shop = `
name: shop
services:
  proxy:
    image: nginx:1.27-alpine
    ports: ["8080:80", { target: 443, published: "8443", host_ip: 127.0.0.1, protocol: tcp }]
    networks: [front]
    depends_on: [app]
  app:
    image: whoami
    environment: { WHOAMI_NAME: "\${NAME:-app}", EMPTY: }
    networks:
      front: { aliases: [api] }
      back:
    depends_on:
      db: { condition: service_started }
    restart: always
  db:
    image: postgres
    hostname: database
    expose: [5432]
    networks:
      back: { ipv4_address: 10.9.0.50 }
networks:
  front:
  back:
    internal: true
    ipam: { config: [{ subnet: 10.9.0.0/24, ip_range: 10.9.0.128/25, gateway: 10.9.0.1 }] }
`;

describe("compose", () => {
  it("reads names, networks, addresses and the order of the start", () => {
    const c = read(shop);
    expect(c.project).toBe("shop");
    expect(c.services.map((s) => s.name)).toEqual(["db", "app", "proxy"]);
    expect(c.networks.map((n) => n.name)).toEqual(["shop_front", "shop_back"]);
    const app = c.services[1]!;
    expect(Object.keys(app.networks)).toEqual(["shop_back", "shop_front"]);
    expect(app.networks["shop_front"]).toEqual({ aliases: ["app", "api"] });
    expect(app.environment).toEqual({ WHOAMI_NAME: "app" });
    expect(c.notes).toEqual(["compose.yaml:17:5: 'restart' has no effect on the network"]);
  });

  it("builds it: who is where, and who hears whom", () => {
    const { engine, client, containers } = build(shop);
    const [proxy, app, db] = ["proxy", "app", "db"].map((n) => containers.get(n)![0]!);
    expect(db!.name).toBe("shop-db-1");
    expect([...db!.endpoints.values()].map((e) => formatIpv4(e.address))).toEqual(["10.9.0.50"]);
    expect([...app!.endpoints.values()].map((e) => formatIpv4(e.address))).toEqual(["10.9.0.128", "172.18.0.2"]);
    greet(proxy!.ns!, 80, "proxy");
    greet(db!.ns!, 5432, "db");
    expect(hear(client!, "198.51.100.20", 8080)).toBe("proxy");
    expect(hear(client!, "198.51.100.20", 8443)).toBe("ECONNREFUSED");
    expect(hear(app!.ns!, "10.9.0.50", 5432)).toBe("db");
    expect(hear(proxy!.ns!, "10.9.0.50", 5432)).toBe("timeout");
    expect(get(proxy!.ns!, "172.18.0.2", 80, "GET / HTTP/1.1\r\nHost: app\r\n\r\n")).toContain("Name: app\n");
    expect(engine.containers.size).toBe(3);
  });

  it("what docker prints", () => {
    const { engine, containers, world } = build(shop);
    world.clock.advance(90_000_000_000);
    const [proxy, db] = ["proxy", "db"].map((n) => containers.get(n)![0]!);
    expect(formatPs(engine).split("\n")[1]).toBe(
      `${proxy!.id.slice(0, 12)}   nginx:1.27-alpine   -         About a minute ago   Up About a minute   0.0.0.0:8080->80/tcp, 127.0.0.1:8443->443/tcp   shop-proxy-1`,
    );
    expect(formatPs(engine)).toContain("5432/tcp");
    expect(formatNetworks(engine)).toMatch(
      /^NETWORK ID {5}NAME {9}DRIVER {3}SCOPE\n[0-9a-f]{12} {3}bridge {7}bridge {3}local\n/,
    );
    expect(formatPublished(proxy!)).toBe("80/tcp -> 0.0.0.0:8080\n443/tcp -> 127.0.0.1:8443\n");
    const [about] = JSON.parse(inspectNetwork(engine.network("shop_back"))) as [Record<string, never>];
    expect(about).toMatchObject({ Name: "shop_back", Internal: true, Driver: "bridge" });
    expect(about["IPAM"]).toEqual({
      Driver: "default",
      Options: null,
      Config: [{ Subnet: "10.9.0.0/24", IPRange: "10.9.0.128/25", Gateway: "10.9.0.1" }],
    });
    expect(about["Containers"][db!.id]).toMatchObject({ Name: "shop-db-1", IPv4Address: "10.9.0.50/24" });
  });

  it("the default network, host and none, replicas, profiles", () => {
    const { containers, engine, host } = build(`
services:
  a: { image: x, deploy: { replicas: 3 } }
  h: { image: x, network_mode: host, ports: ["80:80"] }
  n: { image: x, network_mode: none }
  b: { image: x, network_mode: bridge }
  debug: { image: x, profiles: [debug] }
`);
    expect(containers.get("a")!.map((c) => c.name)).toEqual(["compose-a-1", "compose-a-2", "compose-a-3"]);
    expect(containers.get("a")![2]!.networkNames).toEqual(["compose_default"]);
    expect(containers.get("h")![0]!.ns).toBe(host);
    expect(containers.get("n")![0]!.ns!.interfaces.map((d) => d.name)).toEqual(["lo"]);
    expect(containers.get("b")![0]!.networkNames).toEqual(["bridge"]);
    expect(containers.has("debug")).toBe(false);
    expect(engine.networks.size).toBe(2);
  });

  it("anchors, merge keys and extension fields", () => {
    const c = read(
      "x-base: &base\n  image: whoami\n  restart: always\nservices:\n  a:\n    <<: *base\n    x-mine: 1\n",
    );
    expect(c.services[0]!.image).toBe("whoami");
  });

  it("variables", () => {
    const vars = new Map([
      ["A", "1"],
      ["E", ""],
    ]);
    const missed: string[] = [];
    const text = "$A ${A} $$A ${B:-x} ${E:-y} ${E-z} ${B-${A}} ${A:+set} ${E:+set} ${E+set} $B";
    expect(interpolate(text, vars, (n) => missed.push(n))).toBe("1 1 $A x y  1 set  set ");
    expect(missed).toEqual(["B"]);
    expect(() => interpolate("${A", vars)).toThrow("the '{' is never closed");
    expect(() => interpolate("a $ b", vars)).toThrow("is no variable; write $$ for a $");
    expect(() => interpolate("${B:?say B}", vars)).toThrow("required variable B is missing a value: say B");
    expect(parseEnvFile("# c\nexport A=1 # one\nB='x y'\nC=\"a\\nb\"\n")).toEqual(
      new Map([
        ["A", "1"],
        ["B", "x y"],
        ["C", "a\nb"],
      ]),
    );
    const files = (path: string): string | null => (path === "a.env" ? "X=1\nY=2\n" : null);
    const c = read("services:\n  a:\n    image: i\n    env_file: a.env\n    environment: [Y=3, A]\n", {
      readFile: files,
      variables: vars,
    });
    expect(c.services[0]!.environment).toEqual({ X: "1", Y: "3", A: "1" });
  });

  const service = (rest: string): string => `services:\n  a:\n    image: whoami\n${rest}`;
  it.each([
    ["", "compose.yaml:1:1: the file is empty, expected a Compose file with `services:`"],
    ["services: [", "compose.yaml:1:12: "],
    ["services: {}", "compose.yaml:1:11: there is no service to start"],
    ["service:\n  a: {}\n", "compose.yaml:1:1: 'services' is missing, expected a map"],
    [service("    imag: x\n"), "compose.yaml:4:5: unknown key 'imag'"],
    [service("    links: [b]\n"), "compose.yaml:4:5: 'links' is not supported"],
    [service('    ports: ["80:99999"]\n'), "compose.yaml:4:17: '99999' in '80:99999' is no port or range of ports"],
    [service("    ports: [80, 1.2.3:80:80]\n"), "compose.yaml:4:17: '1.2.3' is no IPv4 address"],
    [service("    ports:\n      - { target: 80, publish: 1 }\n"), "compose.yaml:5:23: unknown key 'publish'"],
    [service("    ports: 80\n"), "compose.yaml:4:12: 'ports': wrong kind of value, expected a list"],
    [service("    networks: [x]\n"), "compose.yaml:4:16: network 'x' is not defined, there is no `networks:`"],
    [
      service("    networks: { n: { ipv4_address: 10.0.0.300 } }\nnetworks: { n: }\n"),
      "compose.yaml:4:36: '10.0.0.300' is no IPv4 address",
    ],
    [service("    depends_on: [a]\n"), "compose.yaml:4:18: service 'a' depends on itself"],
    [service("    depends_on: [b]\n"), "compose.yaml:4:18: service 'a' depends on 'b', which is not defined"],
    [
      service("    depends_on: { a: { condition: ready } }\n"),
      "compose.yaml:4:35: 'condition': expected one of service_started",
    ],
    [
      service("    depends_on: [b]\n  b: { image: whoami, depends_on: [a] }\n"),
      "compose.yaml:4:5: services depend on each other: a -> b -> a",
    ],
    [service("    environment: { A: '${B' }\n"), "compose.yaml:4:24: '${B': the '{' is never closed"],
    [
      service("    network_mode: service:b\n"),
      "compose.yaml:4:19: 'service:b' is not supported, expected bridge, host or none",
    ],
    [
      service("    network_mode: host\n    networks: [default]\n"),
      "compose.yaml:5:5: 'networks' and 'network_mode: host' exclude each other",
    ],
    [service("    extra_hosts: [b]\n"), "compose.yaml:4:19: 'b', expected NAME:ADDRESS"],
    [service("    dns: [8.8.8]\n"), "compose.yaml:4:11: '8.8.8' is no IPv4 address"],
    [
      service("    scale: 2\n    container_name: x\n"),
      "compose.yaml:5:21: service 'a' has 2 containers, one name is not enough",
    ],
    [service("    env_file: no.env\n"), "compose.yaml:4:15: the file 'no.env' cannot be read"],
    [service("networks:\n  n: { external: true }\n"), "compose.yaml:5:8: network 'compose_n' is external"],
    [
      service("networks:\n  n: { driver: macvlan }\n"),
      "compose.yaml:5:16: driver 'macvlan' is not supported, expected bridge",
    ],
    [
      service("networks:\n  n: { ipam: { config: [{ gateway: 1.2.3.4 }] } }\n"),
      "compose.yaml:5:27: 'gateway' needs a 'subnet' beside it",
    ],
    [service("networks:\n  n: { subnet: 10.0.0.0/8 }\n"), "compose.yaml:5:8: unknown key 'subnet'"],
    [
      service("networks:\n  n: { driver_opts: { mtu: 1 } }\n"),
      "compose.yaml:5:23: driver option 'mtu' is not supported",
    ],
    ["services:\n  a: {}\n", "compose.yaml:2:3: service 'a' has neither an image nor a build context"],
    ["name: Shop\nservices: { a: { image: x } }\n", "compose.yaml:1:7: 'Shop' is no project name"],
  ])("%j is refused with its place", (text, message) => {
    expect(() => read(text)).toThrow(ComposeError);
    expect(() => read(text)).toThrow(message);
  });

  it("what the engine refuses is said at its service or network", () => {
    const make = (text: string) => (): unknown => buildCompose(coreOf("release"), read(text));
    expect(make(service("    ports: ['80:80']\n  b: { image: whoami, ports: ['80:80'] }\n"))).toThrow(
      "compose.yaml:5:6: Bind for 0.0.0.0:80 failed: port is already allocated",
    );
    expect(make("services:\n  a: { image: mysql }\n")).toThrow(
      "compose.yaml:2:15: image 'mysql': no program of that name comes along, expected one of traefik/whoami, whoami",
    );
    expect(make(service("networks:\n  n: { ipam: { config: [{ subnet: 172.17.0.0/24 }] } }\n"))).toThrow(
      "compose.yaml:5:6: cannot use the subnet 172.17.0.0/24: Pool overlaps with other one",
    );
    expect(make(service("    x-wirepath: ./server.js\n"))).toThrow("compose.yaml:4:5: programs cannot be run here");
  });
});
