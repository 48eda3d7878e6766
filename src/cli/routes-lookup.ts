// src/cli/routes-lookup.ts: which route wins: addresses from the command line or, many, from stdin.

import { formatIpv4, maskOf, parseIpv4 } from "../core/address.ts";
import type { RouteTable } from "../host/fib/table/table.ts";
import { readChunks } from "../node/files.ts";
import { literal } from "./byte-writer.ts";
import { Failure } from "./command.ts";
import { Stdout } from "./stdout.ts";

/** Addresses that are looked up at once. */
const BATCH = 8192;
const NEWLINE = 10;
/** Longer than any address with blanks around it that somebody means. */
const MAX_LINE = 4096;

export interface LookupOptions {
  readonly json: boolean;
  /** Every covering prefix as well. */
  readonly why: boolean;
  readonly lenient: boolean;
}

const head = literal('{"address":"');
const route = literal('","route":"');
const slash = 47;
const noRoute = literal('","route":null,"nexthop":null}\n');

/** Looks addresses up in batches and appends a line for each. */
class Lookups {
  private readonly keys: number;
  private readonly found: number;
  private count = 0;
  private readonly tails: Uint8Array[];
  readonly stdout = new Stdout();

  constructor(
    private readonly table: RouteTable,
    private readonly options: LookupOptions,
  ) {
    const { x } = table.core;
    this.keys = x.alloc(BATCH * 4) >>> 0;
    this.found = x.alloc(BATCH * 4) >>> 0;
    if (this.keys === 0 || this.found === 0) throw new Failure("the core's memory is used up");
    table.handle();
    this.tails = table.hops.list.map((hop) => literal(`","nexthop":${JSON.stringify(hop.nexthop)}}\n`));
  }

  /** True when the batch is full. */
  push(address: number): boolean {
    this.table.core.u32[(this.keys >>> 2) + this.count++] = address;
    return this.count === BATCH;
  }

  async batch(): Promise<void> {
    const { table, count } = this;
    const { x, u32 } = table.core;
    x.fibBatch(table.handle(), this.keys, this.found, count);
    const keys = u32.subarray(this.keys >>> 2, (this.keys >>> 2) + count);
    const found = u32.subarray(this.found >>> 2, (this.found >>> 2) + count);
    this.count = 0;
    if (this.options.json && !this.options.why) {
      this.lines(keys, found);
      await this.stdout.settle();
      return;
    }
    for (let i = 0; i < count; i++) {
      await this.stdout.line(this.options.json ? whyJson(table, keys[i]!) : this.text(keys[i]!, found[i]! - 1));
    }
  }

  private lines(keys: Uint32Array, found: Uint32Array): void {
    const { out } = this.stdout;
    const { prefixes, lengths, hops } = this.table.columns;
    for (let i = 0; i < keys.length; i++) {
      const tail = found[i] === 0 ? noRoute : this.tails[hops[found[i]! - 1]!]!;
      out.reserve(64 + tail.length);
      out.literal(head);
      out.ipv4(keys[i]!);
      if (found[i] !== 0) {
        out.literal(route);
        out.ipv4(prefixes[found[i]! - 1]!);
        out.byte(slash);
        out.decimal(lengths[found[i]! - 1]!);
      }
      out.literal(tail);
    }
  }

  private text(address: number, winner: number): string {
    const { table } = this;
    if (this.options.why) return whyText(table, address);
    return `${formatIpv4(address)}  ${winner < 0 ? "no route" : table.line(winner)}`;
  }

  async finish(): Promise<void> {
    if (this.count > 0) await this.batch();
    await this.stdout.flush();
  }
}

function whyJson(table: RouteTable, address: number): string {
  const covering = table.covering(address).map((i) => ({
    route: table.prefixText(i),
    nexthop: table.hops.list[table.columns.hops[i]!]!.nexthop,
  }));
  const best = covering[0] ?? { route: null, nexthop: null };
  return JSON.stringify({ address: formatIpv4(address), ...best, covering });
}

/** 32 bits with dots between the bytes; dashes behind the first `length`. */
function bitsOf(address: number, length: number): string {
  const bits = address.toString(2).padStart(32, "0").slice(0, length).padEnd(32, "-");
  return `${bits.slice(0, 8)}.${bits.slice(8, 16)}.${bits.slice(16, 24)}.${bits.slice(24)}`;
}

function whyText(table: RouteTable, address: number): string {
  const covering = table.covering(address);
  const rows = [`${formatIpv4(address).padEnd(18)}  ${bitsOf(address, 32)}`];
  for (const [k, i] of covering.entries()) {
    const length = table.columns.lengths[i]!;
    const hop = table.hops.list[table.columns.hops[i]!]!.key;
    const wins =
      k > 0 ? "" : `  wins: ${covering.length === 1 ? "the only one that covers it" : "the longest that covers it"}`;
    const bits = bitsOf((address & maskOf(length)) >>> 0, length);
    rows.push(`${table.prefixText(i).padEnd(18)}  ${bits}${hop === "" ? "" : `  ${hop}`}${wins}`);
  }
  if (covering.length === 0) rows.push("no route: no prefix of the table covers it");
  return rows.join("\n");
}

/** Addresses as words of the command line. */
export async function lookUpWords(table: RouteTable, words: readonly string[], options: LookupOptions): Promise<void> {
  const addresses = words.map((w) => {
    const address = parseIpv4(w);
    if (address === null) throw new Failure(`'${w}': expected an IPv4 address`);
    return address;
  });
  const lookups = new Lookups(table, options);
  for (const a of addresses) if (lookups.push(a)) await lookups.batch();
  await lookups.finish();
}

/**
 * Addresses from stdin, one a line; empty lines are passed over. Answers how many lines were wrong (with `lenient`:
 * without it the first one is a Failure, after the answers before it).
 */
export async function lookUpStdin(table: RouteTable, options: LookupOptions): Promise<number> {
  const lookups = new Lookups(table, options);
  let line = 0;
  let wrong = 0;
  let rest: Uint8Array = new Uint8Array(0);

  /** The address on a line, -1 if it is blank, -2 if there is none. */
  const addressOf = (bytes: Uint8Array, at: number, end: number): number => {
    while (at < end && bytes[at]! <= 32) at++;
    while (at < end && bytes[end - 1]! <= 32) end--;
    if (at === end) return -1;
    let address = 0;
    for (let k = 0; k < 4; k++) {
      if (k > 0 && bytes[at++] !== 46) return -2;
      const from = at;
      let v = 0;
      for (; at < end && at - from < 3; at++) {
        const d = bytes[at]! - 48;
        if (d < 0 || d > 9) break;
        v = v * 10 + d;
      }
      if (at === from || v > 255 || (at - from > 1 && bytes[from] === 48)) return -2;
      address = address * 256 + v;
    }
    return at === end ? address : -2;
  };

  /** All lines of `bytes` up to its last newline; answers where the rest begins. */
  const lines = async (bytes: Uint8Array): Promise<number> => {
    let at = 0;
    for (;;) {
      const end = bytes.indexOf(NEWLINE, at);
      if (end < 0) return at;
      line++;
      const address = addressOf(bytes, at, end);
      if (address >= 0) {
        if (lookups.push(address)) await lookups.batch();
      } else if (address === -2) {
        wrong++;
        if (!options.lenient) {
          await lookups.finish();
          const text = new TextDecoder().decode(bytes.subarray(at, Math.min(end, at + 40))).trim();
          throw new Failure(`stdin:${line}:1: ${JSON.stringify(text)}: expected an IPv4 address`);
        }
      }
      at = end + 1;
    }
  };

  for await (const chunk of readChunks("-")) {
    let bytes = chunk;
    if (rest.length > 0) {
      bytes = new Uint8Array(rest.length + chunk.length);
      bytes.set(rest);
      bytes.set(chunk, rest.length);
    }
    rest = bytes.slice(await lines(bytes));
    if (rest.length > MAX_LINE)
      throw new Failure(`stdin:${line + 1}:1: longer than ${MAX_LINE} bytes, expected an address a line`);
    // who types, or waits for an answer before the next question, gets it
    if (chunk.length < 65_536) await lookups.finish();
  }
  if (rest.length > 0) await lines(new Uint8Array([...rest, NEWLINE]));
  await lookups.finish();
  return wrong;
}
