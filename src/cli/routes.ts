// src/cli/routes.ts: `wirepath routes`: which route wins and why, what two tables disagree on, the smallest table.

import { stat } from "node:fs/promises";
import { formatIpv4 } from "../core/address.ts";
import type { Core } from "../core/core.ts";
import { aggregate } from "../host/fib/table/aggregate.ts";
import { TableError } from "../host/fib/table/faults.ts";
import { type Hops, describeHop } from "../host/fib/table/hops.ts";
import { readTable } from "../host/fib/table/read.ts";
import { type Difference, coveredAddresses, diffTables } from "../host/fib/table/segments.ts";
import { RouteTable, lengthCounts } from "../host/fib/table/table.ts";
import { parseTable } from "../host/fib/routewords.ts";
import { loadCore } from "../node/core.ts";
import { readChunks } from "../node/files.ts";
import { type Command, Failure, parseWords } from "./command.ts";
import { Progress } from "./progress.ts";
import { lookUpStdin, lookUpWords } from "./routes-lookup.ts";
import { Stdout } from "./stdout.ts";

const help = `usage: wirepath routes TABLE [ADDRESS...] [--why] [--json]
       wirepath routes TABLE --diff OTHER [--prefixes] [--json]
       wirepath routes TABLE --aggregate
       wirepath routes TABLE --stats [--json]

Reads a routing table: text of 'ip route', a list of 'PREFIX [NEXTHOP ...]', or an MRT dump (RFC 6396: TABLE_DUMP_V2,
TABLE_DUMP), each also gzipped; - is stdin. Prints the route that each ADDRESS takes; without one, addresses are read
from stdin, one a line.

  --why          every prefix that covers the address, the longest first, bit by bit
  --json         a line for each: {"address":"10.1.2.3","route":"10.1.0.0/16","nexthop":"10.0.0.1"}; route is null
                 where there is none, nexthop where the destination is on the link or the table does not tell
  --diff OTHER   the ranges of addresses whose next hop differs, over all of 0.0.0.0-255.255.255.255:
                 FIRST-LAST  TABLE's -> OTHER's; status 1 if there are any
  --prefixes     with --diff: another winning prefix counts too, also with the same next hop
  --aggregate    the smallest table in which each address has the next hop that it has now, or none as now
  --stats        routes by length
  --table NAME   of 'ip route show table all': this table (default: main)
  --lenient      count lines and records that are wrong instead of stopping at the first

A next hop is gateway, device, type, source and metrics such as mtu; a gateway alone equals the same one by any device.
Of two routes for a prefix the lower metric counts, then the later line; of an MRT dump's paths the higher LOCAL_PREF,
the shorter AS_PATH, the lower ORIGIN, the first.
`;

interface Context {
  readonly core: Core;
  readonly progress: Progress;
  readonly stdout: Stdout;
  readonly lenient: boolean;
  readonly table: number | undefined;
}

const nameOf = (file: string): string => (file === "-" ? "stdin" : file);

/** Says what is no part of the table, and what `--lenient` let pass: on stderr, so that output stays as it is. */
function note(text: string): void {
  process.stderr.write(`wirepath: ${text}\n`);
}

async function read(file: string, c: Context): Promise<RouteTable> {
  const size =
    file === "-"
      ? 0
      : await stat(file).then(
          (s) => s.size,
          () => 0,
        );
  const name = nameOf(file);
  try {
    const source = c.progress.over(readChunks(file, { reuse: true }), `reading ${name}`, size);
    const r = await readTable(c.core, source, { lenient: c.lenient, table: c.table });
    c.progress.clear();
    for (const [what, count] of r.passedOver) note(`${name}: passed over: ${what}: ${count}`);
    if (r.firstFault !== null) {
      const what = `${r.format === "MRT" ? "record" : "line"}${r.faults === 1 ? "" : "s"}`;
      note(`${name}: passed over: ${r.faults} wrong ${what}, the first: ${located(name, r.firstFault)}`);
    }
    return r.table;
  } catch (e) {
    c.progress.clear();
    if (e instanceof TableError) throw new Failure(located(name, e));
    throw e;
  }
}

/** `FILE:LINE:COLUMN: ...` or `FILE: offset N: ...`. */
function located(name: string, e: TableError): string {
  return e.where.startsWith("offset") ? `${name}: ${e.where}: ${e.message}` : `${name}:${e.where}: ${e.message}`;
}

/** A side of a difference in JSON. */
function sideJson(hops: Hops, number: number): { routed: boolean; nexthop: string | null } {
  return { routed: number !== 0, nexthop: hops.list[number]!.nexthop };
}

async function diff(a: RouteTable, b: RouteTable, prefixes: boolean, json: boolean, c: Context): Promise<number> {
  const { out } = c.stdout;
  // a hop's words are made once
  const words = (hops: Hops): ((n: number) => string) => {
    const texts: string[] = [];
    return (n) => (texts[n] ??= describeHop(hops, n));
  };
  const left = words(a.hops);
  const right = words(b.hops);
  const print = (d: Difference): void => {
    if (json) {
      const range = { first: formatIpv4(d.first), last: formatIpv4(d.last) };
      out.text(`${JSON.stringify({ ...range, left: sideJson(a.hops, d.left), right: sideJson(b.hops, d.right) })}\n`);
      return;
    }
    out.reserve(40);
    out.ipv4(d.first);
    out.byte(45);
    out.ipv4(d.last);
    out.text(`  ${left(d.left)} -> ${right(d.right)}\n`);
  };
  const found = diffTables(a, b, print, { prefixes, progress: (done) => c.progress.show("comparing", done) });
  c.progress.clear();
  await c.stdout.flush();
  return found === 0 ? 0 : 1;
}

async function printAggregate(table: RouteTable, c: Context): Promise<void> {
  const columns = aggregate(table.columns, (done) => c.progress.show("aggregating", done));
  c.progress.clear();
  const small = new RouteTable(c.core, columns, table.hops);
  for (let i = 0; i < small.size; i++) await c.stdout.line(small.line(i));
  await c.stdout.flush();
}

const BAR = 40;
const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar of blocks, in eighths of a character; never nothing for something. */
function bar(part: number): string {
  const n = Math.max(1, Math.round(part * BAR * 8));
  return "█".repeat(n >>> 3) + eighths[n & 7]!;
}

async function printStats(table: RouteTable, json: boolean, c: Context): Promise<void> {
  const counts = lengthCounts(table.columns);
  const covered = coveredAddresses(table.columns);
  const hops = new Set(table.columns.hops);
  // hop 1 is that of routes which tell none
  hops.delete(1);
  const { size, duplicates } = table;
  if (json) {
    const lengths = Object.fromEntries(counts.flatMap((n, length) => (n === 0 ? [] : [[String(length), n]])));
    await c.stdout.line(JSON.stringify({ routes: size, nexthops: hops.size, duplicates, addresses: covered, lengths }));
  } else {
    const most = Math.max(...counts);
    const width = String(most).length;
    const share = ((covered / 2 ** 32) * 100).toFixed(2);
    await c.stdout.line(`${size} routes, ${hops.size} next hops; ${covered} addresses have a route (${share} %)`);
    if (duplicates > 0) await c.stdout.line(`${duplicates} more routes for the same prefixes do not count`);
    for (const [length, n] of counts.entries()) {
      if (n > 0) await c.stdout.line(`${`/${length}`.padStart(4)}  ${String(n).padStart(width)}  ${bar(n / most)}`);
    }
  }
  await c.stdout.flush();
}

async function run(words: string[]): Promise<number> {
  const flag = { type: "boolean" } as const;
  const { values, positionals } = parseWords(words, {
    allowPositionals: true,
    options: {
      why: flag,
      json: flag,
      diff: { type: "string" },
      prefixes: flag,
      aggregate: flag,
      stats: flag,
      table: { type: "string" },
      lenient: flag,
    },
  });
  const [file, ...addresses] = positionals;
  if (file === undefined) throw new Failure("routes: no TABLE given (- is stdin)");
  const verbs = (["diff", "aggregate", "stats"] as const).filter((v) => values[v] !== undefined);
  const [verb] = verbs;
  if (verbs.length > 1) throw new Failure(`routes: --${verbs.join(" and --")}: expected one of them`);
  if (verb !== undefined && addresses.length > 0)
    throw new Failure(`routes: --${verb} takes no ADDRESS, got '${addresses[0]}'`);
  if (verb !== undefined && values.why === true) throw new Failure(`routes: --why and --${verb}: expected one of them`);
  if (verb === "aggregate" && values.json === true) throw new Failure("routes: --aggregate prints a table, not JSON");
  if (verb !== "diff" && values.prefixes === true) throw new Failure("routes: --prefixes belongs to --diff OTHER");
  if (file === "-" && (values.diff === "-" || (verb === undefined && addresses.length === 0))) {
    throw new Failure(
      `routes: stdin is TABLE already, expected ${values.diff === "-" ? "a file for OTHER" : "an ADDRESS"}`,
    );
  }
  const table = values.table === undefined ? undefined : parseTable(values.table);
  if (table === null) throw new Failure(`--table '${values.table}': expected a table's name or number`);
  const c: Context = {
    core: loadCore(),
    progress: new Progress(),
    stdout: new Stdout(),
    lenient: values.lenient === true,
    table,
  };
  const read1 = await read(file, c);
  if (values.diff !== undefined) {
    return diff(read1, await read(values.diff, c), values.prefixes === true, values.json === true, c);
  }
  if (values.aggregate === true) await printAggregate(read1, c);
  else if (values.stats === true) await printStats(read1, values.json === true, c);
  else {
    const options = { json: values.json === true, why: values.why === true, lenient: c.lenient };
    if (addresses.length > 0) await lookUpWords(read1, addresses, options);
    else {
      if (process.stdin.isTTY) note("addresses are read from stdin, one a line");
      const wrong = await lookUpStdin(read1, options);
      if (wrong > 0) note(`stdin: passed over: ${wrong} line${wrong === 1 ? "" : "s"} without an address`);
    }
  }
  return 0;
}

export const command: Command = { help, run };
