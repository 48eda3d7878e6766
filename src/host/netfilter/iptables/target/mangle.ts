// src/host/netfilter/iptables/target/mangle.ts: edits of headers: TTL, TOS, DSCP, ECN, TCPMSS, TCPOPTSTRIP.

import type { Context } from "../../context.ts";
import { HEADERS, PathMtu } from "../../pathmtu.ts";
import { dscpClass, hex2, readTos } from "../match/header.ts";
import { type Fail, Outcome, type Place, type Target, hookBit } from "../rule.ts";
import type { TargetMaker } from "../targets.ts";
import type { Option } from "../words.ts";

function onlyMangle(place: Place, name: string, fail: Fail): void {
  if (place.table !== "mangle") fail(`target '${name}' is only valid in the mangle table`);
}

function onlyTcp(place: Place, name: string, fail: Fail): void {
  if (place.proto !== 6 || place.protoInverted) fail(`target '${name}' needs -p tcp`);
}

const ttl: TargetMaker = (place, fail) => {
  onlyMangle(place, "TTL", fail);
  let how = "";
  let value = 0;
  return {
    option(o) {
      if (!["--ttl-set", "--ttl-inc", "--ttl-dec"].includes(o.name)) return false;
      if (how !== "") o.fail("TTL: only one of --ttl-set, --ttl-inc and --ttl-dec is allowed");
      how = o.plain().name;
      value = o.number(how === "--ttl-set" ? 0 : 1, 255);
      return true;
    },
    finish(missing): Target {
      if (how === "") missing("target 'TTL' needs --ttl-set, --ttl-inc or --ttl-dec");
      const { x } = place.host.world;
      return {
        text: `TTL ${how} ${value}`,
        run(c) {
          const now =
            how === "--ttl-set"
              ? value
              : how === "--ttl-inc"
                ? Math.min(c.ttl + value, 255)
                : Math.max(c.ttl - value, 0);
          if (now !== c.ttl) {
            x.mangleTtl(c.frame, now);
            c.read();
          }
          return Outcome.Continue;
        },
      };
    },
  };
};

const tos: TargetMaker = (place, fail) => {
  onlyMangle(place, "TOS", fail);
  let set = null as { value: number; mask: number } | null;
  return {
    option(o) {
      let next: { value: number; mask: number };
      switch (o.name) {
        case "--set-tos":
          next = readTos(o.plain());
          break;
        case "--and-tos":
          next = { value: 0, mask: ~o.plain().number(0, 255) & 255 };
          break;
        case "--or-tos": {
          const v = o.plain().number(0, 255);
          next = { value: v, mask: v };
          break;
        }
        case "--xor-tos":
          next = { value: o.plain().number(0, 255), mask: 0 };
          break;
        default:
          return false;
      }
      if (set !== null) o.fail("TOS: only one action is allowed");
      set = next;
      return true;
    },
    finish(missing: Fail): Target {
      if (set === null) missing("target 'TOS' needs --set-tos, --and-tos, --or-tos or --xor-tos");
      const { value, mask } = set;
      return { text: `TOS --set-tos ${hex2(value)}/${hex2(mask)}`, run: setTos(place, value, mask) };
    },
  };
};

function setTos(place: Place, value: number, mask: number): (c: Context) => Outcome {
  const { x } = place.host.world;
  return (c) => {
    x.mangleTos(c.frame, value, mask);
    c.read();
    return Outcome.Continue;
  };
}

const dscp: TargetMaker = (place, fail) => {
  onlyMangle(place, "DSCP", fail);
  let value = -1;
  return {
    option(o) {
      if (o.name === "--set-dscp") value = o.plain().number(0, 63);
      else if (o.name === "--set-dscp-class") value = dscpClass(o.plain());
      else return false;
      return true;
    },
    finish(missing): Target {
      if (value < 0) missing("target 'DSCP' needs --set-dscp or --set-dscp-class");
      return { text: `DSCP --set-dscp ${hex2(value)}`, run: setTos(place, value << 2, 0xfc) };
    },
  };
};

const ecn: TargetMaker = (place, fail) => {
  onlyMangle(place, "ECN", fail);
  onlyTcp(place, "ECN", fail);
  let given = false;
  return {
    option(o) {
      if (o.name !== "--ecn-tcp-remove") return false;
      given = o.plain() !== null;
      return true;
    },
    finish(missing): Target {
      if (!given) missing("target 'ECN' needs --ecn-tcp-remove");
      const { x } = place.host.world;
      return {
        text: "ECN --ecn-tcp-remove",
        run: (c) => (x.mangleClearEcn(c.frame) ? Outcome.Continue : Outcome.Drop),
      };
    },
  };
};

const tcpmss: TargetMaker = (place, fail) => {
  onlyTcp(place, "TCPMSS", fail);
  let mss = -1;
  return {
    option(o) {
      if (o.name !== "--set-mss" && o.name !== "--clamp-mss-to-pmtu") return false;
      if (mss >= 0) o.fail("only one of --set-mss and --clamp-mss-to-pmtu is allowed");
      mss = o.name === "--set-mss" ? o.plain().number(0, 65535 - HEADERS) : o.plain() === null ? 0 : 65536;
      return true;
    },
    finish(missing): Target {
      if (mss < 0) missing("target 'TCPMSS' needs --set-mss or --clamp-mss-to-pmtu");
      const { host } = place;
      const { x } = host.world;
      const after = (c: Context, wanted: number): Outcome => {
        if (x.mangleMss(c.frame, wanted, true) < 0) return Outcome.Drop;
        c.read();
        return Outcome.Continue;
      };
      if (mss <= 65535) return { text: `TCPMSS --set-mss ${mss}`, run: (c) => after(c, mss) };
      const path = new PathMtu(host);
      return {
        text: "TCPMSS --clamp-mss-to-pmtu",
        hooks: hookBit.forward | hookBit.output | hookBit.postrouting,
        run(c) {
          const mtu = path.of(c);
          // the path's MTU is no use: as the kernel does
          if (mtu <= HEADERS) return Outcome.Drop;
          return after(c, Math.min(mtu - HEADERS, 65535));
        },
      };
    },
  };
};

const optionNames: Readonly<Record<string, number>> = {
  mss: 2,
  wscale: 3,
  "sack-permitted": 4,
  sack: 5,
  timestamp: 8,
  md5: 19,
};

const tcpoptstrip: TargetMaker = (place, fail) => {
  onlyMangle(place, "TCPOPTSTRIP", fail);
  onlyTcp(place, "TCPOPTSTRIP", fail);
  let kinds: number[] = [];
  return {
    option(o: Option) {
      if (o.name !== "--strip-options") return false;
      const all = o
        .plain()
        .value("options")
        .split(",")
        .map((w) => optionNames[w] ?? o.numberOf(w, 0, 255, "a TCP option"));
      kinds = [...new Set(all)].toSorted((a, b) => a - b);
      return true;
    },
    finish(missing): Target {
      if (kinds.length === 0) missing("target 'TCPOPTSTRIP' needs --strip-options");
      const { core, x } = place.host.world;
      const bitmap = x.alloc(32);
      if (bitmap === 0) missing("no memory in the core for a rule");
      for (const k of kinds) core.u32[(bitmap >> 2) + (k >> 5)]! |= 1 << (k & 31);
      return {
        text: `TCPOPTSTRIP --strip-options ${kinds.join(",")}`,
        run: (c) => (x.mangleStripOptions(c.frame, bitmap) < 0 ? Outcome.Drop : Outcome.Continue),
        close: () => x.release(bitmap, 32),
      };
    },
  };
};

export const mangleTargets: Readonly<Record<string, TargetMaker>> = {
  TTL: ttl,
  TOS: tos,
  DSCP: dscp,
  ECN: ecn,
  TCPMSS: tcpmss,
  TCPOPTSTRIP: tcpoptstrip,
};
