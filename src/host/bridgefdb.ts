// src/host/bridgefdb.ts: `bridge fdb` (bridge(8)): entries that a user adds, removes and looks at.

import { parseMac } from "../core/address.ts";
import type { Bridge } from "../device/bridge.ts";
import { BridgePort, PortState } from "../device/bridgeport.ts";
import type { FdbEntry } from "../device/fdb.ts";
import type { Interface } from "../link/interface.ts";
import { formatFdb } from "./bridgeshow.ts";
import { numberOf, type Word, wrong } from "./bridgewords.ts";
import type { Namespace } from "./namespace.ts";
import { TextError } from "./text.ts";

type Kind = "permanent" | "static" | "dynamic";

interface Spec {
  mac: Uint8Array | null;
  dev: Interface | null;
  /** Where the address, or else the line, stands. */
  at: Word;
  devAt: Word | null;
  kind: Kind | null;
  /** `nopermanent`, `nostatic`, `nodynamic`. */
  except: Kind[];
  sticky: boolean;
  /** Into the bridge's table; otherwise the device's own. */
  master: boolean;
  self: boolean;
  vid: number;
  bridge: Bridge | null;
}

const verbs = ["add", "replace", "append", "delete", "flush", "show", "list"] as const;

export function fdbCommand(ns: Namespace, words: Word[], line: string): string {
  const first = words.shift();
  if (first === undefined) return show(ns, [], line);
  const verb = verbs.find((v) => v.startsWith(first.text));
  switch (verb) {
    case undefined:
      throw wrong(first, `bridge fdb: '${first.text}', expected ${verbs.join(", ")}`);
    case "show":
    case "list":
      return show(ns, words, line);
    case "flush":
      return flush(ns, words, line);
    case "delete":
      return remove(ns, words, line);
    default:
      add(ns, parse(ns, words, line), line, verb === "add");
      return "";
  }
}

/** What a lab lists: what is there already stays as it is. */
export function loadFdbEntry(ns: Namespace, words: Word[], line: string): void {
  add(ns, parse(ns, words, line), line, false);
}

function parse(ns: Namespace, words: readonly Word[], line: string): Spec {
  const spec: Spec = {
    mac: null,
    dev: null,
    at: words[0] ?? { text: "", column: line.length + 1 },
    devAt: null,
    kind: null,
    except: [],
    sticky: false,
    master: false,
    self: false,
    vid: 0,
    bridge: null,
  };
  for (let i = 0; i < words.length; i++) {
    const w = words[i]!;
    const next = (): Word => {
      const value = words[++i];
      if (value === undefined) throw new TextError(1, line.length + 1, `bridge fdb: no value of ${w.text}`);
      return value;
    };
    switch (w.text) {
      case "dev":
      case "brport": {
        spec.devAt = next();
        spec.dev = ns.byName.get(spec.devAt.text) ?? null;
        if (spec.dev === null) throw wrong(spec.devAt, `${ns.name} has no interface '${spec.devAt.text}'`);
        break;
      }
      case "br": {
        const name = next();
        spec.bridge = ns.bridges.get(name.text) ?? null;
        if (spec.bridge === null) throw wrong(name, `${ns.name} has no bridge '${name.text}'`);
        break;
      }
      case "master":
        spec.master = true;
        // as `bridge fdb show` prints it, with the bridge's name
        if (words[i + 1] !== undefined && ns.bridges.has(words[i + 1]!.text)) i++;
        break;
      case "self":
        spec.self = true;
        break;
      case "local":
      case "permanent":
        spec.kind = "permanent";
        break;
      case "static":
        spec.kind = "static";
        break;
      case "temp":
      case "dynamic":
        spec.kind = "dynamic";
        break;
      case "nopermanent":
      case "nostatic":
      case "nodynamic":
        spec.except.push(w.text.slice(2) as Kind);
        break;
      case "sticky":
        spec.sticky = true;
        break;
      case "use":
      case "extern_learn":
      case "state":
        break;
      case "vlan":
      case "vid":
        spec.vid = numberOf(next(), "VLAN", 1, 4094);
        break;
      case "dst":
      case "via":
      case "vni":
      case "port":
      case "nhid":
        throw wrong(w, `bridge fdb: '${w.text}' is for tunnels, which are not emulated`);
      default:
        if (spec.mac !== null)
          throw wrong(w, `bridge fdb: '${w.text}', expected dev, master, static, permanent, dynamic or vlan`);
        spec.mac = parseMac(w.text);
        spec.at = w;
        if (spec.mac === null)
          throw wrong(w, `'${w.text}' is no MAC address, expected six bytes like 02:00:00:00:0b:09`);
    }
  }
  return spec;
}

function highOf(mac: Uint8Array): number {
  return (mac[0]! << 8) | mac[1]!;
}

function lowOf(mac: Uint8Array): number {
  return (mac[2]! << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!;
}

/** The table and the port (null: the bridge itself) that an entry is about; null for a device's own table. */
function place(ns: Namespace, spec: Spec, line: string): { bridge: Bridge; port: BridgePort | null } | null {
  if (spec.mac === null)
    throw new TextError(1, line.length + 1, "bridge fdb: no address, expected six bytes like 02:00:00:00:0b:09");
  if (spec.dev === null) throw new TextError(1, line.length + 1, "bridge fdb: no device, expected dev and its name");
  const own = ns.bridges.get(spec.dev.name);
  if (own !== undefined) return { bridge: own, port: null };
  const { rxHandler } = spec.dev;
  // a device's filter list: it lets through what the emulated device lets through anyway
  if (!spec.master) return null;
  if (!(rxHandler instanceof BridgePort)) throw wrong(spec.devAt!, `${spec.dev.name} is no port of a bridge`);
  return { bridge: rxHandler.bridge, port: rxHandler };
}

/** fdb_add_entry. */
function add(ns: Namespace, spec: Spec, line: string, exclusive: boolean): void {
  const at = place(ns, spec, line);
  if (at === null) return;
  const { bridge, port } = at;
  const mac = spec.mac!;
  const high = highOf(mac);
  const low = lowOf(mac);
  if (high === 0 && low === 0) throw wrong(spec.at, "bridge fdb: the zero address is no station's");
  const kind = spec.kind ?? "permanent";
  if (port === null && kind !== "permanent") {
    throw wrong(spec.at, `bridge fdb: an entry of the bridge ${bridge.dev.name} itself can only be permanent`);
  }
  if (port !== null && kind === "dynamic" && port.state !== PortState.Forwarding && port.state !== PortState.Learning) {
    throw wrong(spec.devAt!, `bridge fdb: ${port.dev.name} cannot learn now, expected a static or permanent entry`);
  }
  if (spec.sticky && kind === "permanent") throw wrong(spec.at, "bridge fdb: a permanent entry cannot be sticky");
  const vlans = port === null ? bridge.vlans : port.vlans;
  if (spec.vid !== 0 && !vlans.has(spec.vid))
    throw wrong(spec.at, `bridge fdb: ${spec.dev!.name} is not in VLAN ${spec.vid}`);
  const vids = spec.vid !== 0 ? [spec.vid] : bridge.vlanFiltering ? [0, ...vlans.vids()] : [0];
  for (const vid of vids) {
    const e = bridge.fdb.find(high, low, vid);
    if (e !== null && exclusive) throw wrong(spec.at, `bridge fdb: ${spec.at.text} exists already`);
    const entry = e ?? bridge.fdb.insert(high, low, vid, port, kind === "permanent", kind !== "dynamic");
    entry.port = port;
    entry.sticky = spec.sticky;
    if (e !== null) bridge.fdb.setKind(entry, kind === "permanent", kind !== "dynamic");
  }
}

function remove(ns: Namespace, words: Word[], line: string): string {
  const spec = parse(ns, words, line);
  const at = place(ns, spec, line);
  if (at === null) return "";
  const { bridge, port } = at;
  const vids = spec.vid !== 0 ? [spec.vid] : [0, ...(port === null ? bridge.vlans : port.vlans).vids()];
  let found = false;
  for (const vid of vids) {
    const e = bridge.fdb.find(highOf(spec.mac!), lowOf(spec.mac!), vid);
    if (e === null || e.port !== port) continue;
    bridge.fdb.remove(e);
    found = true;
  }
  if (!found) throw wrong(spec.at, `bridge fdb: no entry for ${spec.at.text} on ${spec.dev!.name}`);
  return "";
}

/** `flush dev br0`, or `dev p1 master`: everything, own addresses too; `static`, `nopermanent` and the like choose. */
function flush(ns: Namespace, words: Word[], line: string): string {
  const spec = parse(ns, words, line);
  if (spec.dev === null)
    throw new TextError(1, line.length + 1, "bridge fdb flush: no device, expected dev and its name");
  const own = ns.bridges.get(spec.dev.name);
  const { rxHandler } = spec.dev;
  const bridge = own ?? (rxHandler instanceof BridgePort ? rxHandler.bridge : null);
  if (bridge === null) throw wrong(spec.devAt!, `${spec.dev.name} is neither a bridge nor a port of one`);
  bridge.fdb.removeWhere((e) => {
    if (own === undefined && e.port !== rxHandler) return false;
    if (spec.vid !== 0 && e.vid !== spec.vid) return false;
    const kind = kindOf(e);
    return (spec.kind === null || kind === spec.kind) && !spec.except.includes(kind);
  });
  return "";
}

function kindOf(e: FdbEntry<BridgePort>): Kind {
  return e.local ? "permanent" : e.static ? "static" : "dynamic";
}

/** By device, as the kernel lists them; in a device's part the newest first. Devices' own group addresses are left out. */
function show(ns: Namespace, words: Word[], line: string): string {
  const spec = parse(ns, words, line);
  let out = "";
  for (const dev of ns.interfaces) {
    const own = ns.bridges.get(dev.name);
    const { rxHandler } = dev;
    const bridge = own ?? (rxHandler instanceof BridgePort ? rxHandler.bridge : null);
    if (bridge === null || (spec.dev !== null && spec.dev !== dev)) continue;
    if (spec.bridge !== null && spec.bridge !== bridge) continue;
    const port = own !== undefined ? null : (rxHandler as BridgePort);
    for (let e = bridge.fdb.first; e !== null; e = e.next) {
      if (e.port !== port || (spec.vid !== 0 && e.vid !== spec.vid)) continue;
      if (spec.kind === null || kindOf(e) === spec.kind) out += formatFdb(bridge, e);
    }
  }
  return out;
}
