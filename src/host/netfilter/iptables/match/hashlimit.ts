// src/host/netfilter/iptables/match/hashlimit.ts: a limit for each source, destination or port (xt_hashlimit, revision 3).

import type { Context } from "../../context.ts";
import { maskOf } from "../../../../core/address.ts";
import type { MatchMaker } from "../matches.ts";
import type { Match } from "../rule.ts";
import type { Option } from "../words.ts";
import { HZ, NS_PER_JIFFY, rateUnit, readRate } from "./rate.ts";

const SCALE = 1_000_000;
const defaultGc = 1000;
const protocolsWithPorts = [6, 17, 33, 132, 136];

interface Entry {
  /** In jiffies, as fractions. */
  credit: number;
  previous: number;
  /** In jiffies; what is older is swept away. */
  expires: number;
}

/** Rules with one `--hashlimit-name` share the entries and the settings of the first. */
class Buckets {
  readonly entries = new Map<string, Entry>();

  constructor(
    readonly cost: number,
    readonly burst: number,
    private readonly expire: number,
    private readonly max: number,
    private readonly gc: number,
    private readonly made: number,
  ) {}

  /** When the sweep that comes every `gc` jiffies last came. */
  private swept(now: number): number {
    return this.gc === 0 ? now : now - ((now - this.made) % this.gc);
  }

  /** Null when the table is full of entries that still live. */
  entry(key: string, now: number): Entry | null {
    let e = this.entries.get(key);
    const swept = this.swept(now);
    if (e !== undefined && e.expires > swept) {
      e.credit = Math.min(e.credit + (now - e.previous), this.cost * this.burst);
      e.previous = now;
      e.expires = now + this.expire;
      return e;
    }
    if (this.max !== 0 && this.entries.size >= this.max) {
      for (const [k, old] of this.entries) if (old.expires <= swept) this.entries.delete(k);
      if (this.entries.size >= this.max) return null;
    }
    e = { credit: this.cost * this.burst, previous: now, expires: now + this.expire };
    this.entries.set(key, e);
    return e;
  }
}

const modes = ["srcip", "srcport", "dstip", "dstport"];
/** In the order that iptables prints them. */
const printed = ["srcip", "srcport", "dstip", "dstport"];

const hashlimit: MatchMaker = (place) => {
  let average = 0;
  let above = false;
  let burst = 5;
  let name = "";
  const mode = new Set<string>();
  let srcMask = 32;
  let dstMask = 32;
  let size = 0;
  let max = 0;
  let gc = defaultGc;
  let expire = -1;
  return {
    option(o: Option) {
      switch (o.name) {
        case "--hashlimit":
        case "--hashlimit-upto":
        case "--hashlimit-above":
          if (average !== 0) o.fail("only one of --hashlimit-upto and --hashlimit-above is allowed");
          above = (o.name === "--hashlimit-above") !== o.invert;
          average = readRate(o, SCALE);
          return true;
        case "--hashlimit-burst":
          burst = o.plain().number(1, 1_000_000);
          return true;
        case "--hashlimit-name":
          name = o.plain().value("a name");
          if (!/^[^/]{1,255}$/.test(name)) o.fail(`--hashlimit-name: '${name}' is no name`);
          return true;
        case "--hashlimit-mode":
          for (const m of o.plain().value("a mode").split(",")) {
            if (!modes.includes(m)) o.fail(`--hashlimit-mode: '${m}' is none of ${modes.join(", ")}`);
            mode.add(m);
          }
          return true;
        case "--hashlimit-srcmask":
          srcMask = o.plain().number(0, 32);
          return true;
        case "--hashlimit-dstmask":
          dstMask = o.plain().number(0, 32);
          return true;
        case "--hashlimit-htable-size":
          size = o.plain().number(0, 0xffffffff);
          return true;
        case "--hashlimit-htable-max":
          max = o.plain().number(0, 0xffffffff);
          return true;
        case "--hashlimit-htable-gcinterval":
          gc = o.plain().number(0, 0xffffffff);
          return true;
        case "--hashlimit-htable-expire":
          expire = o.plain().number(0, 0xffffffff);
          return true;
        default:
          return false;
      }
    },
    finish(missing): Match {
      if (average === 0) missing("match 'hashlimit' needs --hashlimit-upto or --hashlimit-above");
      if (name === "") missing("match 'hashlimit' needs --hashlimit-name");
      const unit = rateUnit(average, SCALE);
      const usual = unit.seconds * 1000;
      if (expire < 0) expire = usual;
      let text = `-m hashlimit --hashlimit-${above ? "above" : "upto"} ${unit.count}/${unit.name} --hashlimit-burst ${burst}`;
      if (mode.size > 0) text += ` --hashlimit-mode ${printed.filter((m) => mode.has(m)).join(",")}`;
      text += ` --hashlimit-name ${name}`;
      if (size !== 0) text += ` --hashlimit-htable-size ${size}`;
      if (max !== 0) text += ` --hashlimit-htable-max ${max}`;
      if (gc !== defaultGc) text += ` --hashlimit-htable-gcinterval ${gc}`;
      if (expire !== usual) text += ` --hashlimit-htable-expire ${expire}`;
      if (srcMask !== 32) text += ` --hashlimit-srcmask ${srcMask}`;
      if (dstMask !== 32) text += ` --hashlimit-dstmask ${dstMask}`;
      const { clock } = place.host.world;
      const shared = `hashlimit ${name}`;
      const buckets = (): Buckets => {
        let b = place.shared.get(shared) as Buckets | undefined;
        if (b === undefined) {
          const now = Math.floor(clock.now / NS_PER_JIFFY);
          b = new Buckets((average * HZ) / SCALE, burst, (expire * HZ) / 1000, max, (gc * HZ) / 1000, now);
          place.shared.set(shared, b);
        }
        return b;
      };
      const bits = { src: mode.has("srcip") ? maskOf(srcMask) : 0, dst: mode.has("dstip") ? maskOf(dstMask) : 0 };
      const ports = mode.has("srcport") || mode.has("dstport");
      const keyOf = (c: Context): string => {
        const sport = mode.has("srcport") ? c.sport : 0;
        const dport = mode.has("dstport") ? c.dport : 0;
        return `${(c.src & bits.src) >>> 0} ${(c.dst & bits.dst) >>> 0} ${sport} ${dport}`;
      };
      return {
        text,
        test(c) {
          const hasPorts = ports && protocolsWithPorts.includes(c.proto);
          if (hasPorts && c.l4Len < 4) {
            c.hotdrop = true;
            return false;
          }
          const b = buckets();
          const now = Math.floor(clock.now / NS_PER_JIFFY);
          const e = b.entry(
            ports && !hasPorts ? `${(c.src & bits.src) >>> 0} ${(c.dst & bits.dst) >>> 0} 0 0` : keyOf(c),
            now,
          );
          if (e === null) {
            c.hotdrop = true;
            return false;
          }
          if (e.credit < b.cost) return above;
          e.credit -= b.cost;
          return !above;
        },
      };
    },
  };
};

export const hashlimitMatches: Readonly<Record<string, MatchMaker>> = { hashlimit };
