// src/host/netfilter/nft/natstatement.ts: dnat, snat, masquerade, redirect.

import { formatIpv4, maskOf, parseIpv4 } from "../../../core/address.ts";
import { type FirewallHost, NatFlag, type NatRange } from "../host.ts";
import type { Context } from "../context.ts";
import { parsePort } from "../iptables/names.ts";
import { type Reader, type Token, show } from "./lexer.ts";
import { Lookup, formatElements, parseElements } from "./lookup.ts";
import { BROKEN, finder } from "./match.ts";
import type { Selector, Selectors } from "./selector.ts";
import { parseAtom, types } from "./types.ts";
import { Code, type Statement } from "./verdict.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const flagWords: Readonly<Record<string, NatFlag>> = {
  random: NatFlag.ProtoRandom,
  "fully-random": NatFlag.ProtoRandomFully,
  persistent: NatFlag.Persistent,
};

function emptyRange(): Mutable<NatRange> {
  return { flags: 0, minAddr: 0, maxAddr: 0, minPort: 0, maxPort: 0, basePort: 0 };
}

/** `10.0.0.1`, `10.0.0.1-10.0.0.4`, `10.0.0.0/30`; a range that is a whole prefix is printed as one. */
function parseAddresses(r: Reader, word: Token, range: Mutable<NatRange>): string {
  const m = /^([\d.]+)(?:-([\d.]+)|\/(\d+))?$/.exec(word.text);
  const first = m === null ? null : parseIpv4(m[1]!);
  const length = m?.[3] === undefined ? 32 : Number(m[3]);
  let last = m?.[2] === undefined ? first : parseIpv4(m[2]);
  if (first === null || last === null || length > 32) {
    r.fail(word, `expected an IPv4 address, a range or a prefix, got ${show(word)}`);
  }
  const mask = maskOf(length);
  const low = (first & mask) >>> 0;
  if (m![3] !== undefined) last = (low | ~mask) >>> 0;
  range.minAddr = low;
  range.maxAddr = last;
  range.flags |= NatFlag.MapIps;
  if (m![2] === undefined && m![3] === undefined) return formatIpv4(low);
  const size = last - low + 1;
  const whole = size > 0 && Number.isInteger(Math.log2(size)) && low % size === 0;
  return whole ? `${formatIpv4(low)}/${32 - Math.log2(size)}` : `${formatIpv4(low)}-${formatIpv4(last)}`;
}

/** `8080`, `8080-8090` behind a colon. */
function parsePorts(r: Reader, range: Mutable<NatRange>): string {
  const t = r.word("a port or a range of ports");
  const [a, b] = t.text.split("-");
  const min = parsePort(a!);
  const max = b === undefined ? min : parsePort(b);
  if (min === null || max === null || min > max) r.fail(t, `expected a port or a range of ports, got ${show(t)}`);
  range.minPort = min;
  range.maxPort = max;
  range.flags |= NatFlag.ProtoSpecified;
  return min === max ? String(min) : `${min}-${max}`;
}

function parseFlags(r: Reader): { bits: number; text: string } {
  const words: string[] = [];
  let bits = 0;
  while (Object.hasOwn(flagWords, r.peek()?.text ?? "")) {
    const t = r.next("a flag");
    words.push(t.text);
    bits |= flagWords[t.text]!;
    if (!r.take(",")) break;
  }
  return { bits, text: words.length === 0 ? "" : ` ${words.join(",")}` };
}

type Chooser = (c: Context) => NatRange | null;

/** What `map` answers is a range of NAT: an address, an address and a port, or a port. */
function parseMap(
  r: Reader,
  selectors: Selector[],
  portsOnly: boolean,
): {
  pick: (flags: number) => Chooser;
  text: string;
  concat: boolean;
} {
  r.expect("map");
  const keys = selectors.map((s) => s.text).join(" . ");
  const t = r.peek();
  if (t !== null && t.text.startsWith("@")) r.fail(t, "a map by name is not supported here; write its elements");
  let concat = false;
  const made: Mutable<NatRange>[] = [];
  const lookup = new Lookup<NatRange>(selectors.map((s) => s.type));
  parseElements(
    r,
    lookup,
    (reader) => {
      const range = emptyRange();
      made.push(range);
      if (portsOnly) {
        const p = parseAtom(reader, types.inet_service);
        Object.assign(range, { minPort: p.low, maxPort: p.high, flags: NatFlag.ProtoSpecified });
        return { value: range, text: p.text };
      }
      const a = parseAtom(reader, types.ipv4_addr);
      range.minAddr = a.low;
      range.maxAddr = a.high;
      range.flags |= NatFlag.MapIps;
      if (!reader.take(".")) return { value: range, text: a.text };
      concat = true;
      const p = parseAtom(reader, types.inet_service);
      range.minPort = p.low;
      range.maxPort = p.high;
      range.flags |= NatFlag.ProtoSpecified;
      return { value: range, text: `${a.text} . ${p.text}` };
    },
    emptyRange(),
  );
  const find = finder(selectors, lookup);
  return {
    concat,
    text: `${keys} map ${formatElements(lookup)}`,
    pick(flags) {
      for (const m of made) m.flags |= flags;
      return (c) => {
        const f = find(c);
        return f === BROKEN || f === undefined ? null : f;
      };
    },
  };
}

/** The statement whose first word is the next token. */
export function parseNat(r: Reader, host: FirewallHost, family: "ip" | "inet", selectors: Selectors): Statement {
  const verb = r.word("a statement");
  const { nat } = host.conntrack;
  const range = emptyRange();
  let pick: Chooser = () => range;
  let target = "";
  const address = verb.text === "dnat" || verb.text === "snat";
  let ip = false;
  if (address) {
    ip = r.take("ip");
    if (r.is("ip6") || r.is("prefix")) r.fail(r.peek(), `'${r.peek()!.text}' is not supported here`);
    r.expect("to");
  }
  const colon = (): void => {
    const selector = r.peek()?.kind === "word" && /^[a-z]/.test(r.peek()!.text) ? selectors.parse(r) : null;
    if (selector === null) {
      target = `${target}:${parsePorts(r, range)}`;
      return;
    }
    const m = parseMap(r, [selector], true);
    target = `:${m.text}`;
    chosen = m.pick;
  };
  let chosen: ((flags: number) => Chooser) | null = null;
  if (address) {
    const first = r.peek();
    if (r.take(":")) colon();
    else if (first !== null && first.kind === "word" && /^\d/.test(first.text)) {
      r.next("an address");
      target = parseAddresses(r, first, range);
      if (r.take(":")) colon();
    } else {
      const list = selectors.concat(r);
      const m = parseMap(r, list, false);
      target = m.text;
      ip = m.concat;
      chosen = m.pick;
    }
  } else if (r.take("to")) {
    if (verb.text === "redirect" && !r.is(":")) {
      const m = parseMap(r, selectors.concat(r), true);
      target = `:${m.text}`;
      chosen = m.pick;
    } else {
      r.expect(":");
      colon();
    }
  }
  const flags = parseFlags(r);
  range.flags |= flags.bits;
  const made = chosen as ((flags: number) => Chooser) | null;
  if (made !== null) pick = made(flags.bits);
  const ipWord =
    address &&
    !target.startsWith(":") &&
    (family === "inet" || (ip && target.includes(" map ") && target.includes(" . ")))
      ? " ip"
      : "";
  const run =
    (act: (c: Context, n: NatRange) => number) =>
    (c: Context): Code => {
      const n = pick(c);
      return n === null ? Code.Break : (act(c, n) as Code);
    };
  const text = `${verb.text}${ipWord}${target === "" ? "" : ` to ${target}`}${flags.text}`;
  switch (verb.text) {
    case "dnat":
      return { text, tracks: true, run: run((c, n) => nat.setup(c.frame, "dst", n)) };
    case "snat":
      return { text, tracks: true, run: run((c, n) => nat.setup(c.frame, "src", n)) };
    case "masquerade":
      return { text, tracks: true, run: run((c, n) => nat.masquerade(c.frame, n, c.output!)) };
    default:
      return { text, tracks: true, run: run((c, n) => nat.redirect(c.frame, n, c.hook, c.input)) };
  }
}
