// src/host/tccommand.ts: `tc qdisc ...` (tc(8)): netem at the root of a device.

import type { Interface } from "../link/interface.ts";
import { ALWAYS, type Chance, type Netem, type NetemOptions } from "../link/netem.ts";
import { Egress } from "../link/wire.ts";
import type { Namespace } from "./namespace.ts";
import { parseNetem } from "./netemwords.ts";
import { TextError } from "./text.ts";

/** What follows `tc`: `[-s] qdisc add|change|replace|del|show dev DEV [root] [handle H] [netem WORDS]`. */
export function tcCommand(ns: Namespace, rest: string): string {
  const words: { text: string; column: number }[] = [];
  for (const m of rest.matchAll(/\S+/g)) words.push({ text: m[0], column: m.index + 1 });
  let i = 0;
  const next = (what: string): { text: string; column: number } => {
    const w = words[i++];
    if (w === undefined) throw new TextError(1, rest.length + 1, `tc: the line ends, expected ${what}`);
    return w;
  };
  const statistics = /^-s(tatistics)?$/.test(words[0]?.text ?? "");
  if (statistics) i++;
  const object = next("qdisc");
  if (object.text !== "qdisc") throw new TextError(1, object.column, `tc: '${object.text}', expected qdisc`);
  const verb = words[i++] ?? { text: "show", column: rest.length + 1 };
  if (!["add", "change", "replace", "del", "delete", "show", "list"].includes(verb.text)) {
    throw new TextError(1, verb.column, `tc qdisc: '${verb.text}', expected add, change, replace, del or show`);
  }
  const show = verb.text === "show" || verb.text === "list";
  let dev: Interface | null = null;
  let root = false;
  let kind: { text: string; column: number } | null = null;
  while (kind === null && i < words.length) {
    const w = next("a word");
    if (w.text === "dev") dev = device(ns, next("a device"));
    else if (w.text === "root") root = true;
    else if (w.text === "handle") next("a handle");
    else kind = w;
  }
  if (show) {
    if (kind !== null) throw new TextError(1, kind.column, `tc qdisc show: '${kind.text}', expected dev DEVICE`);
    return (dev === null ? ns.interfaces : [dev]).map((d) => print(d, statistics)).join("");
  }
  if (dev === null) throw new TextError(1, rest.length + 1, "tc qdisc: expected dev DEVICE");
  if (!root) throw new TextError(1, rest.length + 1, "tc qdisc: expected root: only the root of a device holds netem");
  const egress = Egress.of(dev);
  const there = egress.netem !== null;
  if (kind !== null && kind.text !== "netem") {
    throw new TextError(1, kind.column, `tc qdisc: '${kind.text}', expected netem`);
  }
  if (verb.text === "del" || verb.text === "delete") {
    if (!there) throw new TextError(1, verb.column, `tc qdisc del: ${dev.name} has no netem`);
    egress.setNetem(null);
    return "";
  }
  if (kind === null) throw new TextError(1, rest.length + 1, "tc qdisc: the line ends, expected netem");
  if (verb.text === "add" && there) throw new TextError(1, verb.column, `tc qdisc add: ${dev.name} has netem already`);
  if (verb.text === "change" && !there)
    throw new TextError(1, verb.column, `tc qdisc change: ${dev.name} has no netem`);
  const from = words[i]?.column ?? rest.length + 1;
  egress.setNetem(netemAt(rest.slice(from - 1), from - 1));
  return "";
}

function netemAt(text: string, column: number): NetemOptions {
  try {
    return parseNetem(text);
  } catch (e) {
    if (e instanceof TextError) throw new TextError(1, e.column + column, e.message);
    throw e;
  }
}

function device(ns: Namespace, name: { text: string; column: number }): Interface {
  const dev = ns.byName.get(name.text);
  if (dev === undefined) throw new TextError(1, name.column, `${ns.name} has no device '${name.text}'`);
  return dev;
}

/** As `tc qdisc show` prints it; devices without netem have nothing to say. */
function print(dev: Interface, statistics: boolean): string {
  const netem = Egress.at(dev)?.netem ?? null;
  if (netem === null) return "";
  const handle = (0x8000 + dev.ifindex).toString(16);
  const line = `qdisc netem ${handle}: dev ${dev.name} root refcnt 2 ${printNetem(netem.options)}\n`;
  return statistics ? `${line}${counters(netem)}` : line;
}

function counters(n: Netem): string {
  return (
    ` Sent ${n.sentBytes} bytes ${n.sent} pkt (dropped ${n.dropped}, overlimits ${n.overlimits} requeues ${n.reordered})\n` +
    ` backlog ${n.backlogBytes}b ${n.backlog}p requeues ${n.reordered}\n`
  );
}

/** The options in tc's own words, which read back to the same. */
export function printNetem(o: NetemOptions): string {
  const out = [`limit ${o.limit}`];
  if (o.latency !== 0) {
    out.push(`delay ${time(o.latency)}`);
    if (o.jitter !== 0) {
      out.push(time(o.jitter));
      if (o.delayCorrelation !== 0) out.push(percent(o.delayCorrelation));
      if (o.distribution !== null) out.push(`distribution ${o.distribution}`);
    }
  }
  const { loss } = o;
  if (loss?.kind === "random") out.push(`loss ${chance(loss)}`);
  else if (loss?.kind === "gemodel") {
    out.push(`loss gemodel ${[loss.p, loss.r, ALWAYS - loss.h, loss.k1].map(percent).join(" ")}`);
  } else if (loss?.kind === "state") {
    out.push(`loss state ${[loss.p13, loss.p31, loss.p32, loss.p23, loss.p14].map(percent).join(" ")}`);
  }
  if (o.ecn) out.push("ecn");
  if (o.duplicate.chance !== 0) out.push(`duplicate ${chance(o.duplicate)}`);
  if (o.reorder !== null && o.reorder.chance !== 0) out.push(`reorder ${chance(o.reorder)}`);
  if (o.corrupt !== null && o.corrupt.chance !== 0) out.push(`corrupt ${chance(o.corrupt)}`);
  if (o.rate !== null && o.rate.rate !== 0) {
    const { packetOverhead, cellSize, cellOverhead } = o.rate;
    out.push(`rate ${rate(o.rate.rate)}`);
    if (packetOverhead !== 0 || cellSize !== 0 || cellOverhead !== 0) {
      out.push(`${packetOverhead} ${cellSize} ${cellOverhead}`);
    }
  }
  if (o.gap !== 0) out.push(`gap ${o.gap}`);
  return out.join(" ");
}

function chance(c: Chance): string {
  return c.correlation === 0 ? percent(c.chance) : `${percent(c.chance)} ${percent(c.correlation)}`;
}

/** printf's %g: six digits that count. */
function percent(of: number): string {
  return `${Number(((100 * of) / ALWAYS).toPrecision(6))}%`;
}

function time(ns: number): string {
  if (ns >= 1e9) return `${Number((ns / 1e9).toPrecision(6))}s`;
  if (ns >= 1e6) return `${Number((ns / 1e6).toPrecision(6))}ms`;
  return ns >= 1e3 ? `${Number((ns / 1e3).toPrecision(6))}us` : `${ns}ns`;
}

function rate(bytes: number): string {
  let bits = bytes * 8;
  let unit = 0;
  while (unit < 4 && bits >= 1000 && bits % 1000 === 0) {
    bits /= 1000;
    unit++;
  }
  return `${bits}${["", "K", "M", "G", "T"][unit]}bit`;
}
