// src/host/fib/rulewords.ts: rules as `ip rule` reads them (iproute2's ip/iprule.c).

import { TABLE_MAIN, ipProtocolNames, parseDsfield, parseNumber, protocolNames, tableNames } from "./names.ts";
import { deviceName } from "./routewords.ts";
import { type RuleSpec, RuleAction, anyRule } from "./rules.ts";
import { Words, parseIpPrefix } from "./words.ts";

type Draft = { -readonly [K in keyof RuleSpec]: RuleSpec[K] };

const refused = new Set([
  "suppress_ifgroup",
  "sup_group",
  "l3mdev",
  "uidrange",
  "tun_id",
  "realms",
  "realm",
  "nat",
  "map-to",
  "dscp",
  "flowlabel",
]);

const actions: Record<string, RuleAction> = {
  blackhole: RuleAction.Blackhole,
  unreachable: RuleAction.Unreachable,
  prohibit: RuleAction.Prohibit,
  nop: RuleAction.Nop,
};

/** The words behind `ip rule add` or `del`, or a line of `ip rule show`. Throws TextError. */
export function parseRule(text: string | Words, deleting = false): RuleSpec {
  const words = typeof text === "string" ? new Words(text) : text;
  const d: Draft = { ...anyRule };
  let acted = false;
  if (/^\d+:$/.test(words.peek()))
    d.priority = words.read("a priority", (t) => parseNumber(t.slice(0, -1), 0xffffffff));
  while (!words.done) acted = option(words, d) || acted;
  if (!acted && !deleting) d.table = TABLE_MAIN;
  return d;
}

/** One option; true when it says what the rule does. */
function option(words: Words, d: Draft): boolean {
  const word = words.next("an option");
  switch (word) {
    case "priority":
    case "pref":
    case "preference":
    case "order":
      d.priority = words.number("a priority", 0, 0xffffffff);
      return false;
    case "not":
      d.invert = true;
      return false;
    case "from": {
      const p = words.read("all or a prefix", parseIpPrefix);
      d.src = p.address;
      d.srcLength = p.length;
      return false;
    }
    case "to": {
      const p = words.read("all or a prefix", parseIpPrefix);
      d.dst = p.address;
      d.dstLength = p.length;
      return false;
    }
    case "tos":
    case "dsfield":
      d.tos = words.read("a dsfield", parseDsfield);
      return false;
    case "fwmark":
      fwmark(words, d);
      return false;
    case "iif":
    case "dev":
      d.iif = deviceName(words);
      words.accept("[detached]");
      return false;
    case "oif":
      d.oif = deviceName(words);
      words.accept("[detached]");
      return false;
    case "ipproto":
      d.ipProto = words.read("an IP protocol", (t) => ipProtocolNames.parse(t.replace(/^ipproto-/, "")));
      return false;
    case "sport":
      d.sport = ports(words);
      return false;
    case "dport":
      d.dport = ports(words);
      return false;
    case "protocol":
    case "proto":
      d.protocol = words.read("a routing protocol", (t) => protocolNames.parse(t));
      return false;
    case "suppress_prefixlength":
    case "sup_pl":
      d.suppressPrefixLength = words.number("a prefix length", 0, 32);
      return false;
    case "table":
    case "lookup":
      d.table = words.read("a table", (t) => tableNames.parse(t));
      if (d.table === 0) throw words.fail("table 0 cannot be looked up");
      return true;
    case "goto":
      d.action = RuleAction.Goto;
      d.goto = words.number("a priority", 0, 0xffffffff);
      words.accept("[unresolved]");
      return true;
    case "type":
      return act(words, d, words.next("an action"));
  }
  return act(words, d, word);
}

function act(words: Words, d: Draft, word: string): boolean {
  const action = actions[word];
  if (action !== undefined) {
    d.action = action;
    return true;
  }
  if (refused.has(word)) throw words.fail(`'${word}' is not supported here`);
  throw words.fail(
    `'${word}': expected from, to, tos, fwmark, iif, oif, ipproto, sport, dport, table, goto, blackhole, unreachable, ` +
      "prohibit, nop or priority",
  );
}

/** `7`, `0x7/0xff` */
function fwmark(words: Words, d: Draft): void {
  const [mark, mask] = words.read("a mark, or mark/mask", (t) => {
    const [a, b, ...more] = t.split("/");
    const m = parseNumber(a!, 0xffffffff);
    const k = b === undefined ? undefined : parseNumber(b, 0xffffffff);
    return more.length > 0 || m === null || k === null ? null : ([m, k ?? null] as const);
  });
  d.hasMark = true;
  d.mark = mark;
  d.markMask = mask;
}

/** `80`, `5000-5009` */
function ports(words: Words): readonly [number, number] {
  return words.read("a port, or first-last", (t) => {
    const [a, b, ...more] = t.split("-");
    const first = parseNumber(a!, 65535);
    const last = b === undefined ? first : parseNumber(b, 65535);
    if (more.length > 0 || first === null || last === null || first === 0 || last < first) return null;
    return [first, last] as const;
  });
}
