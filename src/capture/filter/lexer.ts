// src/capture/filter/lexer.ts: a filter's text to tokens. The longest match wins, as in pcap-filter(7)'s scanner:
// `tcp-syn` and `80-90` are one word each, `ip[0]-3` is five.

import { FilterError } from "./error.ts";
import { constants } from "./names.ts";

/** `ipv4`: two to four numbers with dots. `mac`, `ipv6`: addresses. `id`: a name that is no keyword. */
export type TokenKind = "keyword" | "op" | "number" | "ipv4" | "ipv6" | "mac" | "id" | "end";

export interface Token {
  readonly kind: TokenKind;
  /** Offset in the text. */
  readonly at: number;
  /** The word; of keywords and operators the canonical one. */
  readonly text: string;
  /** A number's value. */
  readonly value: number;
}

const words = (text: string): string[] => text.split(" ");

/** Spellings of keywords that mean another keyword. */
const aliases: ReadonlyMap<string, string> = new Map(
  Object.entries({
    link: "ether",
    ppp: "ether",
    slip: "ether",
    fddi: "ether",
    tr: "ether",
    wlan: "ether",
    length: "len",
    "es-is": "esis",
    "is-is": "isis",
    not: "!",
  }),
);

const keywords: ReadonlySet<string> = new Set(
  words(
    "dst src ether arp rarp ip sctp tcp udp icmp igmp igrp pim vrrp carp radio ip6 icmp6 ah esp atalk aarp decnet lat sca " +
      "moprc mopdl iso esis isis l1 l2 iih lsp snp csnp psnp clnp stp ipx netbeui host net mask port portrange proto " +
      "protochain gateway type subtype direction dir address1 addr1 address2 addr2 address3 addr3 address4 addr4 ra ta " +
      "less greater byte broadcast multicast and or len inbound outbound ifindex vlan mpls pppoed pppoes geneve lane llc " +
      "metac bcc oam oamf4 oamf4ec oamf4sc sc ilmic vpi vci connectmsg metaconnect on ifname rset ruleset rnr rulenum srnr " +
      "subrulenum reason action fisu lssu lsu msu hfisu hlssu hmsu sio opc dpc sls hsio hopc hdpc hsls",
  ),
);

const NAME = /[A-Za-z0-9](?:[-_.A-Za-z0-9]*[.A-Za-z0-9])?/y;
const QUOTED = /\\[^ !()\n\t]+/y;
const NUMBER = /0[xX][0-9A-Fa-f]+|[0-9]+/y;
const n = "(?:0[xX][0-9A-Fa-f]+|[0-9]+)";
const QUAD = new RegExp(`${n}(?:\\.${n}){1,3}`, "y");
const b = "[0-9A-Fa-f]{1,2}";
const BOGUS_MAC = new RegExp(`${b}:+(?:${b}:+)+`, "y");
const MACS = [
  `${b}(?::${b}){5}`,
  `${b}(?:-${b}){5}`,
  `${b}(?:\\.${b}){5}`,
  "[0-9A-Fa-f]{4}(?:\\.[0-9A-Fa-f]{4}){2}",
  "[0-9A-Fa-f]{12}",
].map((r) => new RegExp(r, "y"));
const OPERATOR = />=|<=|!=|==|<<|>>|&&|\|\||[-+*/%:[\]!<>()&|^=]/y;

/** RFC 4291 §2.2: eight groups, or fewer around one `::`, the last two perhaps as dotted IPv4. */
const IPV6S: RegExp[] = [];
{
  const w = "[0-9A-Fa-f]{1,4}";
  const groups = (k: number): string => Array.from({ length: k }, () => w).join(":");
  const quad = `${n}\\.${n}\\.${n}\\.${n}`;
  IPV6S.push(new RegExp(groups(8), "y"), new RegExp(`${groups(6)}:${quad}`, "y"));
  for (let left = 0; left <= 7; left++) {
    for (let right = 0; left + right <= 7; right++) {
      IPV6S.push(new RegExp(`${groups(left)}::${groups(right)}`, "y"));
      const tail = right > 0 ? `${groups(right)}:${quad}` : quad;
      if (left + right <= 5) IPV6S.push(new RegExp(`${groups(left)}::${tail}`, "y"));
    }
  }
}
const MAYBE_IPV6 = /[0-9A-Fa-f]{0,4}:/y;

function length(r: RegExp, text: string, at: number): number {
  r.lastIndex = at;
  return r.test(text) ? r.lastIndex - at : 0;
}

function longest(all: readonly RegExp[], text: string, at: number): number {
  let most = 0;
  for (const r of all) most = Math.max(most, length(r, text, at));
  return most;
}

/** A number in C's notation: `0x1f`, `017`, `15`; below 2^32. */
export function parseNumber(word: string, at: number): number {
  const hex = /^0[xX]/.test(word);
  const octal = !hex && word.length > 1 && word[0] === "0";
  if (octal && /[89]/.test(word)) throw new FilterError(at, `number ${word} is octal but has a digit 8 or 9`);
  const value = octal ? parseInt(word, 8) : Number(word);
  if (value > 0xffffffff) throw new FilterError(at, `number ${word} is above 32 bits`);
  return value;
}

/** All tokens of `text`, the last one `end`. Throws a `FilterError` for what no token begins with. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const push = (kind: TokenKind, len: number, word = text.slice(at, at + len), value = 0): void => {
    tokens.push({ kind, at, text: word, value });
    at += len;
  };
  while (at < text.length) {
    const c = text[at]!;
    if (c === " " || c === "\t" || c === "\n" || c === "\r") {
      at++;
      continue;
    }
    const name = length(NAME, text, at);
    const mac = longest(MACS, text, at);
    const ipv6 = length(MAYBE_IPV6, text, at) > 0 ? longest(IPV6S, text, at) : 0;
    const bogus = length(BOGUS_MAC, text, at);
    const most = Math.max(name, mac, ipv6, bogus);
    if (most === 0) {
      const quoted = length(QUOTED, text, at);
      const op = length(OPERATOR, text, at);
      if (quoted > 0) push("id", quoted, text.slice(at + 1, at + quoted));
      else if (op > 0) {
        const word = text.slice(at, at + op);
        if (word === "&&" || word === "||") push("keyword", op, word === "&&" ? "and" : "or");
        else push("op", op, word === "==" ? "=" : word);
      } else throw new FilterError(at, `'${c}' is not part of the filter language`);
      continue;
    }
    const word = text.slice(at, at + most);
    const plain = aliases.get(word) ?? word;
    const constant = constants.get(word);
    if (plain === "!") push("op", most, "!");
    else if (keywords.has(plain)) push("keyword", most, plain);
    else if (mac === most) push("mac", most);
    else if (length(NUMBER, text, at) === most) push("number", most, word, parseNumber(word, at));
    else if (length(QUAD, text, at) === most) push("ipv4", most);
    else if (ipv6 === most) push("ipv6", most);
    else if (bogus === most && name < most) throw new FilterError(at, `bad Ethernet address '${word}'`);
    else if (constant !== undefined) push("number", most, word, constant);
    else push("id", most);
  }
  push("end", 0, "the end");
  return tokens;
}
