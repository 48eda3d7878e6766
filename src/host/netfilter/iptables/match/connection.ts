// src/host/netfilter/iptables/match/connection.ts: connmark, connlimit, connbytes, helper.

import { Ct, CtStatus, TcpState } from "../../../../../assembly/conntracklayout.ts";
import { Pkt } from "../../../../../assembly/layout.ts";
import { maskOf } from "../../../../core/address.ts";
import type { Context } from "../../context.ts";
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

/** The connections of one address, and the jiffy when they were looked through last. */
interface Connections {
  readonly all: Counted[];
  swept: number;
}

/** CONNCOUNT_GC_MAX_NODES */
const MOST_AT_ONCE = 64;

const same = (a: Counted, b: Counted): boolean =>
  a.src === b.src && a.dst === b.dst && a.ports === b.ports && a.kind === b.kind;

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
      const lists = new Map<number, Connections>();
      const entryOf = (k: Counted): number => (x.ctFind(t.table, k.src, k.dst, k.ports, k.kind, t.jiffies) >>> 0) & ~1;
      const closed = (entry: number): boolean => {
        if (core.u8[entry + Ct.Proto] !== 6) return false;
        const s = core.u8[entry + Ct.State];
        return s === TcpState.TimeWait || s === TcpState.Close;
      };
      /** Takes out what is not tracked any more or closed; stops where `me` is found (true), or after so many. */
      const sweep = (list: Connections, me: Counted | null): boolean => {
        let gone = 0;
        for (let i = 0; i < list.all.length && gone <= MOST_AT_ONCE;) {
          const k = list.all[i]!;
          const entry = entryOf(k);
          if (entry !== 0 && me !== null && same(k, me)) return true;
          if (entry !== 0 && !closed(entry)) i++;
          else {
            list.all.splice(i, 1);
            gone++;
          }
        }
        return false;
      };
      /** nf_conncount_count_skb; 0: the packet must go. */
      const count = (key: number, c: Context): number => {
        const ports = x.ctFlowPorts(c.frame);
        let entry = c.field(Pkt.Ct);
        if (entry === 0) {
          if (ports < 0) return 0;
          entry = entryOf({ src: c.src >>> 0, dst: c.dst >>> 0, ports, kind: c.proto });
        }
        const me: Counted =
          entry === 0
            ? { src: c.src >>> 0, dst: c.dst >>> 0, ports, kind: c.proto }
            : {
                src: core.u32[(entry + Ct.Src) >> 2]!,
                dst: core.u32[(entry + Ct.Dst) >> 2]!,
                ports: core.u32[(entry + Ct.Ports) >> 2]!,
                kind: core.u8[entry + Ct.Proto]! | (core.view.getUint16(entry + Ct.Zone, true) << 8),
              };
        const now = t.jiffies;
        const list = lists.get(key);
        if (list === undefined) {
          lists.set(key, { all: [me], swept: now });
          return 1;
        }
        if (entry !== 0 && (core.u32[(entry + Ct.Status) >> 2]! & CtStatus.Assured) !== 0) {
          // it was counted when it began: only who went is taken out
          if (list.swept !== now) sweep(list, null);
        } else {
          if (list.swept !== now && sweep(list, me)) return list.all.length;
          list.all.push(me);
        }
        list.swept = now;
        return list.all.length;
      };
      const text = `--connlimit-${above ? "above" : "upto"} ${limit} --connlimit-mask ${length}`;
      return {
        text: `-m connlimit ${text} --connlimit-${destination ? "daddr" : "saddr"}`,
        tracks: true,
        test(c) {
          const n = count(((destination ? c.dst : c.src) & mask) >>> 0, c);
          if (n === 0) c.hotdrop = true;
          return n !== 0 && n > limit === above;
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
