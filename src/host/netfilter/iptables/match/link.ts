// src/host/netfilter/iptables/match/link.ts: how a packet came over the link: mac, pkttype, physdev, rpfilter.

import { Pkt, PktType } from "../../../../../assembly/layout.ts";
import { formatMac, parseMac } from "../../../../core/address.ts";
import { Flow } from "../../../fib/flow.ts";
import { Result } from "../../../fib/tables.ts";
import { RouteType } from "../../../fib/route.ts";
import type { MatchMaker } from "../matches.ts";
import { type Match, hookBit } from "../rule.ts";
import type { Option } from "../words.ts";

const HEADER = 14;
const SOURCE = 6;
const RT_SCOPE_UNIVERSE = 0;

const mac: MatchMaker = (place) => {
  let want = null as Uint8Array | null;
  let inverted = false;
  return {
    option(o: Option) {
      if (o.name !== "--mac-source") return false;
      const word = o.value("a MAC address");
      want = parseMac(word);
      if (want === null) o.fail(`--mac-source: '${word}' is no MAC address`);
      inverted = o.invert;
      return true;
    },
    finish(fail: (m: string) => never): Match {
      if (want === null) fail("match 'mac' needs --mac-source");
      const bytes = want;
      const { u8 } = place.host.world.core;
      return {
        text: `-m mac${inverted ? " !" : ""} --mac-source ${formatMac(bytes)}`,
        hooks: hookBit.prerouting | hookBit.input | hookBit.forward,
        test(c) {
          const at = c.field(Pkt.Mac);
          if (at === 0 || c.input === null || c.input.kind === "loopback" || at + HEADER > c.net) return false;
          let same = true;
          for (let i = 0; i < 6 && same; i++) same = u8[at + SOURCE + i] === bytes[i];
          return same !== inverted;
        },
      };
    },
  };
};

const pktTypes: Readonly<Record<string, PktType>> = {
  unicast: PktType.Host,
  broadcast: PktType.Broadcast,
  multicast: PktType.Multicast,
};

/** Other names that the tool takes. */
const pktTypeNames: Readonly<Record<string, string>> = { host: "unicast", bcast: "broadcast", mcast: "multicast" };

const pkttype: MatchMaker = () => {
  let type = "";
  let inverted = false;
  return {
    option(o) {
      if (o.name !== "--pkt-type") return false;
      const word = o.value("unicast, broadcast or multicast");
      type = Object.hasOwn(pktTypeNames, word) ? pktTypeNames[word]! : word;
      if (!Object.hasOwn(pktTypes, type)) o.fail(`--pkt-type: '${type}' is none of unicast, broadcast, multicast`);
      inverted = o.invert;
      return true;
    },
    finish(fail): Match {
      if (type === "") fail("match 'pkttype' needs --pkt-type");
      const want = pktTypes[type]!;
      return {
        text: `-m pkttype${inverted ? " !" : ""} --pkt-type ${type}`,
        test(c) {
          let is = c.field(Pkt.Type) as PktType;
          if (is === PktType.Loopback) is = c.dst >>> 28 === 14 ? PktType.Multicast : PktType.Broadcast;
          return (is === want) !== inverted;
        },
      };
    },
  };
};

/** 0 not asked, 1 asked, 2 asked with `!`. */
type Asked = 0 | 1 | 2;

const physdev: MatchMaker = (place) => {
  const asked: Record<string, Asked> = { "is-in": 0, in: 0, "is-out": 0, out: 0, "is-bridged": 0 };
  const names: Record<string, string> = { in: "", out: "" };
  return {
    option(o) {
      const name = o.name.startsWith("--physdev-") ? o.name.slice("--physdev-".length) : "";
      if (!Object.hasOwn(asked, name)) return false;
      if (asked[name] !== 0) o.fail(`${o.name} may be given once`);
      asked[name] = o.invert ? 2 : 1;
      if (Object.hasOwn(names, name)) names[name] = o.value("a bridge port");
      return true;
    },
    finish(fail): Match {
      if (Object.values(asked).every((a) => a === 0)) fail("match 'physdev' needs at least one option");
      let text = "-m physdev";
      for (const [name, a] of Object.entries(asked)) {
        if (a !== 0)
          text += `${a === 2 ? " !" : ""} --physdev-${name}${Object.hasOwn(names, name) ? ` ${names[name]}` : ""}`;
      }
      const same = (pattern: string, name: string): boolean =>
        pattern.endsWith("+") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
      const isIn = asked["is-in"]!;
      const isOut = asked["is-out"]!;
      const bridged = asked["is-bridged"]!;
      const inn = asked["in"]!;
      const out = asked["out"]!;
      const { byIndex } = place.host;
      return {
        text,
        test(c) {
          const physIn = c.field(Pkt.PhysIn);
          const physOut = c.field(Pkt.PhysOut);
          // never met a bridge: everything asked must be asked with `!`
          if (physIn === 0 && physOut === 0)
            return bridged !== 1 && isIn !== 1 && isOut !== 1 && inn !== 1 && out !== 1;
          if (bridged !== 0 && (physOut !== 0) !== (bridged === 1)) return false;
          if (isIn !== 0 && (physIn !== 0) !== (isIn === 1)) return false;
          if (isOut !== 0 && (physOut !== 0) !== (isOut === 1)) return false;
          if (inn !== 0 && physIn !== 0 && same(names["in"]!, byIndex[physIn]?.name ?? "") !== (inn === 1))
            return false;
          if (out === 0 || physOut === 0) return true;
          return same(names["out"]!, byIndex[physOut]?.name ?? "") === (out === 1);
        },
      };
    },
  };
};

const rpfilter: MatchMaker = (place) => {
  const flags = { loose: false, validmark: false, "accept-local": false, invert: false };
  return {
    option(o) {
      const name = o.name.slice(2);
      if (!o.name.startsWith("--") || !Object.hasOwn(flags, name)) return false;
      flags[name as keyof typeof flags] = o.plain() !== null;
      return true;
    },
    finish(fail): Match {
      if (place.table !== "raw" && place.table !== "mangle")
        fail("match 'rpfilter' is only valid in the raw and mangle tables");
      const text = `-m rpfilter${Object.entries(flags)
        .map(([n, on]) => (on ? ` --${n}` : ""))
        .join("")}`;
      const flow = new Flow();
      const result = new Result();
      const { fib } = place.host;
      return {
        text,
        hooks: hookBit.prerouting,
        test(c) {
          const dev = c.input;
          // loopback, and packets without a source yet that go to everybody
          if (dev === null || dev.kind === "loopback") return !flags.invert;
          const dst = c.dst >>> 0;
          const toMany = dst >>> 28 === 14 || dst === 0xffffffff;
          if (toMany && c.src === 0) return !flags.invert;
          flow.clear();
          flow.dst = c.src >>> 0;
          flow.src = toMany || dst === 0 ? 0 : dst;
          flow.tos = c.tos;
          flow.mark = flags.validmark ? c.field(Pkt.Mark) : 0;
          flow.scope = RT_SCOPE_UNIVERSE;
          if (fib.tables.lookup(flow, result) !== 0) return flags.invert;
          const local = result.type === RouteType.Local && flags["accept-local"];
          if (result.type !== RouteType.Unicast && !local) return flags.invert;
          const sameWay = flags.loose || result.info!.nexthops.some((n) => n.dev === dev);
          return sameWay !== flags.invert;
        },
      };
    },
  };
};

export const linkMatches: Readonly<Record<string, MatchMaker>> = { mac, pkttype, physdev, rpfilter };
