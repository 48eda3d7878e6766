// src/host/bridgecommand.ts: `bridge link`, `bridge fdb`, `bridge vlan` (bridge(8)), in and out.

import type { Bridge } from "../device/bridge.ts";
import { BridgePort } from "../device/bridgeport.ts";
import type { Interface } from "../link/interface.ts";
import { fdbCommand, loadFdbEntry } from "./bridgefdb.ts";
import { formatLink, formatVlans } from "./bridgeshow.ts";
import {
  numberOf,
  portOf,
  setBridgeOption,
  setPortOption,
  splitWords,
  type Word,
  wrong,
  bridgeOf,
} from "./bridgewords.ts";
import type { Namespace } from "./namespace.ts";
import { TextError } from "./text.ts";

/** What follows `bridge`: `link set dev p1 flood off`, `fdb add ...`, `vlan show`. Answers what it prints; errors are `TextError`. */
export function bridgeCommand(ns: Namespace, line: string): string {
  const words = splitWords(line);
  let details = false;
  while (words[0]?.text.startsWith("-") === true) {
    const option = words.shift()!;
    if (/^-(d|details?|s|statistics?)$/.test(option.text)) details ||= option.text.startsWith("-d");
    else throw wrong(option, `unknown option '${option.text}', expected -d`);
  }
  const object = words.shift();
  switch (object?.text) {
    case "link":
      return linkObject(ns, words, line, details);
    case "fdb":
      return fdbCommand(ns, words, line);
    case "vlan":
      return vlanObject(ns, words, line);
    case undefined:
      throw new TextError(1, line.length + 1, "bridge: the line ends, expected link, fdb or vlan");
    default:
      throw wrong(object!, `bridge: '${object!.text}', expected link, fdb or vlan`);
  }
}

/** One option of a bridge: `ip link set DEV type bridge KEY VALUE`. The columns are where both words stand. */
export function bridgeOption(
  ns: Namespace,
  dev: Interface | string,
  key: string,
  value: string,
  keyColumn = 1,
  valueColumn = 1,
): void {
  const at = { text: key, column: keyColumn };
  setBridgeOption(bridgeOf(ns, device(ns, dev, at), at), at, { text: value, column: valueColumn });
}

/** One option of a port: `bridge link set dev DEV KEY VALUE`. */
export function bridgePortOption(
  ns: Namespace,
  dev: Interface | string,
  key: string,
  value: string,
  keyColumn = 1,
  valueColumn = 1,
): void {
  const at = { text: key, column: keyColumn };
  setPortOption(portOf(device(ns, dev, at), at), at, { text: value, column: valueColumn });
}

/** A line of `bridge fdb show`, without the verb: adds it, or changes what is there. */
export function loadFdb(ns: Namespace, line: string): void {
  loadFdbEntry(ns, splitWords(line), line);
}

function device(ns: Namespace, dev: Interface | string, at: Word): Interface {
  if (typeof dev !== "string") return dev;
  const found = ns.byName.get(dev);
  if (found === undefined) throw wrong(at, `${ns.name} has no interface '${dev}'`);
  return found;
}

/** Takes `dev NAME` out of the words. */
function takeDevice(ns: Namespace, words: Word[], line: string): { dev: Interface; at: Word } {
  const i = words.findIndex((w) => w.text === "dev");
  const name = i < 0 ? undefined : words[i + 1];
  if (name === undefined) throw new TextError(1, line.length + 1, "bridge: no device, expected dev and its name");
  words.splice(i, 2);
  return { dev: device(ns, name.text, name), at: name };
}

function linkObject(ns: Namespace, words: Word[], line: string, details: boolean): string {
  const verb = words.shift();
  if (verb === undefined || "show".startsWith(verb.text) || verb.text === "list") {
    const only = words.some((w) => w.text === "dev") ? takeDevice(ns, words, line).dev : null;
    let out = "";
    for (const dev of ns.interfaces) {
      if (dev.rxHandler instanceof BridgePort && (only === null || only === dev))
        out += formatLink(dev.rxHandler, details);
    }
    return out;
  }
  if (verb.text !== "set") throw wrong(verb, `bridge link: '${verb.text}', expected set or show`);
  const { dev, at } = takeDevice(ns, words, line);
  const port = portOf(dev, at);
  for (let i = 0; i < words.length; i++) {
    const key = words[i]!;
    if (key.text === "master") continue;
    if (key.text === "self")
      throw wrong(key, "bridge link set: the device's own bridge is not emulated, expected master");
    const value = words[++i];
    if (value === undefined) throw new TextError(1, line.length + 1, `bridge link set: no value of ${key.text}`);
    setPortOption(port, key, value);
  }
  return "";
}

/** `vlan add|del vid N[-M] dev DEV [pvid] [untagged] [self|master]`, `vlan show`. */
function vlanObject(ns: Namespace, words: Word[], line: string): string {
  const verb = words.shift();
  if (verb === undefined || "show".startsWith(verb.text) || verb.text === "list") return formatVlans(ns);
  const adds = verb.text === "add";
  if (!adds && verb.text !== "del" && verb.text !== "delete") {
    throw wrong(verb, `bridge vlan: '${verb.text}', expected add, del or show`);
  }
  const { dev, at } = takeDevice(ns, words, line);
  let range: { from: number; to: number } | null = null;
  let pvid = false;
  let untagged = false;
  let rangeAt = verb;
  for (let i = 0; i < words.length; i++) {
    const w = words[i]!;
    switch (w.text) {
      case "vid": {
        rangeAt = words[++i] ?? w;
        range = rangeOf(rangeAt);
        break;
      }
      case "pvid":
        pvid = true;
        break;
      case "untagged":
        untagged = true;
        break;
      case "self":
      case "master":
        break;
      default:
        throw wrong(w, `bridge vlan: '${w.text}', expected vid, pvid, untagged, self or master`);
    }
  }
  if (range === null) throw new TextError(1, line.length + 1, "bridge vlan: no VLAN, expected vid and 1 to 4094");
  if (pvid && range.to !== range.from) throw wrong(rangeAt, "bridge vlan: a range cannot be the PVID");
  const { bridge, target } = vlanTarget(ns, dev, at);
  for (let vid = range.from; vid <= range.to; vid++) {
    if (adds) bridge.addVlan(target, vid, pvid, untagged);
    else if (!bridge.deleteVlan(target, vid)) throw wrong(rangeAt, `bridge vlan: ${dev.name} is not in VLAN ${vid}`);
  }
  return "";
}

function vlanTarget(ns: Namespace, dev: Interface, at: Word): { bridge: Bridge; target: BridgePort | null } {
  const bridge = ns.bridges.get(dev.name);
  if (bridge !== undefined) return { bridge, target: null };
  const port = portOf(dev, at);
  return { bridge: port.bridge, target: port };
}

function rangeOf(w: Word): { from: number; to: number } {
  const m = /^(\d+)(?:-(\d+))?$/.exec(w.text);
  if (m === null) throw wrong(w, `VLAN '${w.text}', expected 1 to 4094 or a range`);
  const from = numberOf({ text: m[1]!, column: w.column }, "VLAN", 1, 4094);
  const to = m[2] === undefined ? from : numberOf({ text: m[2], column: w.column }, "VLAN", from, 4094);
  return { from, to };
}
