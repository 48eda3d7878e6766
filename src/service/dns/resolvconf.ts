// src/service/dns/resolvconf.ts: /etc/resolv.conf and /etc/hosts (resolv.conf(5), hosts(5)).

import { formatIpv4, parseIpv4 } from "../../core/address.ts";
import { TextError } from "../../host/text.ts";
import { keyOf, NameError, parseName } from "./name.ts";
import { parseIpv6 } from "./rdata.ts";

export interface ResolvConf {
  /** Host order; asked in this order. */
  readonly nameservers: readonly number[];
  readonly search: readonly string[];
  /** A name with so many dots is tried as it is first. */
  readonly ndots: number;
  /** Seconds for the first round. */
  readonly timeout: number;
  readonly attempts: number;
  /** Each question begins with the next server. */
  readonly rotate: boolean;
  readonly edns0: boolean;
  /** TCP only. */
  readonly useVc: boolean;
}

export const defaultConf: ResolvConf = {
  nameservers: [],
  search: [],
  ndots: 1,
  timeout: 5,
  attempts: 2,
  rotate: false,
  edns0: false,
  useVc: false,
};

/** MAXNS */
const SERVERS_MAX = 3;
/** What glibc limits the numbers to (RES_MAXNDOTS, RES_MAXRETRANS, RES_MAXRETRY). */
const numbers = { ndots: 15, timeout: 30, attempts: 5 } as const;
/** Options of glibc's that change nothing here. */
const without = new Set(["debug", "inet6", "no-check-names", "no-aaaa", "no-tld-query", "trust-ad"]);
const withoutToo = new Set(["single-request", "single-request-reopen", "no-reload", "ip6-bytestring", "ip6-dotint"]);

interface Line {
  readonly line: number;
  readonly words: readonly { readonly text: string; readonly column: number }[];
}

/** Lines of words; `#`, and `;` in a line's beginning, begin comments. */
function* linesOf(text: string, comment: RegExp): Generator<Line> {
  let n = 0;
  for (const raw of text.split("\n")) {
    n++;
    const line = raw.replace(comment, "");
    const words = Array.from(line.matchAll(/\S+/g), (m) => ({ text: m[0], column: m.index + 1 }));
    if (words.length > 0) yield { line: n, words };
  }
}

/** Reads a resolv.conf. Throws `TextError` where glibc would pass over what it does not understand. */
export function parseResolvConf(text: string): ResolvConf {
  const conf = { ...defaultConf };
  for (const { line, words } of linesOf(text, /^\s*[#;].*$|\s[#;].*$/)) {
    const [key, ...rest] = words;
    const missing = (what: string): TextError =>
      new TextError(line, key!.column + key!.text.length, `'${key!.text}' without a value, expected ${what}`);
    switch (key!.text) {
      case "nameserver": {
        const [word] = rest;
        if (word === undefined) throw missing("an address");
        const address = parseIpv4(word.text);
        if (address === null) {
          throw new TextError(line, word.column, `'${word.text}' is no IPv4 address, expected a name server's`);
        }
        if (conf.nameservers.length < SERVERS_MAX) conf.nameservers = [...conf.nameservers, address];
        break;
      }
      case "domain":
      case "search":
        if (rest.length === 0) throw missing("a domain");
        conf.search = (key!.text === "domain" ? rest.slice(0, 1) : rest).map((w) => nameAt(w.text, line, w.column));
        break;
      case "options":
        for (const w of rest) Object.assign(conf, option(w.text, line, w.column));
        break;
      case "sortlist":
        break;
      default:
        throw new TextError(
          line,
          key!.column,
          `unknown keyword '${key!.text}', expected nameserver, search, domain or options`,
        );
    }
  }
  return conf;
}

function nameAt(text: string, line: number, column: number): string {
  try {
    return parseName(text);
  } catch (e) {
    if (e instanceof NameError) throw new TextError(line, column + e.at, e.message);
    throw e;
  }
}

function option(text: string, line: number, column: number): Partial<ResolvConf> {
  const [name, value] = text.split(":", 2) as [string, string | undefined];
  if (Object.hasOwn(numbers, name)) {
    const max = numbers[name as keyof typeof numbers];
    if (value === undefined || !/^\d{1,6}$/.test(value)) {
      throw new TextError(line, column, `option '${text}', expected ${name}:N`);
    }
    const least = name === "ndots" ? 0 : 1;
    return { [name]: Math.max(least, Math.min(Number(value), max)) };
  }
  if (name === "rotate") return { rotate: true };
  if (name === "edns0") return { edns0: true };
  if (name === "use-vc") return { useVc: true };
  if (without.has(name) || withoutToo.has(name)) return {};
  throw new TextError(
    line,
    column,
    `unknown option '${text}', expected ndots:N, timeout:N, attempts:N, rotate, edns0 or use-vc`,
  );
}

/** Reads a hosts file: addresses of names (keys), in order. Throws `TextError`. */
export function parseHosts(text: string): Map<string, string[]> {
  const hosts = new Map<string, string[]>();
  for (const { line, words } of linesOf(text, /#.*$/)) {
    const [first, ...names] = words;
    const v4 = parseIpv4(first!.text);
    if (v4 === null && parseIpv6(first!.text) === null) {
      throw new TextError(line, first!.column, `'${first!.text}' is no address, expected one and its names`);
    }
    if (names.length === 0) {
      throw new TextError(
        line,
        first!.column + first!.text.length,
        `an address without a name, expected one behind it`,
      );
    }
    const address = v4 === null ? first!.text.toLowerCase() : formatIpv4(v4);
    for (const w of names) {
      const key = keyOf(nameAt(w.text, line, w.column));
      const known = hosts.get(key);
      if (known === undefined) hosts.set(key, [address]);
      else if (!known.includes(address)) known.push(address);
    }
  }
  return hosts;
}
