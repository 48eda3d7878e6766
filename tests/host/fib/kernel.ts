// tests/host/fib/kernel.ts: replays what was done to a kernel's routing, and says where the answers differ.

import { formatIpv4 } from "../../../src/core/address.ts";
import type { Core } from "../../../src/core/core.ts";
import { type Route, RouteType, errno, routeFlag } from "../../../src/host/fib/route.ts";
import { TextError } from "../../../src/host/text.ts";
import { type Arrival, Network } from "./network.ts";

/** What was done, and what the kernel said. */
export type Step =
  | { readonly run: string; readonly error: string }
  | { readonly link: string; readonly up: boolean }
  | { readonly sysctl: string; readonly value: number }
  | { readonly get: string; readonly out: string; readonly error: string }
  | { readonly show: { routes: string[]; rules: string[]; addresses: Record<string, string[]> } };

export interface Scenario {
  readonly seed: number;
  readonly ifindex: Record<string, number>;
  readonly steps: Step[];
}

const errors: Record<number, string> = {
  [errno.ENETUNREACH]: "Network is unreachable",
  [errno.EHOSTUNREACH]: "No route to host",
  [errno.EACCES]: "Permission denied",
  [errno.EINVAL]: "Invalid argument",
  [errno.ENETDOWN]: "Network is down",
  [errno.ENODEV]: "No such device",
};

const protocols: Record<string, number> = { tcp: 6, udp: 17 };

interface Question {
  dst: string;
  from: string;
  iif: string;
  oif: string;
  tos: number;
  mark: number;
  proto: number;
  sport: number;
  dport: number;
}

function parseGet(text: string): Question {
  const w = text.split(" ");
  const q: Question = { dst: w[0]!, from: "", iif: "", oif: "", tos: 0, mark: 0, proto: 0, sport: 0, dport: 0 };
  for (let i = 1; i < w.length; i += 2) {
    const v = w[i + 1]!;
    if (w[i] === "from") q.from = v;
    else if (w[i] === "iif") q.iif = v;
    else if (w[i] === "oif") q.oif = v;
    else if (w[i] === "tos") q.tos = Number(v);
    else if (w[i] === "mark") q.mark = Number(v);
    else if (w[i] === "ipproto") q.proto = protocols[v]!;
    else if (w[i] === "sport") q.sport = Number(v);
    else if (w[i] === "dport") q.dport = Number(v);
  }
  return q;
}

/** The words of `ip route get` that a Route decides. */
function words(route: Route, dst: string, src: string, dev: string): string {
  const type = ["", "", "local ", "broadcast ", "", "multicast "][route.type] ?? "";
  const via = route.gateway === 0 ? "" : ` via ${formatIpv4(route.gateway)}`;
  const cache = (
    [
      [routeFlag.local, "local"],
      [routeFlag.broadcast, "brd"],
      [routeFlag.multicast, "mc"],
    ] as const
  ).flatMap(([bit, word]) => ((route.flags & bit) !== 0 ? [word] : []));
  return `${type}${dst}${via} dev ${dev}${src} <${cache.join(",")}>`;
}

function kernelWords(out: string, input: boolean): string {
  const m = /^((?:local |broadcast |multicast |unicast )?)(\S+)(?: from (\S+))?(.*?) dev (\S+)(.*)$/.exec(out);
  if (m === null) return out;
  const via = /via (\S+)/.exec(m[4]!);
  const src = /src (\S+)/.exec(m[6]!);
  const cache = /cache <([^>]*)>/.exec(m[6]!);
  const flags = (cache?.[1] ?? "").split(",").filter((f) => ["local", "brd", "mc"].includes(f));
  const source = input ? "" : m[3] !== undefined ? ` src ${m[3]}` : src === null ? "" : ` src ${src[1]}`;
  // a directed broadcast that is passed on is forwarded: a unicast Route here
  const type = m[1] === "broadcast " && flags.length === 0 ? "" : m[1];
  return `${type}${m[2]}${via === null ? "" : ` via ${via[1]}`} dev ${m[5]}${source} <${flags.join(",")}>`;
}

/** Differences, one line each; empty when there is none. */
export function replay(core: Core, s: Scenario): string[] {
  const n = new Network(core);
  for (const [name, ifindex] of Object.entries(s.ifindex)) n.device(name, ifindex);
  const out: string[] = [];
  s.steps.forEach((step, i) => {
    const differ = (what: string, kernel: string, here: string) => {
      if (kernel !== here) out.push(`seed ${s.seed} step ${i}: ${what}\n    kernel: ${kernel}\n    here:   ${here}`);
    };
    if ("run" in step) differ(step.run, step.error, run(n, step.run));
    else if ("link" in step) {
      if (n.dev(step.link).up !== step.up) n.up(step.link, step.up);
    } else if ("sysctl" in step) n.sysctl.set(step.sysctl, step.value);
    else if ("get" in step) get(n, step, differ);
    else {
      differ("routes", step.show.routes.join("\n"), n.fib.listRoutes().join("\n"));
      differ("rules", step.show.rules.join("\n"), n.fib.listRules().join("\n"));
      for (const [dev, list] of Object.entries(step.show.addresses)) {
        const mine = n.fib.addresses(n.dev(dev));
        const text = mine.map((a) => `${formatIpv4(a.local)}/${a.length}${a.secondary ? " secondary" : ""}`);
        differ(`addresses of ${dev}`, list.join(" "), text.join(" "));
      }
    }
  });
  return out;
}

function run(n: Network, words: string): string {
  try {
    n.fib.command(words);
    return "";
  } catch (e) {
    if (e instanceof TextError) return e.message;
    throw e;
  }
}

function get(
  n: Network,
  step: { get: string; out: string; error: string },
  differ: (...w: [string, string, string]) => void,
): void {
  const q = parseGet(step.get);
  let here: string;
  if (q.iif !== "") {
    const a: Arrival = { ...q, src: q.from };
    const route = n.input({ ...a, proto: q.proto === 0 ? 17 : q.proto });
    if (route === null) here = errors[n.fib.error] ?? String(n.fib.error);
    else if (route.error !== 0) here = errors[route.error]!;
    else here = words(route, q.dst, "", route.dev!.name);
  } else {
    const { route, flow } = n.output({
      ...q,
      src: q.from === "" ? undefined : q.from,
      oif: q.oif === "" ? undefined : q.oif,
    });
    if (route === null) here = errors[n.fib.error] ?? String(n.fib.error);
    else {
      const src = flow.src === 0 ? "" : ` src ${formatIpv4(flow.src)}`;
      here = words(route, q.dst, src, route.dev!.name);
    }
  }
  const kernel =
    step.error !== "" ? step.error.replace("RTNETLINK answers: ", "") : kernelWords(step.out, q.iif !== "");
  // which way of several a hash picks is nobody's business
  const ways = n.fib.result.info?.nexthops.length ?? 0;
  if (ways > 1 && step.error === "" && n.fib.result.type === RouteType.Unicast) return;
  differ(`get ${step.get}`, kernel, here);
}
