// src/host/commands.ts: the commands that a timeline and a REPL give to a host, in their tools' own words.

import type { Namespace } from "./namespace.ts";
import { linkCommand } from "./linkcommand.ts";
import { bridgeCommand } from "./bridgecommand.ts";
import { SysctlError } from "./sysctl.ts";
import { tcCommand } from "./tccommand.ts";
import { TextError } from "./text.ts";

/** Runs one command line; what is wrong with it throws `TextError`. Answers what the command prints. */
export function runCommand(ns: Namespace, line: string): string {
  const m = /^(\s*)(\S+)(\s*)(.*)$/s.exec(line);
  if (m === null) throw new TextError(1, 1, "an empty command");
  const [, lead, tool, space, rest] = m as unknown as [string, string, string, string, string];
  const run = tools[tool];
  if (run === undefined) {
    throw new TextError(
      1,
      lead.length + 1,
      `unknown command '${tool}', expected ip, bridge, sysctl, tc, iptables or nft`,
    );
  }
  return shifted(lead.length + tool.length + space.length, () => run(ns, rest.trimEnd()));
}

/** Errors of what stands behind the first `column` characters, at their place in the line. */
function shifted<T>(column: number, run: () => T): T {
  try {
    return run();
  } catch (e) {
    if (e instanceof TextError && e.line === 1) throw new TextError(1, e.column + column, e.message);
    throw e;
  }
}

function iptables(ns: Namespace, rest: string): string {
  ns.iptables.command(rest);
  return "";
}

const tools: Record<string, (ns: Namespace, rest: string) => string> = {
  ip,
  bridge: bridgeCommand,
  sysctl,
  iptables,
  "iptables-nft": iptables,
  "iptables-legacy": iptables,
  nft,
  tc: tcCommand,
};

function ip(ns: Namespace, rest: string): string {
  const m = /^(\S+)\s*/.exec(rest);
  const object = m?.[1] ?? "";
  if (object !== "" && "link".startsWith(object)) {
    return shifted(m![0].length, () => linkCommand(ns, rest.slice(m![0].length)));
  }
  if (object !== "" && "neighbour".startsWith(object)) {
    return shifted(m![0].length, () => ns.neighbours.command(rest.slice(m![0].length)));
  }
  ns.fib.command(rest);
  return "";
}

/** `nft list ruleset` and `nft flush ruleset`; single rules are not changed. */
function nft(ns: Namespace, rest: string): string {
  const words = rest.split(/\s+/).join(" ");
  if (words === "list ruleset") return ns.nft.print();
  if (words === "flush ruleset") {
    ns.nft.load("");
    return "";
  }
  throw new TextError(1, 1, `nft: '${rest}', expected 'list ruleset' or 'flush ruleset'`);
}

/** `sysctl -w KEY=VALUE...` */
function sysctl(ns: Namespace, rest: string): string {
  const words = rest.split(/\s+/).filter((w) => w !== "-w" && w !== "");
  if (words.length === 0) throw new TextError(1, 1, "sysctl: expected KEY=VALUE");
  // a value may hold spaces (tcp_rmem): what has no `=` belongs to the word before
  const settings: string[] = [];
  for (const w of words) {
    if (w.includes("=")) settings.push(w);
    else if (settings.length > 0) settings[settings.length - 1] += `\t${w}`;
    else throw new TextError(1, 1, `sysctl: '${w}', expected KEY=VALUE`);
  }
  for (const s of settings) {
    const eq = s.indexOf("=");
    try {
      ns.sysctl.set(s.slice(0, eq), s.slice(eq + 1));
    } catch (e) {
      if (e instanceof SysctlError) throw new TextError(1, rest.indexOf(s.slice(0, eq)) + 1, e.message);
      throw e;
    }
  }
  return "";
}
