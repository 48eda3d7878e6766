// src/cli/subnet.ts: `wirepath subnet`: mask arithmetic for people who learn it.

import { type Prefix, formatIpv4, formatPrefix, maskOf, parseIpv4 } from "../core/address.ts";
import {
  SubnetError,
  allot,
  bitText,
  broadcastOf,
  containsAddress,
  containsPrefix,
  firstHost,
  formatRange,
  hostCount,
  lastHost,
  lastOf,
  networkPrefix,
  parseMask,
  parseRange,
  parseSubnet,
  rangeOf,
  rangePrefixes,
  sizeOf,
  splitBits,
  subnets,
  summarise,
  supernet,
  wildcardOf,
} from "../core/subnet.ts";
import { type Command, Failure, parseWords } from "./command.ts";
import { Stdout } from "./stdout.ts";

const help = `usage: wirepath subnet NETWORK [MASK] [--json]
       wirepath subnet NETWORK [MASK] --split N [--json]
       wirepath subnet NETWORK [MASK] --hosts N,N,... [--json]
       wirepath subnet NETWORK [MASK] --contains ADDRESS [--contains NETWORK ...] [--json]
       wirepath subnet --summarise NETWORK|FIRST-LAST... [--json]

NETWORK is 10.0.0.0/16, 10.0.0.0/255.255.0.0, or an address with a MASK behind it: /16, 255.255.0.0, or as a wildcard
0.0.255.255. An address in the network will do. Without more words: mask, AND in binary, hosts, broadcast.

  --split N      N networks of equal size, and what stays free: N is rounded up to a power of two
  --hosts N,...  a network for each number of hosts, as small as can be (VLSM), and what stays free
  --contains A   whether an address or a network is in it; status 1 if one is not
  --summarise    the fewest networks with exactly these addresses, and the smallest one around them all
`;

const ADDRESS_WIDTH = 18;

function row(label: string, text: string, bits = ""): string {
  return `  ${label.padEnd(11)}${bits === "" ? text : `${text.padEnd(ADDRESS_WIDTH)}${bits}`}`;
}

const countText = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

/** A network with what follows from its mask. */
function facts(p: Prefix) {
  const network = networkPrefix(p);
  const broadcast = broadcastOf(network);
  return {
    network: formatPrefix(network),
    first: formatIpv4(firstHost(network)),
    last: formatIpv4(lastHost(network)),
    broadcast: broadcast === null ? null : formatIpv4(broadcast),
    hosts: hostCount(p.length),
  };
}

function describe(p: Prefix, given: string): string[] {
  const network = networkPrefix(p);
  const mask = maskOf(p.length);
  const f = facts(p);
  const shares = `${countText(p.length, "bit")} network, ${countText(32 - p.length, "bit")} host`;
  const lines = [
    given,
    row("address", formatIpv4(p.address), bitText(p.address, p.length)),
    row("mask", formatIpv4(mask), `${bitText(mask, p.length)}  /${p.length}: ${shares}`),
    row("AND", "", "-".repeat(bitText(mask, p.length).length)),
    row("network", formatIpv4(network.address), bitText(network.address, p.length)),
    row("wildcard", formatIpv4(wildcardOf(p.length)), bitText(wildcardOf(p.length), p.length)),
  ];
  if (f.broadcast !== null)
    lines.push(row("broadcast", f.broadcast, `${bitText(lastOf(network), p.length)}  all host bits 1`));
  else if (p.length === 31) lines.push(row("broadcast", "none: both addresses of a /31 are hosts (RFC 3021)"));
  else lines.push(row("broadcast", "none: a /32 is one host"));
  lines.push(row("first host", f.first, bitText(firstHost(network), p.length)));
  lines.push(row("last host", f.last, bitText(lastHost(network), p.length)));
  const all = `2^${32 - p.length}`;
  lines.push(
    row("hosts", p.length > 30 ? `${all} = ${f.hosts}` : `${all} - 2 = ${f.hosts}: all but network and broadcast`),
  );
  return lines;
}

function describeJson(p: Prefix): string {
  const mask = maskOf(p.length);
  return JSON.stringify({
    address: formatIpv4(p.address),
    mask: formatIpv4(mask),
    wildcard: formatIpv4(wildcardOf(p.length)),
    length: p.length,
    addresses: sizeOf(p.length),
    ...facts(p),
  });
}

const columns = [
  ["network", 18],
  ["first host", 15],
  ["last host", 15],
  ["broadcast", 15],
] as const;

function tableHead(lead: number): string {
  return `${" ".repeat(lead)}  ${columns.map(([name, width]) => name.padEnd(width)).join("  ")}`.trimEnd();
}

function tableRow(lead: string, p: Prefix): string {
  const f = facts(p);
  const cells = [f.network, f.first, f.last, f.broadcast ?? "none"];
  return `${lead}  ${cells.map((c, i) => c.padEnd(columns[i]![1])).join("  ")}`.trimEnd();
}

/** `10.0.0.0/16 -> 16 networks`. */
async function split(p: Prefix, given: string, count: number, json: boolean, out: Stdout): Promise<void> {
  const bits = splitBits(p, count);
  const length = p.length + bits;
  const all = 2 ** bits;
  if (!json) {
    for (const line of describe(p, given)) await out.line(line);
    const needs =
      all === count
        ? `${countText(count, "network")}: 2^${bits} = ${all}, none stays free`
        : `${count} networks need ${all}: 2^${bits - 1} = ${all / 2} is too few, 2^${bits} = ${all}, ` +
          `so ${all - count} ${all - count === 1 ? "stays" : "stay"} free`;
    await out.line("");
    await out.line(needs);
    await out.line(
      `  ${countText(bits, "bit")} more: /${p.length} -> /${length}, mask ${formatIpv4(maskOf(length))}, ` +
        `${countText(hostCount(length), "host")} each`,
    );
    await out.line(row("mask", formatIpv4(maskOf(length)), bitText(maskOf(length), length)));
    await out.line("");
    await out.line(tableHead(String(all).length));
  }
  let i = 0;
  for (const s of subnets(p, length)) {
    i++;
    if (json) await out.line(JSON.stringify({ number: i, free: i > count, ...facts(s) }));
    else await out.line(tableRow(String(i).padStart(String(all).length), s) + (i > count ? "  free" : ""));
  }
  if (json || all === count) return;
  const first = networkPrefix(p).address + count * sizeOf(length);
  const free = rangePrefixes(first, lastOf(p));
  await out.line("");
  await out.line(`free together: ${free.map(formatPrefix).join(", ")}`);
}

async function hosts(p: Prefix, given: string, numbers: number[], json: boolean, out: Stdout): Promise<void> {
  const { networks, free } = allot(p, numbers);
  if (json) {
    for (const [i, n] of networks.entries())
      await out.line(JSON.stringify({ wanted: numbers[i], free: false, ...facts(n) }));
    for (const n of free) await out.line(JSON.stringify({ wanted: null, free: true, ...facts(n) }));
    return;
  }
  for (const line of describe(p, given)) await out.line(line);
  await out.line("");
  for (const [i, n] of networks.entries()) {
    const bits = 32 - n.length;
    const smaller = bits > 2 ? `2^${bits - 1} - 2 = ${hostCount(n.length + 1)} is too few, ` : "";
    await out.line(
      `${countText(numbers[i]!, "host")}: ${smaller}2^${bits} - 2 = ${hostCount(n.length)}: ` +
        `/${n.length}, mask ${formatIpv4(maskOf(n.length))}`,
    );
  }
  const lead = Math.max(5, ...numbers.map((n) => String(n).length));
  await out.line("");
  await out.line("hosts".padStart(lead) + tableHead(0));
  for (const i of networks.keys()) await out.line(tableRow(String(numbers[i]).padStart(lead), networks[i]!));
  for (const n of free) await out.line(tableRow(" free".padStart(lead), n));
  if (free.length === 0) await out.line("nothing stays free");
}

/** Status 0 when all are inside. */
async function contains(p: Prefix, texts: readonly string[], json: boolean, out: Stdout): Promise<number> {
  const outer = networkPrefix(p);
  let status = 0;
  for (const text of texts) {
    const address = parseIpv4(text);
    const inner = address === null ? parseSubnet(text) : { address, length: 32 };
    if (inner === null) throw new Failure(`--contains '${text}': expected an address or a network`);
    const inside = address === null ? containsPrefix(outer, networkPrefix(inner)) : containsAddress(outer, address);
    if (!inside) status = 1;
    if (json) {
      await out.line(JSON.stringify({ network: formatPrefix(outer), asked: text, contains: inside }));
      continue;
    }
    await out.line(`${text} is ${inside ? "" : "not "}in ${formatPrefix(outer)}`);
    const masked = (inner.address & maskOf(outer.length)) >>> 0;
    await out.line(row("address", formatIpv4(inner.address), bitText(inner.address, outer.length)));
    await out.line(row("AND mask", formatIpv4(masked), bitText(masked, outer.length)));
    const same = masked === outer.address;
    await out.line(
      row(
        "network",
        formatIpv4(outer.address),
        `${bitText(outer.address, outer.length)}  ${same ? "the same" : "another"}`,
      ),
    );
    if (same && !inside) await out.line(`  a /${inner.length} is larger than a /${outer.length}`);
  }
  return status;
}

async function summary(words: readonly string[], json: boolean, out: Stdout): Promise<void> {
  if (words.length === 0) throw new Failure("subnet: --summarise needs networks, or ranges FIRST-LAST");
  const ranges = words.map((w) => {
    const r = parseRange(w);
    if (r === null) throw new Failure(`'${w}': expected a network, or a range FIRST-LAST`);
    return r;
  });
  const around = supernet(ranges)!;
  const prefixes = summarise(ranges);
  if (json) {
    await out.line(JSON.stringify({ networks: prefixes.map(formatPrefix), around: formatPrefix(around) }));
    return;
  }
  for (const p of prefixes) await out.line(`${formatPrefix(p).padEnd(ADDRESS_WIDTH)}  ${formatRange(rangeOf(p))}`);
  const extra = sizeOf(around.length) - prefixes.reduce((n, p) => n + sizeOf(p.length), 0);
  await out.line(
    `around all: ${formatPrefix(around)}` +
      (extra > 0 ? `, with ${countText(extra, "address", "addresses")} more` : ""),
  );
}

function network(words: readonly string[]): [Prefix, string] {
  const [first, mask, ...more] = words;
  if (first === undefined) throw new Failure("subnet: no NETWORK given, such as 10.0.0.0/16");
  if (more.length > 0) throw new Failure(`subnet: '${more[0]}': expected NETWORK and MASK only`);
  if (mask !== undefined) {
    if (first.includes("/")) throw new Failure(`subnet: '${mask}': '${first}' has a mask already`);
    if (parseMask(mask) === null)
      throw new Failure(`subnet: '${mask}': expected a mask: /16, 255.255.0.0 or 0.0.255.255`);
  } else if (!first.includes("/"))
    throw new Failure(`subnet: '${first}': expected a length or a mask, such as ${first}/24`);
  const p = parseSubnet(mask === undefined ? first : `${first} ${mask}`);
  if (p === null)
    throw new Failure(`subnet: '${words.join(" ")}': expected a network such as 10.0.0.0/16 or 10.0.0.0/255.255.0.0`);
  return [p, `${formatIpv4(p.address)}/${p.length}`];
}

function naturals(what: string, text: string): number[] {
  return text.split(",").map((t) => {
    if (!/^\d{1,10}$/.test(t.trim()) || Number(t) < 1)
      throw new Failure(`${what} '${text}': expected numbers from 1 on`);
    return Number(t);
  });
}

async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseWords(words, {
    allowPositionals: true,
    options: {
      split: { type: "string" },
      hosts: { type: "string" },
      contains: { type: "string", multiple: true },
      summarise: { type: "boolean" },
      summarize: { type: "boolean" },
      json: { type: "boolean" },
    },
  });
  const out = new Stdout();
  const json = values.json === true;
  const summarising = values.summarise === true || values.summarize === true;
  const verbs = [values.split, values.hosts, values.contains, summarising || undefined].filter((v) => v !== undefined);
  if (verbs.length > 1) throw new Failure("subnet: expected one of --split, --hosts, --contains, --summarise");
  let status = 0;
  try {
    if (summarising) await summary(positionals, json, out);
    else {
      const [p, given] = network(positionals);
      if (values.split !== undefined) {
        const counts = naturals("--split", values.split);
        if (counts.length > 1)
          throw new Failure(`--split '${values.split}': expected one number; --hosts takes several`);
        await split(p, given, counts[0]!, json, out);
      } else if (values.hosts !== undefined) await hosts(p, given, naturals("--hosts", values.hosts), json, out);
      else if (values.contains !== undefined) status = await contains(p, values.contains, json, out);
      else if (json) await out.line(describeJson(p));
      else for (const line of describe(p, given)) await out.line(line);
    }
  } catch (e) {
    if (e instanceof SubnetError) throw new Failure(e.message);
    throw e;
  }
  await out.flush();
  return status;
}

export const command: Command = { help, run };
