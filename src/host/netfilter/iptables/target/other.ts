// src/host/netfilter/iptables/target/other.ts: TEE, and targets that tell: LOG, NFLOG, TRACE, AUDIT; CHECKSUM.

import { Pkt, PktFlag } from "../../../../../assembly/layout.ts";
import { formatIpv4, parseIpv4 } from "../../../../core/address.ts";
import { Flow } from "../../../fib/flow.ts";
import type { Route } from "../../../fib/route.ts";
import { Hook } from "../../hooks.ts";
import { Outcome, type Place, type Target } from "../rule.ts";
import type { TargetMaker } from "../targets.ts";
import { type Option, saveString } from "../words.ts";

const tee: TargetMaker = (place) => {
  const { host } = place;
  let gateway = -1;
  let oif = "";
  return {
    option(o: Option) {
      if (o.name === "--gateway") {
        const word = o.plain().value("an address");
        const a = parseIpv4(word);
        if (a === null || a === 0) o.fail(`--gateway: '${word}' is no IPv4 address`);
        gateway = a;
      } else if (o.name === "--oif") oif = o.plain().value("an interface");
      else return false;
      return true;
    },
    finish(missing): Target {
      if (gateway < 0) missing("target 'TEE' needs --gateway");
      const { core, x } = host.world;
      const flow = new Flow();
      let known: Route | null = null;
      let by: Route | null = null;
      return {
        text: `TEE --gateway ${formatIpv4(gateway)}${oif === "" ? "" : ` --oif ${oif}`}`,
        run(c) {
          // a copy is not copied again (nf_skb_duplicated)
          if (place.shared.get("tee") === true) return Outcome.Continue;
          const copy = x.packetCopy(c.frame);
          if (copy === 0) return Outcome.Continue;
          const { u32 } = core;
          // the connection stays with the original
          host.conntrack.reset(copy);
          host.conntrack.notrack(copy);
          u32[(copy + Pkt.Flags) >> 2]! |= PktFlag.Copy;
          const net = u32[(copy + Pkt.Data) >> 2]!;
          u32[(copy + Pkt.Net) >> 2] = net;
          u32[(copy + Pkt.Mac) >> 2] = 0;
          x.manglePrepareCopy(copy, c.hook === Hook.Prerouting || c.hook === Hook.Input);
          flow.clear();
          flow.dst = gateway;
          flow.tos = c.tos;
          const dev = oif === "" ? undefined : host.byName.get(oif);
          flow.oif = dev?.ifindex ?? 0;
          const route = oif !== "" && dev === undefined ? null : host.fib.routeOutput(flow);
          if (route === null || route.dev === null) {
            x.packetFree(copy);
            return Outcome.Continue;
          }
          if (route !== known) {
            known = route;
            by = { ...route, gateway: route.gateway !== 0 ? route.gateway : gateway };
          }
          place.shared.set("tee", true);
          try {
            host.ipLocalOut(copy, by!);
          } finally {
            place.shared.set("tee", false);
          }
          return Outcome.Continue;
        },
      };
    },
  };
};

/** A target that only tells: a trace event when somebody listens. */
function telling(place: Place, text: string, what: string, tracks = false): Target {
  const { host } = place;
  return {
    text,
    tracks,
    run(c) {
      if (host.world.tracer !== null) host.trace("rule", c.output ?? c.input, c.frame, what);
      return Outcome.Continue;
    },
  };
}

const levels = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];
const levelAliases: Readonly<Record<string, number>> = { panic: 0, err: 3, warn: 4 };
const logFlags = ["--log-tcp-sequence", "--log-tcp-options", "--log-ip-options", "--log-uid", "--log-macdecode"];

const log: TargetMaker = (place) => {
  let prefix = "";
  let level = 4;
  const flags = new Set<string>();
  return {
    option(o) {
      if (o.name === "--log-prefix") {
        prefix = o.plain().value("a prefix");
        if (prefix.length > 29) o.fail("--log-prefix: 29 characters at most");
        if (prefix.includes("\n")) o.fail("--log-prefix: newlines are not allowed");
      } else if (o.name === "--log-level") {
        const word = o.plain().value("a level").toLowerCase();
        const named = levelAliases[word] ?? levels.findIndex((l) => l === word);
        level = named >= 0 ? named : o.numberOf(word, 0, 7, `a level, one of ${levels.join(", ")}`);
      } else if (logFlags.includes(o.name)) flags.add(o.plain().name);
      else return false;
      return true;
    },
    finish(): Target {
      let text = "LOG";
      if (prefix !== "") text += ` --log-prefix ${saveString(prefix)}`;
      if (level !== 4) text += ` --log-level ${level}`;
      for (const f of logFlags) if (flags.has(f)) text += ` ${f}`;
      return telling(place, text, `LOG ${prefix}`.trimEnd());
    },
  };
};

const nflog: TargetMaker = (place) => {
  let prefix = "";
  let group = 0;
  let range = 0;
  let size = 0;
  let threshold = 0;
  return {
    option(o) {
      switch (o.name) {
        case "--nflog-prefix":
          prefix = o.plain().value("a prefix");
          if (prefix.length > 63) o.fail("--nflog-prefix: 63 characters at most");
          return true;
        case "--nflog-group":
          group = o.plain().number(0, 65535);
          return true;
        case "--nflog-range":
          range = o.plain().number(0, 0xffffffff);
          return true;
        case "--nflog-size":
          size = o.plain().number(0, 0xffffffff);
          return true;
        case "--nflog-threshold":
          threshold = o.plain().number(1, 65535);
          return true;
        default:
          return false;
      }
    },
    finish(): Target {
      let text = "NFLOG";
      if (prefix !== "") text += ` --nflog-prefix ${saveString(prefix)}`;
      if (group !== 0) text += ` --nflog-group ${group}`;
      // the nft backend has no place to keep a range
      if (range !== 0 && size === 0 && place.backend === "legacy") text += ` --nflog-range ${range}`;
      if (size !== 0) text += ` --nflog-size ${size}`;
      if (threshold !== 0) text += ` --nflog-threshold ${threshold}`;
      return telling(place, text, `NFLOG group ${group} ${prefix}`.trimEnd());
    },
  };
};

const trace: TargetMaker = (place, fail) => {
  if (place.table !== "raw") fail("target 'TRACE' is only valid in the raw table");
  return { option: () => false, finish: () => telling(place, "TRACE", "TRACE") };
};

const audit: TargetMaker = (place) => {
  let type = "";
  return {
    option(o) {
      if (o.name !== "--type") return false;
      type = o.plain().value("accept, drop or reject").toLowerCase();
      if (!["accept", "drop", "reject"].includes(type)) o.fail(`--type: '${type}' is none of accept, drop, reject`);
      return true;
    },
    finish(missing): Target {
      if (type === "") missing("target 'AUDIT' needs --type");
      return telling(place, `AUDIT --type ${type}`, `AUDIT ${type}`);
    },
  };
};

/** Checksums are never left to a device here, so there is nothing to fill. */
const checksum: TargetMaker = (place, fail) => {
  if (place.table !== "mangle") fail("target 'CHECKSUM' is only valid in the mangle table");
  let given = false;
  return {
    option(o) {
      if (o.name !== "--checksum-fill") return false;
      given = o.plain() !== null;
      return true;
    },
    finish(missing): Target {
      if (!given) missing("target 'CHECKSUM' needs --checksum-fill");
      return { text: "CHECKSUM --checksum-fill", run: () => Outcome.Continue };
    },
  };
};

export const otherTargets: Readonly<Record<string, TargetMaker>> = {
  TEE: tee,
  LOG: log,
  NFLOG: nflog,
  TRACE: trace,
  AUDIT: audit,
  CHECKSUM: checksum,
};
