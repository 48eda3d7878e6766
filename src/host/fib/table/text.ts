// src/host/fib/table/text.ts: routing tables as text, a route a line: `ip route`, or lists of `prefix nexthop`.

import { formatIpv4, formatPrefix, maskOf, parseIpv4, type Prefix } from "../../../core/address.ts";
import { TextError } from "../../text.ts";
import { TABLE_MAIN, tableNames, typeNames } from "../names.ts";
import { parseRoute } from "../routewords.ts";
import { parseIpPrefix } from "../words.ts";
import { Faults, TableError } from "./faults.ts";
import { Hops, hopOf, plainHop } from "./hops.ts";
import type { TableBuilder } from "./table.ts";

const NEWLINE = 10;
const MAX_LINE = 1 << 20;

const isBlank = (c: number): boolean => c === 32 || c === 9 || c === 13;

const ipv6 = /^[\da-fA-F.]*:[\da-fA-F:.]*(\/\d+)?$/;
/** A default route is IPv6's when its gateway is, or when it has a preference (RFC 4191). */
const ipv6Default = /\s(via\s+[\da-fA-F]*:|pref\s+(low|medium|high))/;

/** What the words behind a prefix say. */
interface Tail {
  readonly hop: number;
  readonly rank: number;
  /** Why such a route is not read; null: it is. */
  readonly passedOver: string | null;
}

/** A word behind a prefix with nothing behind it is a next hop's name, unless it is one of these of `ip route`. */
const alone = new Set([
  "via",
  "dev",
  "oif",
  "src",
  "metric",
  "priority",
  "preference",
  "table",
  "tos",
  "dsfield",
  "scope",
  "proto",
  "protocol",
  "type",
  "nexthop",
  "onlink",
  "linkdown",
  "dead",
]);

/** A prefix and nothing behind it: a list's, or the first line of a route of many ways. */
const alonePending = { type: "", tail: "" };

/** Tails that are kept, so that a table in which each line has words of its own does not keep them all. */
const MAX_TAILS = 65_536;

export class TextReader {
  private rest: Uint8Array | null = null;
  private line = 0;
  private readonly decoder = new TextDecoder();
  private readonly tails = new Map<string, Tail>();
  /** The last route of `ip route`, which lines with `nexthop` continue. */
  private pending: { type: string; tail: string } | "passed over" | null = null;
  // what `number` found
  private value = 0;

  /** `table`: which routes of `ip route show table all` are read; null: main's, and those that name none. */
  constructor(
    private readonly into: TableBuilder,
    private readonly faults: Faults,
    private readonly table: number | null,
  ) {}

  push(chunk: Uint8Array): void {
    let at = 0;
    if (this.rest !== null) {
      const end = chunk.indexOf(NEWLINE);
      if (end < 0) return this.keep(chunk);
      const head = this.joined(chunk.subarray(0, end));
      this.rest = null;
      this.read(head, 0, head.length);
      at = end + 1;
    }
    for (;;) {
      const end = chunk.indexOf(NEWLINE, at);
      if (end < 0) break;
      this.read(chunk, at, end);
      at = end + 1;
    }
    if (at < chunk.length) this.keep(chunk.subarray(at));
  }

  finish(): void {
    const { rest } = this;
    this.rest = null;
    if (rest !== null) this.read(rest, 0, rest.length);
  }

  private joined(more: Uint8Array): Uint8Array {
    if (this.rest === null) return more.slice();
    const all = new Uint8Array(this.rest.length + more.length);
    all.set(this.rest);
    all.set(more, this.rest.length);
    return all;
  }

  private keep(more: Uint8Array): void {
    this.rest = this.joined(more);
    if (this.rest.length > MAX_LINE)
      throw new TableError(`${this.line + 1}:1`, `longer than ${MAX_LINE} bytes, expected a route a line`);
  }

  /** One to three digits from `at`: where they end, and in `value` what they say, -1 for none or more than `max`. */
  private number(bytes: Uint8Array, at: number, end: number, max: number): number {
    let v = 0;
    const from = at;
    while (at < end) {
      const d = bytes[at]! - 48;
      if (d < 0 || d > 9) break;
      v = v * 10 + d;
      if (++at - from > 3) break;
    }
    const padded = at - from > 1 && bytes[from] === 48;
    this.value = at === from || v > max || padded ? -1 : v;
    return at;
  }

  /** Four bytes with dots: where they end, and -1 in `value` if they are none. */
  private dotted(bytes: Uint8Array, at: number, end: number): number {
    let v = 0;
    for (let k = 0; k < 4; k++) {
      if (k > 0 && bytes[at++] !== 46) {
        this.value = -1;
        return at;
      }
      at = this.number(bytes, at, end, 255);
      if (this.value < 0) return at;
      v = v * 256 + this.value;
    }
    this.value = v;
    return at;
  }

  /** A line: the usual shapes here, byte by byte; all others word by word. */
  private read(bytes: Uint8Array, from: number, end: number): void {
    this.line++;
    while (from < end && isBlank(bytes[end - 1]!)) end--;
    if (from === end) return;
    let at = this.dotted(bytes, from, end);
    const prefix = this.value;
    if (prefix < 0 || at >= end || bytes[at] !== 47) return this.slow(bytes, from, end);
    at = this.number(bytes, at + 1, end, 32);
    const length = this.value;
    if (length < 0 || (prefix & ~maskOf(length)) !== 0) return this.slow(bytes, from, end);
    if (at === end) {
      this.pending = alonePending;
      return this.into.add(prefix, length, Hops.UNKNOWN, 0);
    }
    if (!isBlank(bytes[at]!)) return this.slow(bytes, from, end);
    while (isBlank(bytes[at]!)) at++;
    const tail = at;
    at = this.dotted(bytes, tail, end);
    if (this.value >= 0 && (at === end || isBlank(bytes[at]!))) {
      this.pending = null;
      return this.into.add(prefix, length, this.into.hops.ofAddress(this.value), 0);
    }
    // words of `ip route` that stood behind another prefix already
    const text = this.decoder.decode(bytes.subarray(tail, end));
    const known = this.tails.get(` ${text}`);
    if (known === undefined || known.passedOver !== null) return this.slow(bytes, from, end);
    this.pending = { type: "", tail: text };
    this.into.add(prefix, length, known.hop, known.rank);
  }

  private slow(bytes: Uint8Array, from: number, end: number): void {
    try {
      this.words(this.decoder.decode(bytes.subarray(from, end)));
    } catch (e) {
      if (!(e instanceof TextError)) throw e;
      this.pending = null;
      this.faults.add(new TableError(`${this.line}:${e.column}`, e.message));
    }
  }

  /** Throws TextError with a column of this line. */
  private words(line: string): void {
    const comment = /(^|\s)#/.exec(line);
    const text = (comment === null ? line : line.slice(0, comment.index)).trimEnd();
    let at = /^\uFEFF?\s*/.exec(text)![0].length;
    if (at === text.length) return;
    const command = /^(?:ip\s+(?:-4\s+)?)?(?:route|ro|r)\s+(?:add|append|replace|prepend)\s+/.exec(text.slice(at));
    if (command !== null) at += command[0].length;
    const word = (): string => /^\S*/.exec(text.slice(at))![0];
    const skip = (n: number): void => {
      at += n;
      at += /^\s*/.exec(text.slice(at))![0].length;
    };
    let first = word();
    if (first === "nexthop") return this.continued(text.slice(at), at);
    let type = "";
    if (first !== "default" && typeNames.parse(first) !== null) {
      type = first;
      skip(first.length);
      first = word();
    }
    if (first === "to") {
      skip(2);
      first = word();
    }
    const prefix = parseIpPrefix(first);
    // `ip route show table all` tells routes of both families
    if (ipv6.test(first) || (first === "default" && ipv6Default.test(text.slice(at))))
      return this.passOver("IPv6 routes");
    if (prefix === null) {
      throw new TextError(1, at + 1, `'${short(first)}' is no prefix, expected an IPv4 prefix such as 10.0.0.0/8`);
    }
    checkHostBits(prefix, at + 1);
    skip(first.length);
    this.route(prefix, type, text.slice(at), at);
  }

  private route(prefix: Prefix, type: string, tail: string, at: number): void {
    this.pending = tail === "" ? { type, tail } : null;
    if (type === "" && /^\S*$/.test(tail) && !alone.has(tail)) {
      const hop = tail === "" ? Hops.UNKNOWN : this.into.hops.number(plainHop(label(tail, at)));
      return this.into.add(prefix.address, prefix.length, hop, 0);
    }
    if (type === "" && /^[\d.:a-fA-F]*[\d.:][\d.:a-fA-F]*\s/.test(tail)) {
      const hop = /^\S+/.exec(tail)![0];
      return this.into.add(prefix.address, prefix.length, this.into.hops.number(plainHop(label(hop, at))), 0);
    }
    const t = this.tail(type, tail, at);
    if (t.passedOver !== null) return this.passOver(t.passedOver);
    this.into.add(prefix.address, prefix.length, t.hop, t.rank);
    this.pending = { type, tail };
  }

  /** With the lines that continue it. */
  private passOver(what: string): void {
    this.faults.passOver(what);
    this.pending = "passed over";
  }

  /** A line `nexthop via ...`, which `ip route` prints below a route of many ways. */
  private continued(text: string, at: number): void {
    const { pending } = this;
    if (pending === null)
      throw new TextError(1, at + 1, "'nexthop' continues a route of 'ip route', and none is above");
    if (pending === "passed over") return;
    const tail = `${pending.tail} ${text}`;
    // columns are those of this line
    const t = this.tail(pending.type, tail, at - pending.tail.length - 1);
    this.into.amend(t.hop, t.rank);
    this.pending = { type: pending.type, tail };
  }

  private tail(type: string, tail: string, at: number): Tail {
    const key = `${type} ${tail}`;
    const known = this.tails.get(key);
    if (known !== undefined) return known;
    // the prefix does not matter here: a short one stands for all
    const head = `${type} 0/0 `.trimStart();
    let t: Tail;
    try {
      const spec = parseRoute(head + tail);
      const named = /(?:^|\s)table\s/.test(tail);
      // where all tables are shown, what names none is main's; a dump of local alone names none either
      const table = named || this.table !== null ? spec.table : TABLE_MAIN;
      const passedOver =
        table !== (this.table ?? TABLE_MAIN)
          ? `routes of table ${tableNames.format(table)}`
          : spec.tos !== 0
            ? "routes for one tos alone"
            : null;
      t = { hop: passedOver === null ? this.into.hops.number(hopOf(spec)) : 0, rank: spec.metric, passedOver };
    } catch (e) {
      if (!(e instanceof TextError)) throw e;
      throw new TextError(1, Math.max(1, e.column - head.length + at), e.message);
    }
    if (this.tails.size < MAX_TAILS) this.tails.set(key, t);
    return t;
  }
}

/** A next hop that is an address, or any other name. */
function label(text: string, at: number): string {
  if (/^[\d.]*\.[\d.]*$/.test(text) && parseIpv4(text) === null) {
    throw new TextError(1, at + 1, `'${short(text)}': expected an IPv4 address`);
  }
  return text;
}

/** As the kernel refuses it: "Invalid prefix for given prefix length". */
function checkHostBits(p: Prefix, column: number): void {
  const network = (p.address & maskOf(p.length)) >>> 0;
  if (network === p.address) return;
  throw new TextError(
    1,
    column,
    `${formatPrefix(p)}: bits behind the length are set, expected ${formatIpv4(network)}/${p.length}`,
  );
}

/** A word in a message: without control characters, not too long. */
function short(text: string): string {
  // oxlint-disable-next-line no-control-regex
  const plain = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "\uFFFD");
  return plain.length > 40 ? `${plain.slice(0, 40)}...` : plain;
}
