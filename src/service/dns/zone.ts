// src/service/dns/zone.ts: a zone: its names and what a lookup finds there (RFC 1034 §4.3.2, RFC 4592, RFC 2308).

import type { DnsRecord } from "../../core/dns.ts";
import { TextError } from "../../host/text.ts";
import { ancestorsOf, childOf, isWithin, keyOf, labelsOf, parentOf, parseName } from "./name.ts";
import { numberOf, type RRset, type SoaRecord, targetOf, Type } from "./types.ts";
import { type Placed, readZoneFile } from "./zonefile.ts";

/** A name that exists; without sets it does because names below it do (an empty non-terminal, RFC 8499). */
export interface ZoneNode {
  /** As it is written. */
  readonly name: string;
  readonly sets: Map<number, RRset>;
}

export type Found =
  | { readonly kind: "answer"; readonly sets: readonly RRset[]; readonly wildcard: boolean }
  | { readonly kind: "cname"; readonly set: RRset; readonly target: string; readonly wildcard: boolean }
  | { readonly kind: "referral"; readonly cut: ZoneNode; readonly ns: RRset }
  | { readonly kind: "nodata"; readonly wildcard: boolean }
  | { readonly kind: "nxdomain" };

export class Zone {
  private constructor(
    /** The apex, as a name and as a key. */
    readonly name: string,
    readonly apex: string,
    readonly soa: SoaRecord,
    /** By key, the empty non-terminals with them. */
    readonly nodes: ReadonlyMap<string, ZoneNode>,
  ) {}

  /** Reads a master file. `name` is the apex. Throws `TextError` with the place in the text. */
  static parse(text: string, name: string): Zone {
    const canonical = parseName(name);
    return Zone.of(canonical, readZoneFile(text, canonical));
  }

  private static of(name: string, placed: readonly Placed[]): Zone {
    const apex = keyOf(name);
    const nodes = new Map<string, ZoneNode>();
    const known = new Set<string>();
    let soa: SoaRecord | null = null;
    for (const p of placed) {
      const { record } = p;
      const key = keyOf(record.name);
      if (record.type === "SOA") {
        if (key !== apex) throw at(p, `SOA at '${record.name}', expected it at '${name}'`);
        if (soa !== null) throw at(p, "a second SOA, expected one");
        soa = record;
      }
      add(nodes, known, p, key, record);
    }
    const top = nodes.get(apex);
    if (soa === null) throw new TextError(1, 1, `the zone '${name}' has no SOA, expected one at its apex`);
    if (!top!.sets.has(Type.NS)) throw new TextError(1, 1, `the zone '${name}' has no NS, expected one at its apex`);
    for (const key of Array.from(nodes.keys())) {
      for (const above of ancestorsOf(key, apex)) {
        if (!nodes.has(above)) nodes.set(above, { name: suffixOf(nodes.get(key)!.name, above), sets: new Map() });
      }
    }
    return new Zone(name, apex, soa, nodes);
  }

  /** RFC 1034 §4.3.2 step 3: what there is for a key in this zone. */
  find(key: string, type: number): Found {
    let encloser = this.apex;
    const down = Array.from(ancestorsOf(key, this.apex)).toReversed();
    for (const at of down) {
      const node = this.nodes.get(at);
      if (node === undefined) {
        // RFC 4592 §3.3.1: the wildcard below the closest encloser is the source of synthesis
        const source = this.nodes.get(childOf("*", encloser));
        return source === undefined ? { kind: "nxdomain" } : lookIn(source, type, true);
      }
      const ns = node.sets.get(Type.NS);
      // the parent's side of a cut answers for DS (RFC 4035 §3.1.4.1)
      if (ns !== undefined && at !== this.apex && !(at === key && type === Type.DS)) {
        return { kind: "referral", cut: node, ns };
      }
      encloser = at;
    }
    return lookIn(this.nodes.get(key)!, type, false);
  }

  /** Addresses that stand at a key, below a cut as well: what goes with a referral, a mail server, a service. */
  addresses(key: string): RRset[] {
    const node = this.nodes.get(key);
    if (node === undefined) return [];
    return [Type.A, Type.AAAA].flatMap((t) => node.sets.get(t) ?? []);
  }
}

function lookIn(node: ZoneNode, type: number, wildcard: boolean): Found {
  if (type === Type.ANY) {
    const sets = Array.from(node.sets.values());
    return sets.length === 0 ? { kind: "nodata", wildcard } : { kind: "answer", sets, wildcard };
  }
  const set = node.sets.get(type);
  if (set !== undefined) return { kind: "answer", sets: [set], wildcard };
  const cname = node.sets.get(Type.CNAME);
  if (cname !== undefined) return { kind: "cname", set: cname, target: targetOf(cname.records[0]!)!, wildcard };
  return { kind: "nodata", wildcard };
}

function at(p: Placed, what: string): TextError {
  return new TextError(p.line, p.column, what);
}

/** The last labels of `name`, as many as `key` has. */
function suffixOf(name: string, key: string): string {
  let s = name;
  for (let n = labelsOf(name).length - labelsOf(key).length; n > 0; n--) s = parentOf(s);
  return s;
}

/** `known`: what was added so far, by owner and data. */
function add(nodes: Map<string, ZoneNode>, known: Set<string>, p: Placed, key: string, record: DnsRecord): void {
  const type = numberOf(record.type);
  let node = nodes.get(key);
  if (node === undefined) nodes.set(key, (node = { name: record.name, sets: new Map() }));
  // RFC 4592 §4.2: what a delegation at a wildcard means is not defined
  if (type === Type.NS && labelsOf(key)[0] === "*") throw at(p, "NS at a wildcard, expected it at a name");
  const alias = type === Type.CNAME;
  if (alias !== node.sets.has(Type.CNAME) && node.sets.size > 0) {
    throw at(p, `'${record.name}' has a CNAME and other data, expected the CNAME alone (RFC 1034 §3.6.2)`);
  }
  // RFC 2181 §5: no two alike
  const text = `${key} ${dataKey(record)}`;
  if (known.has(text)) return;
  known.add(text);
  const set = node.sets.get(type);
  if (set === undefined) {
    node.sets.set(type, { type, ttl: record.ttl, records: [record] });
    return;
  }
  if (alias) throw at(p, `'${record.name}' has a second CNAME, expected one (RFC 2181 §10.1)`);
  // RFC 2181 §5.2: one TTL; of several the lowest
  const ttl = Math.min(set.ttl, record.ttl);
  const records = set.records as DnsRecord[];
  records.push(record);
  node.sets.set(type, {
    type,
    ttl,
    records: ttl === set.ttl && ttl === record.ttl ? records : records.map((r) => ({ ...r, ttl })),
  });
}

const nameFields = new Set(["target", "exchange", "mname", "rname"]);

/** Equal for records with equal data: names without their case. */
export function dataKey(record: DnsRecord): string {
  return JSON.stringify(record, (k, v: unknown) => {
    if (k === "name" || k === "ttl" || k === "class") return undefined;
    if (v instanceof Uint8Array) return Array.from(v);
    return nameFields.has(k) ? keyOf(v as string) : v;
  });
}

/** The zone of a set of zones that is closest to the key; null outside all of them. */
export function closestZone(zones: ReadonlyMap<string, Zone>, key: string): Zone | null {
  for (const at of ancestorsOf(key)) {
    const zone = zones.get(at);
    if (zone !== undefined && isWithin(key, zone.apex)) return zone;
  }
  return null;
}
