// src/host/netfilter/iptables/match/rate.ts: how often: limit, statistic, quota (xt_limit, xt_statistic, xt_quota).

import type { MatchMaker } from "../matches.ts";
import type { Match } from "../rule.ts";
import type { Option } from "../words.ts";

export const HZ = 250;
export const NS_PER_JIFFY = 1_000_000_000 / HZ;

const units: readonly (readonly [name: string, seconds: number])[] = [
  ["day", 86400],
  ["hour", 3600],
  ["min", 60],
  ["sec", 1],
];
const longUnits = ["second", "minute", "hour", "day"];
const unitSeconds: Readonly<Record<string, number>> = { second: 1, minute: 60, hour: 3600, day: 86400 };

/** `10/minute`, `3/h`, `7` (a second): the average as time a packet, in 1/scale seconds. */
export function readRate(o: Option, scale: number): number {
  const text = o.value("a rate such as 10/minute");
  const m = /^(\d+)(?:\/([a-z]+))?$/i.exec(text);
  const unit = m === null ? undefined : longUnits.find((u) => u.startsWith((m[2] ?? "second").toLowerCase()));
  const r = m === null ? 0 : Number(m[1]);
  if (m === null || unit === undefined || r === 0)
    o.fail(`${o.name}: '${text}' is no rate, expected such as 10/minute`);
  const v = Math.floor((scale * unitSeconds[unit]!) / r);
  if (v === 0) o.fail(`${o.name}: rate '${text}' is too fast`);
  return v;
}

/** The unit in which iptables prints an average: the smallest one in which it loses nothing. */
export function rateUnit(average: number, scale: number): { count: number; seconds: number; name: string } {
  let i = 1;
  for (; i < units.length; i++) {
    const mult = scale * units[i]![1];
    if (average > mult || Math.floor(mult / average) < mult % average) break;
  }
  const [name, seconds] = units[i - 1]!;
  return { count: Math.floor((scale * seconds) / average), seconds, name };
}

const LIMIT_SCALE = 10000;
/** xt_limit's credits a jiffy: the largest power of two with which a day does not overflow 32 bits. */
const CREDITS_PER_JIFFY = 128;

const U32 = 2 ** 32;

/** user2credits, in 32 bits as the kernel's. */
function userCredits(v: number): number {
  if (v > 0xffffffff / (HZ * CREDITS_PER_JIFFY)) return (Math.floor(v / LIMIT_SCALE) * HZ * CREDITS_PER_JIFFY) % U32;
  return Math.floor((v * HZ * CREDITS_PER_JIFFY) / LIMIT_SCALE);
}

const limit: MatchMaker = (place) => {
  let average = (LIMIT_SCALE * 3600) / 3;
  let burst = 5;
  return {
    option(o) {
      if (o.name === "--limit") average = readRate(o.plain(), LIMIT_SCALE);
      else if (o.name === "--limit-burst") burst = o.plain().number(1, 10000);
      else return false;
      return true;
    },
    finish(fail): Match {
      const { clock } = place.host.world;
      const unit = rateUnit(average, LIMIT_SCALE);
      const text = `-m limit --limit ${unit.count}/${unit.name}${burst === 5 ? "" : ` --limit-burst ${burst}`}`;
      if (place.backend === "nft") {
        // iptables-nft makes it nftables' own limit: a bucket of nanoseconds (nft_limit)
        const cost = Math.floor((unit.seconds * 1e9) / unit.count);
        return { text, test: tokenBucket(clock, cost, cost * burst) };
      }
      const cost = userCredits(average);
      const cap = userCredits((average * burst) % U32);
      if (cap < cost) fail("limit: rate and burst overflow, try lower ones");
      let credit = cap;
      let previous = Math.floor(clock.now / NS_PER_JIFFY);
      return {
        text,
        test() {
          const now = Math.floor(clock.now / NS_PER_JIFFY);
          // credits are 32 bits wide, also where they overflow
          let next = (credit + (((now - previous) * CREDITS_PER_JIFFY) >>> 0)) >>> 0;
          previous = now;
          if (next > cap) next = cap;
          const fits = next >= cost;
          credit = fits ? next - cost : next;
          return fits;
        },
      };
    },
  };
};

/** nft_limit: `cost` nanoseconds a packet, `max` in the bucket. */
export function tokenBucket(clock: { readonly now: number }, cost: number, max: number): () => boolean {
  let tokens = max;
  let last = clock.now;
  return () => {
    const now = clock.now;
    tokens = Math.min(tokens + now - last, max);
    last = now;
    if (tokens < cost) return false;
    tokens -= cost;
    return true;
  };
}

const statistic: MatchMaker = (place) => {
  let mode = "";
  let every = 0;
  let packet = -1;
  let probability = -1;
  let inverted = false;
  return {
    option(o: Option) {
      switch (o.name) {
        case "--mode":
          mode = o.plain().value("random or nth");
          if (mode !== "random" && mode !== "nth") o.fail(`--mode: '${mode}' is neither random nor nth`);
          return true;
        case "--every":
          every = o.number(1, 0xffffffff);
          inverted = o.invert;
          return true;
        case "--packet":
          packet = o.plain().number(0, 0xffffffff);
          return true;
        case "--probability": {
          const word = o.value("a probability");
          const v = /^(\d+(\.\d*)?|\.\d+)(e-?\d+)?$/i.test(word) ? Number(word) : -1;
          if (v < 0 || v > 1) o.fail(`--probability: '${word}' is not between 0 and 1`);
          probability = Math.round(v * 0x80000000);
          inverted = o.invert;
          return true;
        }
        default:
          return false;
      }
    },
    finish(missing): Match {
      const not = inverted ? " !" : "";
      if (mode === "random") {
        if (probability < 0 || every !== 0) missing("statistic --mode random needs --probability and nothing else");
        const { rng } = place.host.world;
        return {
          text: `-m statistic --mode random${not} --probability ${(probability / 0x80000000).toFixed(11)}`,
          test: () => (rng.u32() & 0x7fffffff) < probability !== inverted,
        };
      }
      if (mode !== "nth") missing("match 'statistic' needs --mode");
      if (every === 0 || packet < 0 || probability >= 0) missing("statistic --mode nth needs --every and --packet");
      if (packet >= every) missing("statistic: the number of the packet must be below --every");
      const top = every - 1;
      let count = top - packet;
      return {
        text: `-m statistic --mode nth${not} --every ${every} --packet ${packet}`,
        test() {
          count = count === top ? 0 : count + 1;
          return (count === 0) !== inverted;
        },
      };
    },
  };
};

const quota: MatchMaker = () => {
  let bytes = -1;
  let inverted = false;
  return {
    option(o) {
      if (o.name !== "--quota") return false;
      bytes = o.number(0, Number.MAX_SAFE_INTEGER, "a number of bytes");
      inverted = o.invert;
      return true;
    },
    finish(missing): Match {
      if (bytes < 0) missing("match 'quota' needs --quota");
      let left = bytes;
      return {
        text: `-m quota${inverted ? " !" : ""} --quota ${bytes}`,
        test(c) {
          const fits = left >= c.len;
          // a packet that does not fit ends it, also for smaller ones
          left = fits ? left - c.len : 0;
          return fits !== inverted;
        },
      };
    },
  };
};

export const rateMatches: Readonly<Record<string, MatchMaker>> = { limit, statistic, quota };
