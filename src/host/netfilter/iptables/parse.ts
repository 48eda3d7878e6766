// src/host/netfilter/iptables/parse.ts: the words behind `-A CHAIN` become rules.

import { formatIpv4 } from "../../../core/address.ts";
import { Hook } from "../hooks.ts";
import { type Address, formatMask, parseAddress } from "./address.ts";
import { formatProtocol, parseProtocol } from "./names.ts";
import { Cursor, Option, type Word } from "./words.ts";
import { type Builder, type IpMatch, type Match, type Place, Rule, type Target, emptyIpMatch } from "./rule.ts";
import { type Chain, builtinChains } from "./table.ts";
import { matches as matchBuilders } from "./matches.ts";
import { targets as targetBuilders, verdictNames } from "./targets.ts";

/** A parsed rule whose jump is still a name. */
export interface RuleText {
  readonly rule: Rule;
  /** The chain to jump to; "" without one. */
  readonly jumpTo: string;
  readonly jumpWord: Word | null;
}

const longNames: Readonly<Record<string, string>> = {
  "--source": "-s",
  "--src": "-s",
  "--destination": "-d",
  "--dst": "-d",
  "--in-interface": "-i",
  "--out-interface": "-o",
  "--protocol": "-p",
  "--proto": "-p",
  "--fragment": "-f",
  "--match": "-m",
  "--jump": "-j",
  "--goto": "-g",
  "--set-counters": "-c",
};

function checkInterface(name: string, cursor: Cursor, word: Word): string {
  if (name === "" || name.length > 15) cursor.fail(word, `interface name '${name}' must have 1 to 15 characters`);
  return name;
}

/**
 * Reads a rule. Several sources or destinations (`-s a,b`) make several rules, as in iptables.
 * @throws TextError naming the unknown option, match or target.
 */
export function parseRule(
  cursor: Cursor,
  place: Omit<Place, "proto" | "protoInverted">,
  counters: [number, number] | null,
): RuleText[] {
  const ip = emptyIpMatch();
  let sources: Address[] = [];
  let destinations: Address[] = [];
  const builders: Builder<Match>[] = [];
  const loaded: { name: string; word: Word; builder: Builder<Match> }[] = [];
  let target: { name: string; word: Word; builder: Builder<Target> } | null = null;
  let jump: Word | null = null;
  let isGoto = false;
  let counts = counters;
  const seen = new Set<string>();
  const here: Place = {
    ...place,
    get proto() {
      return ip.proto;
    },
    get protoInverted() {
      return ip.protoInverted;
    },
  };

  const load = (name: string, word: Word): Builder<Match> => {
    const make = Object.hasOwn(matchBuilders, name) ? matchBuilders[name] : undefined;
    if (make === undefined) cursor.fail(word, `match '${name}' is not supported`);
    const builder = make(here, (message) => cursor.fail(word, message));
    builders.push(builder);
    loaded.push({ name, word, builder });
    return builder;
  };

  const addresses = (word: Word, inverted: boolean): Address[] => {
    const list = word.text.split(",").map((part) => {
      const a = parseAddress(part);
      if (a === null) cursor.fail(word, `'${part}' is no IPv4 address or network (host names are not looked up)`);
      return a;
    });
    if (inverted && list.length > 1)
      cursor.fail(word, "! is not allowed with multiple source or destination IP addresses");
    return list;
  };

  while (cursor.more) {
    let word = cursor.next()!;
    let invert = false;
    if (word.text === "!") {
      invert = true;
      const w = cursor.next();
      if (w === null) cursor.fail(null, "an option should follow '!'");
      word = w;
    }
    // --name=value is two words
    const eq = word.text.startsWith("--") ? word.text.indexOf("=") : -1;
    if (eq > 0) {
      const name = { text: word.text.slice(0, eq), column: word.column };
      const value = { text: word.text.slice(eq + 1), column: word.column + eq + 1 };
      (cursor.words as Word[]).splice(cursor.at, 0, value);
      word = name;
    }
    const argument = (expected: string): Word => {
      const w = cursor.next();
      if (w === null) cursor.fail(null, `${word.text}: expected ${expected}`);
      return w;
    };
    const name = longNames[word.text] ?? word.text;
    const once = (): void => {
      if (seen.has(name)) cursor.fail(word, `multiple ${name} flags are not allowed`);
      seen.add(name);
    };
    switch (name) {
      case "-s":
        once();
        sources = addresses(argument("an address"), invert);
        ip.srcInverted = invert;
        continue;
      case "-d":
        once();
        destinations = addresses(argument("an address"), invert);
        ip.dstInverted = invert;
        continue;
      case "-i":
        once();
        ip.input = checkInterface(argument("an interface").text, cursor, word);
        ip.inputInverted = invert;
        if (place.chain === "OUTPUT" || place.chain === "POSTROUTING")
          cursor.fail(word, `can't use -i with ${place.chain}`);
        continue;
      case "-o":
        once();
        ip.output = checkInterface(argument("an interface").text, cursor, word);
        ip.outputInverted = invert;
        if (place.chain === "INPUT" || place.chain === "PREROUTING")
          cursor.fail(word, `can't use -o with ${place.chain}`);
        continue;
      case "-p": {
        once();
        const w = argument("a protocol");
        const proto = parseProtocol(w.text);
        if (proto === null) cursor.fail(w, `unknown protocol '${w.text}'`);
        if (proto === 0 && invert) cursor.fail(w, "rule would never match protocol");
        ip.proto = proto;
        ip.protoInverted = invert;
        continue;
      }
      case "-f":
        once();
        ip.fragment = true;
        ip.fragmentInverted = invert;
        continue;
      case "-c": {
        const p = argument("a packet count");
        const [a, b] = p.text.includes(",") ? p.text.split(",") : [p.text, argument("a byte count").text];
        if (!/^\d+$/.test(a ?? "") || !/^\d+$/.test(b ?? "")) cursor.fail(p, "-c: expected packet and byte counts");
        counts = [Number(a), Number(b)];
        continue;
      }
      case "-m":
        if (invert) cursor.fail(word, "unexpected '!' before -m");
        {
          const w = argument("the name of a match");
          load(w.text, w);
        }
        continue;
      case "-j":
      case "-g": {
        if (invert) cursor.fail(word, `unexpected '!' before ${name}`);
        if (jump !== null) cursor.fail(word, "only one -j or -g is allowed");
        jump = argument("a target or a chain");
        isGoto = name === "-g";
        if (!isGoto && Object.hasOwn(targetBuilders, jump.text)) {
          const at = jump;
          const builder = targetBuilders[jump.text]!(here, (message) => cursor.fail(at, message));
          target = { name: jump.text, word: jump, builder };
        }
        continue;
      }
    }
    if (!word.text.startsWith("-")) cursor.fail(word, `bad argument '${word.text}'`);
    const option = new Option(cursor, word, invert);
    // the latest match or target that knows the option gets it (xtables_merge_options)
    if (target !== null && target.builder.option(option)) continue;
    let taken = false;
    for (let i = builders.length - 1; i >= 0 && !taken; i--) taken = builders[i]!.option(option);
    if (taken) continue;
    // `-p tcp --dport` loads the protocol's match by itself
    const implied = formatProtocol(ip.proto);
    if (
      ip.proto !== 0 &&
      !ip.protoInverted &&
      Object.hasOwn(matchBuilders, implied) &&
      !loaded.some((l) => l.name === implied)
    ) {
      if (load(implied, word).option(option)) continue;
    }
    if (jump !== null && target === null) cursor.fail(jump, `target '${(jump as Word).text}' is not supported`);
    cursor.fail(word, `unknown option '${word.text}'`);
  }

  const built = loaded.map((l) => l.builder.finish((message) => cursor.fail(l.word, message)));
  const made = target === null ? null : target.builder.finish((message) => cursor.fail(target.word, message));
  if (sources.length === 0) sources = [{ address: 0, mask: 0 }];
  if (destinations.length === 0) destinations = [{ address: 0, mask: 0 }];
  const jumpTo = jump !== null && target === null ? jump.text : "";
  const out: RuleText[] = [];
  for (const s of sources) {
    for (const d of destinations) {
      const full: IpMatch = { ...ip, src: s.address, srcMask: s.mask, dst: d.address, dstMask: d.mask };
      const spec = formatRule(full, built, made, jumpTo, isGoto);
      const rule = new Rule(full, built, made, null, isGoto, spec);
      if (counts !== null) [rule.packets, rule.bytes] = counts;
      out.push({ rule, jumpTo, jumpWord: jump });
    }
  }
  return out;
}

/** As iptables-save prints a rule behind `-A CHAIN`, with a blank in front of each part. */
export function formatRule(
  ip: IpMatch,
  matches: readonly Match[],
  target: Target | null,
  jumpTo: string,
  isGoto: boolean,
): string {
  let s = "";
  const part = (inverted: boolean, text: string): void => {
    s += `${inverted ? " !" : ""} ${text}`;
  };
  if (ip.srcMask !== 0 || ip.srcInverted) part(ip.srcInverted, `-s ${formatIpv4(ip.src)}${formatMask(ip.srcMask)}`);
  if (ip.dstMask !== 0 || ip.dstInverted) part(ip.dstInverted, `-d ${formatIpv4(ip.dst)}${formatMask(ip.dstMask)}`);
  if (ip.input !== "" && (ip.input !== "+" || ip.inputInverted)) part(ip.inputInverted, `-i ${ip.input}`);
  if (ip.output !== "" && (ip.output !== "+" || ip.outputInverted)) part(ip.outputInverted, `-o ${ip.output}`);
  if (ip.proto !== 0) part(ip.protoInverted, `-p ${formatProtocol(ip.proto)}`);
  if (ip.fragment) part(ip.fragmentInverted, "-f");
  for (const m of matches) if (m.text !== "") s += ` ${m.text}`;
  if (target !== null) s += ` -j ${target.text}`;
  else if (jumpTo !== "") s += ` ${isGoto ? "-g" : "-j"} ${jumpTo}`;
  return s;
}

/** A name that a user's chain may have. Null when it may; else why not. */
export function chainNameFault(name: string): string | null {
  if (name.length === 0 || name.length > 28) return `chain name '${name}' must have 1 to 28 characters`;
  if (/^[-!]/.test(name)) return `chain name '${name}' may not begin with '${name[0]}'`;
  if (/\s/.test(name)) return "a chain name may not hold blanks";
  if (verdictNames.has(name) || Object.hasOwn(targetBuilders, name))
    return `chain name '${name}' clashes with a target's name`;
  return null;
}

/** Hooks that reach each chain, through jumps and gotos. */
export function reachedHooks(chains: Iterable<Chain>): Map<Chain, number> {
  const reached = new Map<Chain, number>();
  const visit = (chain: Chain, bits: number): void => {
    const before = reached.get(chain) ?? 0;
    if ((before | bits) === before) return;
    reached.set(chain, before | bits);
    for (const r of chain.rules) if (r.jump !== null) visit(r.jump, bits);
  };
  for (const c of chains) if (c.hook !== null) visit(c, 1 << c.hook);
  return reached;
}

export function isBuiltin(table: string, name: string): boolean {
  const names = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
  return builtinChains[table]!.some((h: Hook) => names[h] === name);
}
