// src/lab/services.ts: what runs on a lab's nodes: `services`, `hosts` and `resolv_conf`.

import { parseIpv4, parsePrefix } from "../core/address.ts";
import type { Namespace } from "../host/namespace.ts";
import { AuthoritativeServer } from "../service/dns/authoritative.ts";
import { keyOf, parseName } from "../service/dns/name.ts";
import { Resolver } from "../service/dns/resolver.ts";
import { parseHosts, parseResolvConf } from "../service/dns/resolvconf.ts";
import { Stub } from "../service/dns/stub.ts";
import { Zone } from "../service/dns/zone.ts";
import { type Program, programHost } from "../service/program.ts";
import { setNames } from "../socket/host.ts";
import { SocketError } from "../transport/errno.ts";
import type { LabText, Path } from "./read.ts";
import { type NodeFile, serviceKinds, type ServiceFile } from "./schema.ts";
import { makeWeb, type Parts } from "./webservices.ts";

export interface HowServices {
  /** They are made and checked, and not started. */
  readonly idle: boolean;
  readonly parts: Parts;
}

/** Makes a node's programs and starts them unless they are to be idle; what is wrong throws `LabError` with its place. */
export function addServices(text: LabText, ns: Namespace, file: NodeFile, how: HowServices): Program[] {
  const node: Path = ["nodes", ns.name];
  const hosts = text.within([...node, "hosts"], () => parseHosts(file.hosts ?? ""));
  const { resolv_conf } = file;
  if (resolv_conf !== undefined) {
    const conf = text.within([...node, "resolv_conf"], () => parseResolvConf(resolv_conf));
    setNames(ns, { hosts, resolver: new Stub(programHost(ns), conf) });
  } else if (hosts.size > 0) setNames(ns, { hosts, resolver: null });
  return (file.services ?? []).map((service, i) => {
    const at = [...node, "services", i];
    const program = make(text, service, at) ?? makeWeb(text, ns, service, at, how.parts);
    try {
      if (!how.idle) program.start(programHost(ns));
    } catch (e) {
      if (!(e instanceof SocketError)) throw e;
      const why = e.code === "EADDRINUSE" ? "its port is taken, expected one that is free" : e.code;
      throw text.error(at, `${program.name} does not start on ${ns.name}: ${why}`);
    }
    return program;
  });
}

/** Null: it is one of the web's. */
function make(text: LabText, service: ServiceFile, at: Path): Program | null {
  const kinds = Object.keys(service);
  if (kinds.length !== 1)
    throw text.error(at, `${kinds.length} programs in one entry, expected one of ${serviceKinds.join(", ")}`);
  if (service.dns !== undefined) {
    const { zones, listen, order } = service.dns;
    const where = [...at, "dns"];
    return new AuthoritativeServer({
      zones: zonesAt(text, zones, [...where, "zones"]),
      ...(listen === undefined ? {} : { address: address(text, listen, [...where, "listen"]) }),
      ...(order === undefined ? {} : { order }),
    });
  }
  if (service.resolver === undefined) return null;
  const where = [...at, "resolver"];
  const r = service.resolver;
  const list = (of: readonly string[], path: Path): number[] => of.map((a, i) => address(text, a, [...path, i]));
  const forwards = Object.entries(r.forward ?? {}).map(([zone, to]): [string, number[]] => {
    const path = [...where, "forward", zone];
    return [zoneName(text, zone, path), list(to, path)];
  });
  const allow = r.allow?.map((p, i) => {
    const prefix = parsePrefix(p);
    if (prefix === null)
      throw text.error([...where, "allow", i], `'${p}' is no prefix, expected one such as 10.0.0.0/8`);
    return prefix;
  });
  if ((r.hints ?? []).length === 0 && !forwards.some(([z]) => z === ".") && r.zones === undefined) {
    throw text.error(where, "a resolver that knows nobody to ask, expected hints, forward or zones");
  }
  return new Resolver({
    hints: list(r.hints ?? [], [...where, "hints"]),
    forwards,
    ...(r.zones === undefined ? {} : { zones: zonesAt(text, r.zones, [...where, "zones"]) }),
    ...(allow === undefined ? {} : { allow }),
    ...(r.listen === undefined ? {} : { address: address(text, r.listen, [...where, "listen"]) }),
    ...(r.mixed_case === undefined ? {} : { mixedCase: r.mixed_case }),
    ...(r.cache_size === undefined ? {} : { cacheSize: r.cache_size }),
  });
}

function address(text: LabText, a: string, at: Path): number {
  const n = parseIpv4(a);
  if (n === null) throw text.error(at, `'${a}' is no IPv4 address, expected one such as 192.0.2.1`);
  return n;
}

function zoneName(text: LabText, name: string, at: Path): string {
  try {
    return parseName(name);
  } catch (e) {
    throw text.errorAtKey(at, (e as Error).message);
  }
}

function zonesAt(text: LabText, zones: Readonly<Record<string, string>>, at: Path): Zone[] {
  const known = new Set<string>();
  return Object.entries(zones).map(([name, file]) => {
    const path = [...at, name];
    const canonical = zoneName(text, name, path);
    if (known.has(keyOf(canonical))) throw text.errorAtKey(path, `the zone '${name}' is given twice, expected it once`);
    known.add(keyOf(canonical));
    return text.within(path, () => Zone.parse(file, canonical));
  });
}
