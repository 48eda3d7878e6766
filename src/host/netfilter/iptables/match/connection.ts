// src/host/netfilter/iptables/match/connection.ts: connmark, connlimit, connbytes, helper.

import { Ct, TcpState } from "../../../../../assembly/conntracklayout.ts";
import { Pkt } from "../../../../../assembly/layout.ts";
import { maskOf } from "../../../../core/address.ts";
import type { MatchMaker } from "../matches.ts";
import type { Match } from "../rule.ts";
import type { Option } from "../words.ts";
import { formatMark } from "./device.ts";

const connmark: MatchMaker = (place) => {
  const t = place.host.conntrack;
  let value = 0;
  let mask = 0;
  let inverted = false;
  let given = false;
  return {
    option(o) {
      if (o.name !== "--mark" || given) return false;
      given = true;
      ({ value, mask } = o.masked());
      inverted = o.invert;
      return true;
    },
    finish(fail): Match {
      if (!given) fail("match 'connmark' needs --mark");
      return {
        text: `-m connmark${inverted ? " !" : ""} --mark ${formatMark(value, mask)}`,
        tracks: true,
        test: (c) => c.field(Pkt.Ct) !== 0 && (((t.mark(c.frame) & mask) | 0) === (value | 0)) !== inverted,
      };
    },
  };
};

interface Counted {
  readonly src: number;
  readonly dst: number;
  readonly ports: number;
  readonly kind: number;
}

const connlimit: MatchMaker = (place) => {
  const t = place.host.conntrack;
  let limit = -1;
  let above = true;
  let length = 32;
  let destination = false;
  return {
    option(o: Option) {
      switch (o.name) {
        case "--connlimit-above":
        case "--connlimit-upto":
          if (limit >= 0) o.fail("only one of --connlimit-above and --connlimit-upto is allowed");
          limit = o.number(0, 0xffffffff);
          above = (o.name === "--connlimit-above") !== o.invert;
          return true;
        case "--connlimit-mask":
          length = o.plain().number(0, 32);
          return true;
        case "--connlimit-saddr":
          destination = o.plain() === null;
          return true;
        case "--connlimit-daddr":
          destination = o.plain() !== null;
          return true;
        default:
          return false;
      }
    },
    finish(fail): Match {
      if (limit < 0) fail("match 'connlimit' needs --connlimit-above or --connlimit-upto");
      const { core, x } = place.host.world;
      const mask = maskOf(length);
      const lists = new Map<number, Counted[]>();
      const closed = (entry: number): boolean => {
        if (core.u8[entry + Ct.Proto] !== 6) return false;
        const s = core.u8[entry + Ct.State];
        return s === TcpState.TimeWait || s === TcpState.Close;
      };
      /** nf_conncount_add: connections of the address that are still tracked and open, this one with them. */
      const count = (key: number, me: Counted): number => {
        const list = lists.get(key) ?? [];
        let present = false;
        const alive = list.filter((k) => {
          const same = k.src === me.src && k.dst === me.dst && k.ports === me.ports && k.kind === me.kind;
          const link = x.ctFind(t.table, k.src, k.dst, k.ports, k.kind, t.jiffies) >>> 0;
          // this very connection may not be confirmed yet
          if (link === 0) {
            present ||= same;
            return same;
          }
          if (same) present = true;
          return same || !closed(link & ~1);
        });
        if (!present) alive.push(me);
        lists.set(key, alive);
        return alive.length;
      };
      const text = `--connlimit-${above ? "above" : "upto"} ${limit} --connlimit-mask ${length}`;
      return {
        text: `-m connlimit ${text} --connlimit-${destination ? "daddr" : "saddr"}`,
        tracks: true,
        test(c) {
          const entry = c.field(Pkt.Ct);
          if (entry === 0) {
            c.hotdrop = true;
            return false;
          }
          const me: Counted = {
            src: core.u32[(entry + Ct.Src) >> 2]!,
            dst: core.u32[(entry + Ct.Dst) >> 2]!,
            ports: core.u32[(entry + Ct.Ports) >> 2]!,
            kind: core.u8[entry + Ct.Proto]! | (t.zone(c.frame) << 8),
          };
          return count(((destination ? c.dst : c.src) & mask) >>> 0, me) > limit === above;
        },
      };
    },
  };
};

const connbytes: MatchMaker = (place) => {
  const t = place.host.conntrack;
  let min = -1;
  let max = 0;
  let inverted = false;
  let mode = "";
  let dir = "";
  return {
    option(o: Option) {
      switch (o.name) {
        case "--connbytes": {
          const [a, b] = o.value("from[:to]").split(":");
          const top = Number.MAX_SAFE_INTEGER;
          min = a === "" ? 0 : o.numberOf(a!, 0, top);
          max = b === undefined || b === "" ? top : o.numberOf(b, 0, top);
          if (min > max) o.fail("--connbytes: the range ends below its beginning");
          inverted = o.invert;
          return true;
        }
        case "--connbytes-mode":
          mode = o.plain().value("packets, bytes or avgpkt");
          if (!["packets", "bytes", "avgpkt"].includes(mode))
            o.fail(`--connbytes-mode: '${mode}' is none of packets, bytes, avgpkt`);
          return true;
        case "--connbytes-dir":
          dir = o.plain().value("original, reply or both");
          if (!["original", "reply", "both"].includes(dir))
            o.fail(`--connbytes-dir: '${dir}' is none of original, reply, both`);
          return true;
        default:
          return false;
      }
    },
    finish(fail): Match {
      if (min < 0 || mode === "" || dir === "")
        fail("match 'connbytes' needs --connbytes, --connbytes-mode and --connbytes-dir");
      t.account();
      const sum = (frame: number, what: 0 | 1): number =>
        (dir === "reply" ? 0 : t.counter(frame, 0, what)) + (dir === "original" ? 0 : t.counter(frame, 1, what));
      const range = max === Number.MAX_SAFE_INTEGER ? String(min) : `${min}:${max}`;
      return {
        text: `-m connbytes${inverted ? " !" : ""} --connbytes ${range} --connbytes-mode ${mode} --connbytes-dir ${dir}`,
        tracks: true,
        test(c) {
          if (!t.counted(c.frame)) return false;
          const packets = mode === "bytes" ? 0 : sum(c.frame, 0);
          const bytes = mode === "packets" ? 0 : sum(c.frame, 1);
          const v =
            mode === "packets" ? packets : mode === "bytes" ? bytes : packets === 0 ? 0 : Math.floor(bytes / packets);
          return (v >= min && v <= max) !== inverted;
        },
      };
    },
  };
};

/** No helper is ever attached to a connection here, so none is that of a master. */
const helper: MatchMaker = () => {
  let name = "";
  let inverted = false;
  return {
    option(o) {
      if (o.name !== "--helper") return false;
      name = o.value("the name of a helper");
      inverted = o.invert;
      return true;
    },
    finish(fail): Match {
      if (name === "") fail("match 'helper' needs --helper");
      return { text: `-m helper${inverted ? " !" : ""} --helper ${name}`, tracks: true, test: () => inverted };
    },
  };
};

export const connectionMatches: Readonly<Record<string, MatchMaker>> = { connmark, connlimit, connbytes, helper };
