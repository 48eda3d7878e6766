// tests/support/dns.ts: hosts around one router, with name servers on them, and the frames that they exchange.

import { formatIpv4, parseIpv4 } from "../../src/core/address.ts";
import type { Core } from "../../src/core/core.ts";
import { type DnsDraft, type DnsMessage, type DnsRecord } from "../../src/core/dns.ts";
import { SECOND } from "../../src/link/clock.ts";
import type { World } from "../../src/link/world.ts";
import { buildLab, type Lab } from "../../src/lab/build.ts";
import { LabText } from "../../src/lab/read.ts";
import { loadCore } from "../../src/node/core.ts";
import { programHost, type ProgramHost } from "../../src/service/program.ts";
import { AuthoritativeServer } from "../../src/service/dns/authoritative.ts";
import { Resolver, type ResolverOptions } from "../../src/service/dns/resolver.ts";
import { defaultConf } from "../../src/service/dns/resolvconf.ts";
import type { Resolved } from "../../src/service/dns/resolution.ts";
import { Stub } from "../../src/service/dns/stub.ts";
import { rcodeName, typeOf, typeText } from "../../src/service/dns/types.ts";
import { Zone } from "../../src/service/dns/zone.ts";

export const ip = (s: string): number => parseIpv4(s)!;

export interface Net {
  readonly lab: Lab;
  readonly world: World;
  /** The host with this address. */
  host(address: string): ProgramHost;
  /** The trace's lines of programs: `node text`. */
  readonly lines: string[];
}

/** Hosts with these addresses (any, each with a router of its own net), `netem` on each one's link both ways. */
export function network(
  addresses: readonly string[],
  options: { netem?: string; seed?: number; core?: Core } = {},
): Net {
  const impair = options.netem === undefined ? "" : `, netem: "${options.netem}"`;
  const gateway = (i: number): string => `100.64.${i >> 6}.${(i & 63) * 4 + 1}`;
  const own = (i: number): string => `100.64.${i >> 6}.${(i & 63) * 4 + 2}`;
  const nodes = addresses.map((a, i) => {
    return `  h${i}:
    interfaces: { eth0: { addresses: [${a}/32, ${own(i)}/30] } }
    routes: ["default via ${gateway(i)} src ${a}"]`;
  });
  const ports = addresses.map((_, i) => `e${i}: { addresses: [${gateway(i)}/30] }`);
  const routes = addresses.map((a, i) => `"${a}/32 via ${own(i)}"`);
  const text = `
nodes:
${nodes.join("\n")}
  router:
    sysctl: { net.ipv4.ip_forward: 1 }
    interfaces: { ${ports.join(", ")} }
    routes: [${routes.join(", ")}]
links:
${addresses.map((_, i) => `  - { endpoints: ["h${i}:eth0", "router:e${i}"]${impair} }`).join("\n")}
`;
  const lab = buildLab(options.core ?? loadCore(), LabText.read("net", text), { seed: options.seed ?? 1 });
  const lines: string[] = [];
  lab.world.tracer = (e) => {
    if (e.kind === "program") lines.push(`${e.node} ${e.text}`);
  };
  return {
    lab,
    world: lab.world,
    lines,
    host: (address) => {
      const i = addresses.indexOf(address);
      if (i < 0) throw new Error(`no host ${address}`);
      return programHost(lab.nodes.get(`h${i}`)!);
    },
  };
}

/** Starts an authoritative server; `zones`: name to master file. */
export function serve(net: Net, address: string, zones: Record<string, string>): AuthoritativeServer {
  const server = new AuthoritativeServer({
    zones: Object.entries(zones).map(([name, text]) => Zone.parse(text, name)),
  });
  server.start(net.host(address));
  return server;
}

export function resolver(net: Net, address: string, options: ResolverOptions): Resolver {
  const r = new Resolver(options);
  r.start(net.host(address));
  return r;
}

/** Asks through a stub and runs the network until the answer is there. */
export function dig(net: Net, from: string, server: string, name: string, type: string, seconds = 2000): DnsMessage {
  const stub = new Stub(net.host(from), { ...defaultConf, nameservers: [ip(server)], timeout: 2, attempts: 9 });
  const got: { message: DnsMessage | null; code: string | null }[] = [];
  stub.query(name, typeOf(type)!, (message, code) => got.push({ message, code }));
  until(net, () => got.length > 0, seconds);
  const message = got[0]?.message ?? null;
  if (message === null) throw new Error(`${name} ${type}: ${got[0]?.code ?? "no answer"}`);
  return message;
}

/** Resolves without a client. */
export function resolved(net: Net, r: Resolver, name: string, type: string, seconds = 60): Resolved {
  const got: Resolved[] = [];
  r.resolve(name, typeOf(type)!, (x) => got.push(x));
  until(net, () => got.length > 0, seconds);
  if (got.length === 0) throw new Error(`${name} ${type}: no result`);
  return got[0]!;
}

/** Runs the network until something holds, or so many seconds passed. */
export function until(net: Net, holds: () => boolean, seconds = 60): void {
  const end = net.world.clock.now + seconds * SECOND;
  while (!holds() && net.world.clock.next() <= end) net.world.clock.step();
}

/** A record as a master file has it. */
export function show(r: DnsRecord, ttl = true): string {
  const head = `${r.name}${ttl ? ` ${r.ttl}` : ""} ${r.type.startsWith("TYPE") ? typeText(Number(r.type.slice(4))) : r.type}`;
  switch (r.type) {
    case "A":
      return `${head} ${formatIpv4(r.address)}`;
    case "CNAME":
    case "NS":
    case "PTR":
      return `${head} ${r.target}`;
    case "MX":
      return `${head} ${r.preference} ${r.exchange}`;
    case "SRV":
      return `${head} ${r.priority} ${r.weight} ${r.port} ${r.target}`;
    case "SOA":
      return `${head} ${r.mname} ${r.rname} ${r.serial} ${r.refresh} ${r.retry} ${r.expire} ${r.minimum}`;
    case "TXT":
      return `${head} ${r.strings.map((s) => `"${Buffer.from(s).toString("latin1")}"`).join(" ")}`;
    case "AAAA":
      return `${head} ${Buffer.from(r.address).toString("hex")}`;
    case "OPT":
      return head;
    default:
      return `${head} ${Buffer.from(r.rdata).toString("hex")}`;
  }
}

/** A message by sections, records in order of text: order within a section says nothing. */
export function shown(m: DnsDraft | DnsMessage, ttl = true): Record<string, unknown> {
  const list = (rs: readonly DnsRecord[] | undefined): string[] =>
    (rs ?? [])
      .filter((r) => r.type !== "OPT")
      .map((r) => show(r, ttl))
      .toSorted();
  return {
    rcode: rcodeName(m.rcode ?? 0),
    aa: m.aa ?? false,
    answers: list(m.answers),
    authorities: list(m.authorities),
    additionals: list(m.additionals),
  };
}
