import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { EngineOptions, Engine } from "../../src/docker/engine.ts";
import { parsePublish } from "../../src/docker/ports.ts";
import { Engine as DockerEngine } from "../../src/docker/engine.ts";
import { Namespace } from "../../src/host/namespace.ts";
import { newWorld } from "../../src/link/newworld.ts";
import { coreOf } from "../support/cores.ts";
import { have } from "../support/have.ts";

const golden = (name: string): string =>
  readFileSync(new URL(`../../fixtures/docker/${name}.rules`, import.meta.url), "utf8");

const subnet = { subnet: { address: 0xc0000200, length: 24 }, gateway: 0xc0000201, device: "bridge1" };

/** An engine on a host that forwarded already, or not. */
function engineOn(forwards: boolean, options: EngineOptions = {}): Engine {
  const host = new Namespace("host", newWorld(coreOf("release")));
  if (forwards) host.sysctl.set("net.ipv4.ip_forward", 1);
  return new DockerEngine(host, options);
}

function withPort(ports: string, icc: boolean, options: EngineOptions = {}): string {
  const engine = engineOn(true, options);
  engine.createNetwork("bridge1", { ...subnet, icc });
  engine.run("c1", { networks: { bridge1: {} }, publish: parsePublish(ports) });
  return engine.host.iptables.save();
}

const setups: readonly (readonly [string, () => string])[] = [
  ["new-daemon", () => engineOn(false).host.iptables.save()],
  ["portmap", () => withPort("8080:80", true)],
  ["portmap-loopback", () => withPort("127.0.0.1:8080:80", true)],
  ["portmap-noicc", () => withPort("8080:80", false)],
  ["portmap-noproxy", () => withPort("8080:80", true, { userlandProxy: false })],
  [
    "internal",
    () => {
      const engine = engineOn(true);
      engine.createNetwork("a", { ...subnet, device: "bridgeICC", internal: true });
      const other = { subnet: { address: 0xc6336400, length: 24 }, gateway: 0xc6336401, device: "bridgeNoICC" };
      engine.createNetwork("b", { ...other, internal: true, icc: false });
      engine.run("c1", { networks: { a: {} } });
      engine.run("c2", { networks: { b: {} } });
      return engine.host.iptables.save();
    },
  ],
];

/** A new network namespace of this machine's kernel can be had, and iptables-restore is there. */
function kernel(): boolean {
  if (!have("iptables-restore")) return false;
  const able = spawnSync("unshare", ["-n", "iptables-save"]).status === 0;
  if (!able) console.log("skipped: no network namespace can be made here, the kernel is not asked");
  return able;
}

describe("docker's rules", () => {
  it.each(setups)("%s: as docker writes them", (name, make) => {
    expect(make()).toBe(golden(name));
  });

  it("a container's nat table for its name server", () => {
    const engine = engineOn(true);
    engine.createNetwork("n");
    const saved = engine.run("c", { networks: { n: {} } }).ns!.iptables.save();
    const [, tcp, udp] = /--to-destination 127\.0\.0\.11:(\d+)[^]*?:(\d+)/.exec(saved)!;
    expect(saved).toBe(golden("container-dns").replaceAll("TCP", tcp!).replaceAll("UDP", udp!));
  });

  it.skipIf(!kernel())("iptables-restore of the kernel takes them and gives them back", () => {
    for (const [name, make] of [
      ...setups,
      ["container-dns", () => golden("container-dns").replaceAll(/TCP|UDP/g, "5353")],
    ]) {
      const text = (make as () => string)();
      const { status, stdout, stderr } = spawnSync("unshare", ["-n", "sh", "-c", "iptables-restore && iptables-save"], {
        input: text,
        encoding: "utf8",
        timeout: 20_000,
      });
      expect([name, status, stderr]).toEqual([name, 0, ""]);
      const rules = (s: string): string[] =>
        s
          .split("\n")
          .filter((l) => !l.startsWith("#") && l !== "")
          .map((l) => l.replace(/\[\d+:\d+\]/, "[0:0]"));
      // tables and chains may come in another order; within a chain it must be ours
      const byChain = (lines: string[]): Map<string, string[]> => {
        const chains = new Map<string, string[]>();
        let table = "";
        for (const line of lines) {
          if (line.startsWith("*")) table = line;
          else if (line !== "COMMIT") {
            const key = `${table} ${line.split(" ")[line.startsWith(":") ? 0 : 1]!.replace(":", "")}`;
            chains.set(key, [...(chains.get(key) ?? []), line]);
          }
        }
        return chains;
      };
      expect(byChain(rules(stdout))).toEqual(byChain(rules(text)));
    }
  });
});

it("many rules at once stand as they do one by one, and the administrator's stay", () => {
  const set = (engine: Engine): void => {
    engine.createNetwork("n");
    for (let i = 0; i < 20; i++) {
      engine.run(`c${i}`, {
        networks: i % 2 === 0 ? { n: {} } : { bridge: {} },
        publish: parsePublish(`${8000 + i}:80`),
      });
    }
    engine.removeContainer("c3");
  };
  const [one, many] = [engineOn(false), engineOn(false)];
  for (const { host } of [one, many]) host.iptables.command("-A DOCKER-USER -s 192.0.2.7/32 -j DROP");
  set(one);
  many.firewall.together(() => set(many));
  expect(many.host.iptables.save()).toBe(one.host.iptables.save());
  expect(many.host.iptables.save()).toContain("-A DOCKER-USER -s 192.0.2.7/32 -j DROP");
  many.removeContainer("c4");
  one.removeContainer("c4");
  expect(many.host.iptables.save()).toBe(one.host.iptables.save());
});
