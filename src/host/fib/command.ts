// src/host/fib/command.ts: `ip route`, `ip rule` and `ip addr` as a lab and its timeline give them.

import { maskOf, parseIpv4 } from "../../core/address.ts";
import { TextError } from "../text.ts";
import type { AddressOptions } from "./addresses.ts";
import { type InsertMode } from "./create.ts";
import type { Fib } from "./fib.ts";
import { scopeNames } from "./names.ts";
import { FibError, type Scope, errno } from "./route.ts";
import { deviceName, parseRoute, parseTable } from "./routewords.ts";
import { parseRule } from "./rulewords.ts";
import { Words, parseIpPrefix } from "./words.ts";

/** The kernel's refusal becomes an error at the first word. */
function refusing(work: () => void): void {
  try {
    work();
  } catch (e) {
    if (e instanceof FibError) throw new TextError(1, 1, e.message);
    throw e;
  }
}

/** Runs a command that changes something. */
export function run(fib: Fib, text: string): void {
  const words = new Words(text);
  words.accept("ip");
  while (words.accept("-4", "-family", "inet")) continue;
  const object = words.next("route, rule or addr");
  const verbs = words.done ? "" : words.next("a verb");
  refusing(() => {
    if (/^(r|ro|rou|rout|route)$/.test(object)) return route(fib, words, verbs);
    if (/^(ru|rul|rule)$/.test(object)) return rule(fib, words, verbs);
    if (/^(a|addr|address|ad|addre|addres)$/.test(object)) return address(fib, words, verbs);
    throw new TextError(1, 1, `'${object}': expected route, rule or addr`);
  });
}

const modes: Record<string, InsertMode> = {
  add: "add",
  a: "add",
  replace: "replace",
  append: "append",
  prepend: "prepend",
  change: "change",
  chg: "change",
};

function route(fib: Fib, words: Words, verb: string): void {
  const mode = modes[verb];
  if (mode !== undefined) return fib.add(parseRoute(words), mode);
  if (verb === "del" || verb === "delete" || verb === "d") return fib.delete(parseRoute(words, true));
  if (verb === "flush") return flushRoutes(fib, words);
  throw words.fail(`'${verb}': expected add, del, replace, append, prepend, change or flush`);
}

/** `ip route flush table N`, `ip route flush cache`, `ip route flush dev X [table N]`. */
function flushRoutes(fib: Fib, words: Words): void {
  if (words.accept("cache")) {
    fib.flushes++;
    return fib.changed();
  }
  let table: number | null = null;
  let dev: string | null = null;
  let all = false;
  if (words.done) throw words.fail("'flush' needs table, dev, root or cache");
  while (!words.done) {
    if (words.accept("table")) {
      if (words.accept("all")) all = true;
      else table = words.read("a table", parseTable);
    } else if (words.accept("dev")) dev = deviceName(words);
    else throw words.fail(`'${words.next("")}': expected table or dev`);
  }
  for (const t of fib.tables.all()) {
    if (!all && t.id !== (table ?? 254)) continue;
    const gone: [number, number][] = [];
    t.trie.forEach((prefix, length) => gone.push([prefix, length]));
    for (const [prefix, length] of gone) {
      const list = t.trie.get(prefix, length)!.aliases;
      const rest = list.filter(
        (a) => a.table !== t.id || (dev !== null && !a.info.nexthops.some((nh) => nh.dev?.name === dev)),
      );
      if (rest.length < list.length) t.trie.set(prefix, length, rest);
    }
  }
  fib.changed();
}

function rule(fib: Fib, words: Words, verb: string): void {
  if (words.done && verb !== "flush" && verb !== "") throw words.fail(`"ip rule ${verb}" requires arguments.`);
  if (verb === "add" || verb === "a") return fib.addRule(parseRule(words));
  if (verb === "del" || verb === "delete" || verb === "d") return fib.deleteRule(parseRule(words, true));
  if (verb !== "flush") throw words.fail(`'${verb}': expected add, del or flush`);
  // iproute2 keeps the rule of priority 0
  for (const r of fib.tables.rules.list.slice())
    if (r.priority !== 0) fib.deleteRule({ ...r, hasMark: false, markMask: null });
}

function address(fib: Fib, words: Words, verb: string): void {
  const adding = verb === "add" || verb === "a" || verb === "replace" || verb === "change";
  if (!adding && verb !== "del" && verb !== "delete" && verb !== "d" && verb !== "flush") {
    throw words.fail(`'${verb}': expected add, del, replace or flush`);
  }
  let prefix: { address: number; length: number } | null = null;
  let given = "";
  let name = "";
  let broadcast: number | null = null;
  let wantsBroadcast = false;
  const o: { -readonly [K in keyof AddressOptions]: AddressOptions[K] } = {};
  while (!words.done) {
    if (words.accept("dev")) name = deviceName(words);
    else if (words.accept("brd", "broadcast")) {
      if (words.accept("+")) wantsBroadcast = true;
      else if (!words.accept("-")) broadcast = words.read("+, - or an IPv4 address", parseIpv4);
    } else if (words.accept("scope")) o.scope = words.read("a scope", (t) => scopeNames.parse(t)) as Scope;
    else if (words.accept("label")) o.label = words.next("a label");
    else if (words.accept("metric", "priority", "preference")) o.metric = words.number("a metric", 0, 0xffffffff);
    else if (words.accept("noprefixroute")) o.noPrefixRoute = true;
    else if (words.accept("secondary", "permanent", "dynamic", "global")) continue;
    else if (words.accept("valid_lft", "preferred_lft")) words.next("a time");
    else {
      words.accept("local");
      given = words.next("an address");
      prefix = given === "default" ? null : parseIpPrefix(given);
      if (prefix === null) throw words.fail(`'${given}': expected an address, brd, scope, label, metric or dev`);
    }
  }
  const device = fib.device(name);
  if (device === null) throw words.fail(name === "" ? "'dev DEVICE' is missing" : `Cannot find device "${name}"`);
  if (verb === "flush") {
    while (device.addresses.length > 0)
      fib.removeAddress(device.dev, device.addresses[0]!.local, device.addresses[0]!.length);
    return;
  }
  if (prefix === null) throw words.fail("an address is missing");
  if (!adding) return removeAddress(fib, device.dev.name, prefix.address, given.includes("/") ? prefix.length : -1);
  if (wantsBroadcast && prefix.length < 31) o.broadcast = (prefix.address | ~maskOf(prefix.length)) >>> 0;
  else if (broadcast !== null) o.broadcast = broadcast;
  if (verb === "replace" || verb === "change") {
    if (device.addresses.some((a) => a.local === prefix.address && a.length === prefix.length)) return;
  }
  fib.addAddress(device.dev, prefix.address, prefix.length, o);
}

function removeAddress(fib: Fib, name: string, local: number, length: number): void {
  const device = fib.device(name)!;
  const found = device.addresses.find((a) => a.local === local && (length < 0 || a.length === length));
  if (found === undefined) {
    throw new FibError(errno.EADDRNOTAVAIL, "Error: ipv4: Address not found.");
  }
  fib.removeAddress(device.dev, found.local, found.length);
}

/** A lab's routes, in any order: what waits for a gateway is tried again while others succeed. */
export function loadRoutes(fib: Fib, lines: readonly string[]): void {
  let waiting = lines.map((line) => ({ line, spec: parseRoute(line.replace(/^\s*(ip\s+)?route\s+add\s/, "")) }));
  while (waiting.length > 0) {
    const later: typeof waiting = [];
    let failure: FibError | null = null;
    for (const w of waiting) {
      // ways of a device that is down: the kernel holds them no longer
      if (fib.has(w.spec)) continue;
      try {
        fib.add(w.spec, "append");
      } catch (e) {
        if (!(e instanceof FibError)) throw e;
        failure ??= e;
        later.push(w);
      }
    }
    if (later.length === waiting.length) throw new TextError(1, 1, `'${later[0]!.line}': ${failure!.message}`);
    waiting = later;
  }
}

/** A lab's rules; those in force already are passed over. */
export function loadRules(fib: Fib, lines: readonly string[]): void {
  for (const line of lines) {
    const spec = parseRule(line.replace(/^\s*(ip\s+)?rule\s+add\s/, ""));
    if (fib.tables.rules.has(spec)) continue;
    try {
      fib.addRule(spec);
    } catch (e) {
      if (!(e instanceof FibError)) throw e;
      throw new TextError(1, 1, `'${line}': ${e.message}`);
    }
  }
}

export { parseRoute } from "./routewords.ts";
export { parseRule } from "./rulewords.ts";
