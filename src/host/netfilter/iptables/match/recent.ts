// src/host/netfilter/iptables/match/recent.ts: lists of addresses that were seen lately (xt_recent).

import { Pkt, PktFlag } from "../../../../../assembly/layout.ts";
import { formatIpv4, parseIpv4 } from "../../../../core/address.ts";
import type { MatchMaker } from "../matches.ts";
import type { Match } from "../rule.ts";
import type { Option } from "../words.ts";
import { HZ, NS_PER_JIFFY } from "./rate.ts";

/** Addresses a list remembers (ip_list_tot), and packets an address when no rule asks for more (ip_pkt_list_tot). */
const mostAddresses = 100;
const packetsKept = 20;

interface Entry {
  ttl: number;
  /** Jiffies; a ring of at most `mask + 1`. */
  readonly stamps: number[];
  index: number;
}

class RecentList {
  /** The one untouched longest comes first. */
  readonly entries = new Map<number, Entry>();
  mask = 0;

  add(address: number, ttl: number, now: number): void {
    if (this.entries.size >= mostAddresses) {
      for (const oldest of this.entries.keys()) {
        this.entries.delete(oldest);
        break;
      }
    }
    this.entries.set(address, { ttl, stamps: [now], index: 1 });
  }

  touch(address: number, e: Entry, now: number): void {
    e.index &= this.mask;
    e.stamps[e.index++] = now;
    this.entries.delete(address);
    this.entries.set(address, e);
  }
}

/** The next power of two, minus one. */
function ringMask(n: number): number {
  let p = 1;
  while (p < n) p *= 2;
  return p - 1;
}

const recent: MatchMaker = (place) => {
  let what = "";
  let inverted = false;
  let seconds = 0;
  let hits = 0;
  let reap = false;
  let sameTtl = false;
  let name = "DEFAULT";
  let mask = 0xffffffff;
  let destination = false;
  return {
    option(o: Option) {
      switch (o.name) {
        case "--set":
        case "--rcheck":
        case "--update":
        case "--remove":
          if (what !== "") o.fail("only one of --set, --rcheck, --update and --remove is allowed");
          what = o.name;
          inverted = o.invert;
          return true;
        case "--seconds":
          seconds = o.plain().number(1, 0xffffffff);
          return true;
        case "--hitcount":
          hits = o.plain().number(1, 65535);
          return true;
        case "--reap":
          reap = o.plain() !== null;
          return true;
        case "--rttl":
          sameTtl = o.plain() !== null;
          return true;
        case "--name":
          name = o.plain().value("a name");
          if (!/^[^/]{1,199}$/.test(name)) o.fail(`--name: '${name}' is no name of a list`);
          return true;
        case "--mask": {
          const word = o.plain().value("a mask");
          const m = parseIpv4(word);
          if (m === null) o.fail(`--mask: '${word}' is no IPv4 mask`);
          mask = m;
          return true;
        }
        case "--rsource":
          destination = o.plain() === null;
          return true;
        case "--rdest":
          destination = o.plain() !== null;
          return true;
        default:
          return false;
      }
    },
    finish(missing): Match {
      if (what === "") missing("match 'recent' needs --set, --rcheck, --update or --remove");
      const looks = what === "--rcheck" || what === "--update";
      if (!looks && (hits !== 0 || seconds !== 0)) missing(`recent ${what} takes no --seconds and no --hitcount`);
      if (reap && seconds === 0) missing("recent --reap needs --seconds");
      let text = `-m recent${inverted ? " !" : ""} ${what}`;
      if (seconds !== 0) text += ` --seconds ${seconds}`;
      if (reap) text += " --reap";
      if (hits !== 0) text += ` --hitcount ${hits}`;
      if (sameTtl) text += " --rttl";
      text += ` --name ${name} --mask ${formatIpv4(mask)} ${destination ? "--rdest" : "--rsource"}`;
      const key = `recent ${name}`;
      const list = (place.shared.get(key) as RecentList | undefined) ?? new RecentList();
      place.shared.set(key, list);
      const wanted = ringMask(hits !== 0 ? hits : packetsKept);
      if (wanted > list.mask) {
        list.entries.clear();
        list.mask = wanted;
      }
      const { clock } = place.host.world;
      return {
        text,
        test(c) {
          const now = Math.floor(clock.now / NS_PER_JIFFY);
          const address = ((destination ? c.dst : c.src) & mask) >>> 0;
          // the TTL as it was before forwarding took one off
          const local = (c.field(Pkt.Flags) & PktFlag.Local) !== 0;
          const ttl = (c.ttl + (c.output !== null && !local ? 1 : 0)) & 255;
          let e = list.entries.get(address);
          if (e !== undefined && sameTtl && ttl !== 0 && e.ttl !== 0 && e.ttl !== ttl) e = undefined;
          if (e === undefined) {
            if (what !== "--set") return inverted;
            list.add(address, ttl, now);
            return !inverted;
          }
          if (what === "--remove") {
            list.entries.delete(address);
            return !inverted;
          }
          let hit = what === "--set";
          if (looks) {
            const since = now - seconds * HZ;
            let seen = 0;
            for (let i = 0; i < e.stamps.length && !hit; i++) {
              if (seconds !== 0 && since > e.stamps[i]!) continue;
              hit = hits === 0 || ++seen >= hits;
            }
            if (reap) {
              for (const [a, oldest] of list.entries) {
                if (oldest === e && what === "--update" && hit !== inverted) break;
                if (since > oldest.stamps[oldest.index - 1]!) list.entries.delete(a);
                break;
              }
            }
          }
          const answer = hit !== inverted;
          if (what === "--set" || (what === "--update" && answer)) {
            list.touch(address, e, now);
            e.ttl = ttl;
          }
          return answer;
        },
      };
    },
  };
};

export const recentMatches: Readonly<Record<string, MatchMaker>> = { recent };
