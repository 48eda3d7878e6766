// src/host/neighbour/text.ts: the words of `ip neigh` (ip-neighbour(8)).

import { formatIpv4, parseIpv4, parseMac } from "../../core/address.ts";
import type { Interface } from "../../link/interface.ts";
import { TextError } from "../text.ts";
import type { NeighbourHost } from "./host.ts";
import { type Neighbour, Nud, parseNud } from "./neighbour.ts";
import type { Neighbours } from "./neighbours.ts";

interface Word {
  readonly text: string;
  readonly column: number;
}

interface Spec {
  readonly address: number | null;
  readonly dev: Interface | null;
  readonly lladdr: Uint8Array | null;
  readonly nud: Nud | null;
  readonly all: boolean;
  readonly proxy: boolean;
  readonly router: boolean;
  readonly use: boolean;
  readonly extern: boolean;
}

const verbs = ["add", "replace", "change", "delete", "flush", "show", "list"] as const;

export class NeighbourText {
  private readonly scratch: number;

  constructor(
    private readonly ns: NeighbourHost,
    private readonly table: Neighbours,
  ) {
    this.scratch = ns.world.x.alloc(6);
  }

  load(line: string): void {
    this.change("replace", split(line), line);
  }

  command(line: string): string {
    const words = split(line);
    const first = words[0];
    if (first === undefined) return this.show(words);
    const verb = first.text === "chg" ? "change" : verbs.find((v) => v.startsWith(first.text));
    const rest = words.slice(1);
    if (verb === undefined) throw wrong(first, `unknown command '${first.text}'`, `one of ${verbs.join(", ")}`);
    if (verb === "show" || verb === "list") return this.show(rest);
    if (verb === "flush") return this.flush(rest, line);
    if (verb === "delete") return this.delete(rest, line);
    this.change(verb, rest, line);
    return "";
  }

  list(): string[] {
    const { u8 } = this.ns.world.core;
    const lines: string[] = [];
    for (const n of this.table.all()) if (n.state !== Nud.Noarp && n.state !== Nud.None) lines.push(n.format(u8));
    return lines;
  }

  private change(verb: "add" | "replace" | "change", words: readonly Word[], line: string): void {
    const spec = this.parse(words);
    const { dev, address } = this.target(spec, words, line);
    if (spec.proxy) {
      (this.table.of(dev).proxies ??= new Set()).add(address);
      return;
    }
    let n = this.table.find(dev, address);
    if (n === null && verb === "change")
      throw wrong(words[0], `no entry for ${formatIpv4(address)} on ${dev.name}`, "one that is there");
    if (n !== null && verb === "add")
      throw wrong(words[0], `${formatIpv4(address)} on ${dev.name} exists already`, "a new entry, or 'replace'");
    const state = spec.nud ?? (spec.use ? Nud.None : Nud.Permanent);
    const fresh = n === null;
    n ??= this.table.create(dev, address);
    if (n === null) throw wrong(words[0], "the neighbour table is full", "fewer entries, or a larger gc_thresh3");
    if (spec.router) n.router = true;
    if (spec.extern) n.externLearned = true;
    if (spec.use && spec.nud === null) return this.table.use(n);
    let lladdr = 0;
    if (spec.lladdr !== null) {
      this.ns.world.core.u8.set(spec.lladdr, this.scratch);
      lladdr = this.scratch;
    }
    if (this.table.update(n, lladdr, state, true, true)) return;
    if (fresh) this.table.remove(n);
    throw wrong(words[0], `${formatIpv4(address)}: no lladdr`, "lladdr and six bytes like 02:00:0a:03:00:02");
  }

  private delete(words: readonly Word[], line: string): string {
    const spec = this.parse(words);
    const { dev, address } = this.target(spec, words, line);
    const proxies = this.table.of(dev).proxies;
    const n = this.table.find(dev, address);
    const found = spec.proxy ? (proxies?.delete(address) ?? false) : n !== null;
    if (!found) throw wrong(words[0], `no entry for ${formatIpv4(address)} on ${dev.name}`, "one that is there");
    if (!spec.proxy) this.discard(n!);
    return "";
  }

  /** Packets that waited are told to their senders, then it goes, unless one of those messages began to ask anew by it. */
  private discard(n: Neighbour): void {
    this.table.update(n, 0, Nud.Failed, true, true);
    if (n.state === Nud.Failed) this.table.remove(n);
  }

  /** Permanent entries and those without ARP stay unless `nud` names them. */
  private flush(words: readonly Word[], line: string): string {
    const spec = this.parse(words);
    if (words.length === 0)
      throw new TextError(1, line.length + 1, "flush of everything, expected dev, nud or an address");
    for (const n of this.table.all()) {
      const kept = n.state === Nud.Permanent || n.state === Nud.Noarp;
      if (matches(n, spec) && (spec.all || spec.nud !== null || !kept)) this.discard(n);
    }
    return "";
  }

  private show(words: readonly Word[]): string {
    const spec = this.parse(words);
    const { u8 } = this.ns.world.core;
    let out = "";
    if (spec.proxy) {
      for (const dev of this.ns.interfaces) {
        if (spec.dev !== null && spec.dev !== dev) continue;
        for (const a of this.table.of(dev).proxies ?? []) out += `${formatIpv4(a)} dev ${dev.name} proxy \n`;
      }
      return out;
    }
    for (const n of this.table.all()) {
      const hidden = n.state === Nud.Noarp || n.state === Nud.None;
      if (matches(n, spec) && (spec.all || spec.nud !== null || !hidden))
        out += `${n.format(u8, spec.dev === null)} \n`;
    }
    return out;
  }

  private target(spec: Spec, words: readonly Word[], line: string): { dev: Interface; address: number } {
    if (spec.address === null) throw wrong(words[0], "no address", "an IPv4 address");
    if (spec.dev === null) throw new TextError(1, line.length + 1, "no device, expected dev and the name of one");
    return { dev: spec.dev, address: spec.address };
  }

  private parse(words: readonly Word[]): Spec {
    const spec = {
      address: null as number | null,
      dev: null as Interface | null,
      lladdr: null as Uint8Array | null,
      nud: null as Nud | null,
      all: false,
      proxy: false,
      router: false,
      use: false,
      extern: false,
    };
    for (let i = 0; i < words.length; i++) {
      const w = words[i]!;
      const next = (): Word => {
        const value = words[++i];
        if (value === undefined) throw wrong(w, `'${w.text}' ends the line`, "a value behind it");
        return value;
      };
      switch (w.text) {
        case "dev": {
          const name = next();
          spec.dev = this.ns.byName.get(name.text) ?? null;
          if (spec.dev === null) throw wrong(name, `no interface '${name.text}'`, "one of this node's");
          break;
        }
        case "lladdr": {
          const mac = next();
          spec.lladdr = parseMac(mac.text);
          if (spec.lladdr === null)
            throw wrong(mac, `'${mac.text}' is no MAC address`, "six bytes like 02:00:0a:03:00:02");
          break;
        }
        case "nud": {
          const word = next();
          if (word.text === "all") spec.all = true;
          else spec.nud = parseNud(word.text);
          if (!spec.all && spec.nud === null) {
            throw wrong(
              word,
              `unknown state '${word.text}'`,
              "permanent, noarp, reachable, stale, none, delay, probe, failed or incomplete",
            );
          }
          break;
        }
        case "proxy":
          spec.proxy = true;
          // the address may stand behind it or before
          break;
        case "router":
          spec.router = true;
          break;
        case "use":
          spec.use = true;
          break;
        case "extern_learn":
          spec.extern = true;
          break;
        case "to":
          break;
        case "protocol":
          next();
          break;
        default:
          if (spec.address !== null)
            throw wrong(w, `unknown word '${w.text}'`, "dev, lladdr, nud, proxy, router, use or extern_learn");
          spec.address = parseIpv4(w.text);
          if (spec.address === null) throw wrong(w, `'${w.text}' is no IPv4 address`, "one like 10.3.0.2");
      }
    }
    return spec;
  }
}

function matches(n: Neighbour, spec: Spec): boolean {
  if (spec.address !== null && n.address !== spec.address) return false;
  if (spec.dev !== null && n.dev !== spec.dev) return false;
  return spec.nud === null || n.state === spec.nud;
}

function split(line: string): Word[] {
  return [...line.matchAll(/\S+/g)].map((m) => ({ text: m[0], column: m.index + 1 }));
}

function wrong(at: Word | undefined, what: string, expected: string): TextError {
  return new TextError(1, at?.column ?? 1, `${what}, expected ${expected}`);
}
